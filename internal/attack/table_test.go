package attack

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/conformance"
)

var update = flag.Bool("update", false, "write docs/attacks.md")

// counts are how many rows each group has.
var counts = map[string]int{"H": 34, "P": 28, "J": 17, "W": 26, "E": 22, "S": 33, "B": 16, "N": 20, "K": 15, "O": 22, "R": 20, "C": 12, "V": 14}

// TestTable: every row is there, says what it is, and either runs, names tests, or says why not.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range Groups {
		for i := range counts[g.Letter] {
			id := fmt.Sprintf("%s%02d", g.Letter, i+1)
			if !slices.ContainsFunc(g.Rows, func(r Row) bool { return r.ID == id }) {
				t.Errorf("there is no row %s", id)
			}
		}
	}
	for _, r := range Rows() {
		seen[r.ID] = true
		if r.Sent == "" || r.Want == "" || r.Run == nil && r.Elsewhere == "" && r.None == "" || r.None != "" && (r.Run != nil || r.Elsewhere != "") {
			t.Errorf("%s is not complete", r.ID)
		}
		if r.Kind != "" && !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == r.Kind }) {
			t.Errorf("%s: there is no kind %q", r.ID, r.Kind)
		}
	}
	if len(seen) != 279 {
		t.Errorf("%d rows instead of 279", len(seen))
	}
}

// TestElsewhere: the tests and cases that rows name exist.
func TestElsewhere(t *testing.T) {
	if _, err := os.Stat("../../adapters/gin/go.mod"); err != nil {
		t.Skip("the adapters are modules of their own and not here")
	}
	funcs := testFuncs(t)
	cases := map[string][]string{
		"conformance": conformance.Cases(),
		"conformance sessions": slices.Concat(conformance.Cases(conformance.Sessions()),
			conformance.Cases(conformance.CookieSessions())),
	}
	source := ""
	files, _ := filepath.Glob("../../conformance/cases_cluster*.go")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source += string(text)
	}
	for _, r := range Rows() {
		group := ""
		for _, name := range strings.Split(r.Elsewhere, ", ") {
			group, name = named(group, name)
			var ok bool
			switch group {
			case "":
				ok = name == "" || funcs[name]
			case "conformance cluster":
				ok = strings.Contains(source, `"`+name+`"`)
			default:
				ok = slices.ContainsFunc(cases[group], func(c string) bool { return c == name || strings.HasPrefix(c, name+"/") })
			}
			if !ok {
				t.Errorf("%s: there is no %s %s", r.ID, group, name)
			}
		}
	}
}

// named takes apart one name of Elsewhere: the suite that the case is of, "" for a Go test.
func named(group, name string) (string, string) {
	if g, first, ok := strings.Cut(name, ": "); ok {
		return g, first
	}
	if strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") {
		return "", name
	}
	return group, name
}

// testFuncs are the names of the tests and fuzz targets of all modules.
func testFuncs(t *testing.T) map[string]bool {
	there := map[string]bool{}
	form := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range form.FindAllStringSubmatch(string(text), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// TestPage: docs/attacks.md is what the table says.
func TestPage(t *testing.T) {
	const path = "../../docs/attacks.md"
	want := page()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not what the table says (%v); go test ./internal/attack -run TestPage -update writes it", path, err)
	}
}

const head = `# Attacks

What a client must not be able to do, row by row. The table is data in
[internal/attack](../internal/attack/attack.go); this page is written from it.

Each row that says *every host* is sent to a running server on each host: net/http, gin, echo 4 and
5, chi, fiber 2 and 3. Behind each row a client that was there before gets its next 20 messages in
order, nothing has panicked and nothing is in the log as an error. Behind all rows of a server
goroutines, descriptors, sessions, sockets and memory are back where they were. The other rows name
the tests that prove them, or say why no host can be attacked so.

` + "```" + `
make attacks                                    # all rows, one at a time, on every host
go test ./internal/attack -run TestAttacks -v   # on net/http; the summary is the last line
SIOKIT_ATTACKS=H12,P02 go test ./internal/attack -run TestAttacks
` + "```" + `

The tests of each adapter run the rows too, without the two that take ten seconds. A row that a host
cannot have, such as half a body on fasthttp, which reads a body before any handler, is left out
there; the summary of each host (` + "`-v`" + `) names those rows and why.

Outcomes: *400 3* is status 400 with code 3 in its body ([protocol.md](protocol.md) 2.3); *1002* is
the close code of a websocket. Words such as *parse error* are reasons that OnDisconnect gets.
`

// page is the text of docs/attacks.md.
func page() string {
	var b strings.Builder
	b.WriteString(head)
	hosts, elsewhere, none := map[string]bool{}, map[string]bool{}, 0
	for _, r := range Rows() {
		switch {
		case r.Run != nil:
			hosts[r.ID] = true
		case r.None != "":
			none++
		default:
			elsewhere[r.ID] = true
		}
	}
	fmt.Fprintf(&b, "\nOf %d rows %d run on every host, %d are proved by the tests that they name, and %d apply to no\nhost.\n",
		len(hosts)+len(elsewhere)+none, len(hosts), len(elsewhere), none)
	for _, g := range Groups {
		fmt.Fprintf(&b, "\n## %s: %s\n\n| row | what is sent | outcome | proved by |\n| --- | --- | --- | --- |\n", g.Letter, g.Name)
		for _, r := range g.Rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.ID, cell(r.Sent), cell(outcome(r)), cell(proof(r)))
		}
	}
	return b.String()
}

func outcome(r Row) string {
	if r.Differs != "" {
		return r.Want + ". Why so: " + r.Differs
	}
	return r.Want
}

func proof(r Row) string {
	var list []string
	if r.Run != nil {
		list = append(list, "every host")
	}
	if r.Elsewhere != "" {
		group := ""
		for _, name := range strings.Split(r.Elsewhere, ", ") {
			group, name = named(group, name)
			list = append(list, strings.TrimSpace(group+" `"+name+"`"))
		}
	}
	if r.None != "" {
		list = append(list, "no host: "+r.None)
	}
	return strings.Join(list, ", ")
}

// cell is a text that can stand in a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;", "_", "\\_").Replace(s)
}
