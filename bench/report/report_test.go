//go:build linux

package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// TestQuick is the command with few connections and short runs: it shows that everything is
// measured and written, not what it costs.
func TestQuick(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "performance.md")
	was, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var said strings.Builder
	// The port of socket.io is built as well, but not measured: on a busy machine it fails now and
	// then, and what has failed has no figure.
	servers := []string{"net/http", library, "coder", floor}
	err = run([]string{"-quick", "-rounds", "1", "-out", dir, "-servers", strings.Join(servers, ",")}, &said)
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if now, err := os.ReadFile(page); err != nil || string(now) != string(was) || !strings.Contains(said.String(), "stays as it is") {
		t.Errorf("one short round has changed the page (%v): %s", err, said.String())
	}
	section, err := os.ReadFile(filepath.Join(dir, "section.md"))
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, string(section), servers)
	for _, c := range small.curves() {
		svg, err := os.ReadFile(filepath.Join(dir, "performance", c.name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"siokit, net/http", library, floor}
		if c.metric == memory {
			want = nil // so few connections may take no page of memory, which has no place in the plot
		}
		drawing(t, c.name, svg, want)
	}

	// The same again from the results alone.
	again := t.TempDir()
	if err := run([]string{"-from", dir, "-out", again}, &said); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(again, "section.md")); err != nil || string(text) != string(section) {
		t.Errorf("-from has written another section (%v)", err)
	}
}

// wellFormed looks at a section: at the width of its lines, and for a figure in each cell that a
// server has. Latencies are from the messages that both begin and end in the time, which may be none.
func wellFormed(t *testing.T, section string, servers []string) {
	t.Helper()
	for line := range strings.SplitSeq(section, "\n") {
		if !strings.HasPrefix(line, "|") && utf8.RuneCountInString(line) > 100 {
			t.Errorf("a wide line: %s", line)
		}
	}
	for title, blanks := range map[string]map[string]int{ // of each server, where it has any
		"Echoes":                     {library: 1, "coder": 1, floor: 1},
		"Broadcasts":                 {},
		"Connects and polls":         {library: 3, "coder": 3, floor: -1},
		"Number of connections":      {"coder": -1},
		"Size of a room":             {"coder": -1},
		"Size of a message":          {"coder": -1},
		"Rate of messages":           {"coder": -1},
		"Memory of idle connections": {"coder": 1},
	} {
		_, part, ok := strings.Cut(section, "### "+title+"\n")
		if part, _, _ = strings.Cut(part, "\n###"); !ok {
			t.Errorf("there is no table %q", title)
		}
		for _, server := range servers {
			_, row, ok := strings.Cut(part, "\n| "+server+" | ")
			row, _, _ = strings.Cut(row, "\n")
			if n := blanks[server]; n < 0 && ok || n >= 0 && (!ok || empty(row) != n) {
				t.Errorf("%s, %s: %q", title, server, row)
			}
		}
	}
}

// empty counts the cells of a row without a figure.
func empty(row string) (n int) {
	for cell := range strings.SplitSeq(strings.TrimSuffix(row, " |"), " | ") {
		if strings.TrimSpace(strings.Trim(cell, "|")) == "" {
			n++
		}
	}
	return n
}

// drawing looks at an SVG: that it is XML, and for the names of the lines.
func drawing(t *testing.T, name string, svg []byte, want []string) {
	t.Helper()
	var texts []string
	paths := 0
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s.svg: %v", name, err)
		}
		switch token := token.(type) {
		case xml.CharData:
			texts = append(texts, strings.TrimSpace(string(token)))
		case xml.StartElement:
			if token.Name.Local == "path" {
				paths++
			}
		}
	}
	for _, text := range want {
		if !slices.Contains(texts, text) {
			t.Errorf("%s.svg does not say %q", name, text)
		}
	}
	if paths < 4*len(want) {
		t.Errorf("%s.svg has only %d paths", name, paths)
	}
}

// results are cells as the load generator writes them: the values of the rounds of one server.
func results(server, scenario, metric string, values ...float64) (cells []matrix.Cell) {
	for round, v := range values {
		text, err := json.Marshal(map[string]any{metric: v, "errors": 0})
		if err != nil {
			panic(err)
		}
		cells = append(cells, matrix.Cell{Round: round, Server: server, Scenario: scenario, Result: text})
	}
	return cells
}

// TestFigures: median, spread and ratio, and a round that is missing is said.
func TestFigures(t *testing.T) {
	in := info{Rounds: 3, Points: small, Entries: []entry{{Name: "net/http"}, {Name: library}, {Name: "none"}}}
	cells := slices.Concat(
		results(library, "echo", cpuTime, 10, 20, 30),
		results("net/http", "echo", cpuTime, 11, 24, 30),
		results("net/http", "pipeline", cpuTime, 123.4, 0.5),
	)
	var b strings.Builder
	tables := in.Points.tables()
	if err := in.table(&b, &tables[0], cells); err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(b.String(), "--- |\n")
	const want = "| net/http | 24.0 (11.0–30.0) **1.10** |  | 62.0 (0.50–123, 2 rounds) |\n| gws | 20.0 (10.0–30.0) **1.00** |  |  |\n\n"
	if rows != want {
		t.Errorf("got\n%swant\n%s", rows, want)
	}
}

// TestBase: where there is no Node, connects are compared with another server, and it says so.
func TestBase(t *testing.T) {
	var entries []entry
	for _, c := range []struct{ add, want string }{
		{"fiber", ""}, {hosts[0].name, "to siokit on net/http."}, {port, "to zishang520, the port of socket.io."}, {node, "to socket.io on Node."},
	} {
		entries = append(entries, entry{Name: c.add})
		in := info{Rounds: 1, Points: small, Entries: entries}
		for _, table := range in.Points.tables() {
			var b strings.Builder
			if err := in.table(&b, &table, nil); err != nil {
				t.Fatal(err)
			}
			want := c.want
			if table.base != node {
				want = "" // gws and TCP are not there
			}
			if text := strings.Join(strings.Fields(b.String()), " "); want != "" && !strings.Contains(text, want) || want == "" && strings.Contains(text, "ratio") {
				t.Errorf("%s: want %q:\n%s", table.title, want, text)
			}
		}
	}
}

// TestSift: a run with an error is no figure, and one of siokit counts.
func TestSift(t *testing.T) {
	bad := func(server, result string) matrix.Cell {
		return matrix.Cell{Server: server, Scenario: "echo", Result: json.RawMessage(result)}
	}
	good, failures, ours, err := sift([]matrix.Cell{
		bad("gin", `{"errors":0,"reordered":0}`), bad("gin", `{"errors":2}`), bad("ws", `{"reordered":1}`), bad("ws", `{"errors":1}`),
	}, []entry{{Name: "gin", Ours: true}, {Name: "ws"}})
	if err != nil || len(good) != 1 || ours != 1 || !slices.Equal(failures, []string{"gin, echo: 1 of 2 runs.", "ws, echo: 2 of 2 runs."}) {
		t.Errorf("%d good, %d of siokit, %q (%v)", len(good), ours, failures, err)
	}
	if _, _, _, err := sift([]matrix.Cell{bad("gin", `nothing`)}, nil); err == nil {
		t.Error("what is no JSON is a result")
	}
}

// TestInsert: the first time the section is before the second heading, then in its own place.
func TestInsert(t *testing.T) {
	const page = "# Title\n\ntext\n\n## Second\n\nmore\n"
	first, err := insert(page, begin+"\none\n"+end+"\n")
	if want := "# Title\n\ntext\n\n" + begin + "\none\n" + end + "\n\n## Second\n\nmore\n"; err != nil || first != want {
		t.Fatalf("%v\n%s", err, first)
	}
	second, err := insert(first, begin+"\ntwo\n"+end+"\n")
	if err != nil || second != strings.Replace(first, "one", "two", 1) {
		t.Errorf("%v\n%s", err, second)
	}
	for _, text := range []string{"no heading", begin + "\n\n## Second\n", end + "\n" + begin + "\n"} {
		if got, err := insert(text, "x"); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestPage: the page has a place for the section.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := insert(string(text), begin+"\n"+end+"\n"); err != nil {
		t.Error(err)
	}
}

func TestWrap(t *testing.T) {
	var b strings.Builder
	wrap(&b, "- ", strings.Repeat("word ", 30))
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 2 || len(lines[0]) > 100 || len(lines[0]) < 96 || !strings.HasPrefix(lines[0], "- word") || !strings.HasPrefix(lines[1], "  word") {
		t.Errorf("%q", lines)
	}
	for n, want := range map[int]string{7: "7", 1000: "1 000", 20000: "20 000", 1234567: "1 234 567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// TestWithin: what takes more open files than there may be is left out, once said.
func TestWithin(t *testing.T) {
	p := full
	left := p.within(4096)
	if len(left) != 2 || !strings.HasPrefix(left[0], "10000 ") || !strings.HasPrefix(left[1], "5000 ") {
		t.Errorf("%q", left)
	}
	if slices.Max(p.Connections) != 1000 || slices.Max(p.Rooms) != 1000 || slices.Max(p.Idle) != 1000 || slices.Max(full.Idle) != 10000 {
		t.Errorf("%+v", p)
	}
	for _, sc := range p.scenarios() {
		if strings.HasSuffix(sc.name, "0000") && !strings.HasPrefix(sc.name, "rate") {
			t.Errorf("%s is measured", sc.name)
		}
	}
}

// TestPlotOfLittle: a point of nothing is left out, and so is a line without points.
func TestPlotOfLittle(t *testing.T) {
	in := info{Rounds: 1, Points: small, Entries: []entry{{Name: "a", Drawn: true}, {Name: "b", Drawn: true}, {Name: "c"}}}
	if plots, err := in.plots(nil); err != nil || len(plots) != 5 {
		t.Fatalf("%d plots (%v)", len(plots), err)
	}
	cells := slices.Concat(results("a", "memory-4", memory, -1), results("a", "memory-8", memory, 2), results("c", "memory-8", memory, 3))
	plots, err := in.plots(cells)
	if err != nil {
		t.Fatal(err)
	}
	svg := string(plots["memory.svg"])
	if !strings.Contains(svg, ">a<") || strings.Contains(svg, ">b<") || strings.Contains(svg, ">c<") {
		t.Error(svg)
	}
}

func TestDecades(t *testing.T) {
	var got []float64
	for _, tick := range (decades{}).Ticks(0.3, 60) {
		got = append(got, math.Round(tick.Value*1000)/1000)
	}
	if !slices.Equal(got, []float64{0.5, 1, 2, 5, 10, 20, 50}) {
		t.Errorf("%v", got)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"more"}, {"-from", filepath.Join(t.TempDir(), "none"), "-out", t.TempDir()}} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("%q is fine", args)
		}
	}
}
