package faults

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/internal/testkit"
)

// long is the long form: more of everything, and the tests of other packages are run.
var long = os.Getenv("SIOKIT_FAULTS") == "long"

// pick is one of two numbers.
func pick(short, much int) int {
	if long {
		return much
	}
	return short
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		children[name]()
		return
	}
	_ = flag.Set("test.parallel", "16") // they wait for timers
	testkit.Main(m)
}

const root = "../.."

// outcome is what has become of a row, or of a test of another package.
type outcome struct {
	passed, failed, skipped bool
}

// TestFaults runs the rows, and prints what has become of each. A row that names tests of other
// packages needs them to be there; in the long form it needs them to pass.
func TestFaults(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "adapters/gin/go.mod")); err != nil {
		t.Skip("the adapters are modules of their own and not here")
	}
	cases, tests := declaredCases(t), make(map[string]bool)
	seen := make(map[string]bool)
	for i, r := range rows {
		if want := fmt.Sprintf("F%02d", i+1); r.id != want || r.fault == "" || r.holds == "" || seen[r.fault] {
			t.Errorf("row %d is %s: %s", i, r.id, r.fault)
		}
		seen[r.fault] = true
		if (r.none != "") != (r.run == nil && len(r.by) == 0) {
			t.Errorf("%s: a row has tests, or a reason why it does not apply", r.id)
		}
		for _, name := range r.by {
			if c, ok := strings.CutPrefix(name, "case "); ok {
				if !slices.ContainsFunc(cases, func(have string) bool { return have == strings.TrimSuffix(c, "*") }) {
					t.Errorf("%s: there is no case %s", r.id, c)
				}
				name = "core/sio.TestConformance"
				if strings.HasPrefix(c, "nodes/") {
					name = "conformance.TestCluster"
				}
			}
			tests[name] = true
			if !declared(name) {
				t.Errorf("%s: there is no test %s", r.id, name)
			}
		}
	}
	ran := make(map[string]bool) // by id: passed
	t.Run("rows", func(t *testing.T) {
		for _, r := range rows {
			if r.run == nil {
				continue
			}
			ran[r.id] = t.Run(r.id, func(t *testing.T) {
				t.Logf("%s: %s", r.fault, r.holds)
				r.run(t)
			})
		}
	})
	var others map[string]outcome
	if long {
		t.Run("others", func(t *testing.T) { others = runOthers(t, slices.Sorted(maps.Keys(tests))) })
	}
	summary(t, ran, others)
}

// summary prints the table.
func summary(t *testing.T, ran map[string]bool, others map[string]outcome) {
	here, passed, elsewhere, none := 0, 0, 0, 0
	var b strings.Builder
	for _, r := range rows {
		var did []string
		if r.run != nil {
			here++
			if ran[r.id] {
				passed++
				did = append(did, "run, passed")
			} else {
				did = append(did, "run, FAILED")
			}
		} else if len(r.by) > 0 {
			elsewhere++
		}
		for _, name := range r.by {
			text := name
			if strings.HasPrefix(name, "case ") {
				name = "core/sio.TestConformance"
				if strings.HasPrefix(text, "case nodes/") {
					name = "conformance.TestCluster"
				}
			}
			if o, ok := others[name]; ok {
				text += map[bool]string{true: " passed"}[o.passed] + map[bool]string{true: " skipped"}[o.skipped] + map[bool]string{true: " FAILED"}[o.failed]
			}
			did = append(did, text)
		}
		if r.none != "" {
			none++
			did = append(did, "does not apply: "+r.none)
		}
		fmt.Fprintf(&b, "\n%s %s: %s\n    %s", r.id, r.fault, r.holds, strings.Join(did, ", "))
	}
	t.Logf("%d faults: %d run here, %d of them passed; %d by tests of other packages alone; %d do not apply%s", len(rows), here, passed, elsewhere, none, b.String())
}

// declared says whether a test is there: "core/sio.TestName".
func declared(name string) bool {
	dir, fn, ok := strings.Cut(name, ".")
	if !ok {
		return false
	}
	list, _ := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	for _, f := range list {
		text, err := os.ReadFile(f)
		if err == nil && bytes.Contains(text, []byte("\nfunc "+fn+"(t *testing.T)")) {
			return true
		}
	}
	return false
}

// declaredCases are the names of the cases of the conformance suite, those of a table without the
// last part.
func declaredCases(t *testing.T) (names []string) {
	list, _ := filepath.Glob(filepath.Join(root, "conformance", "cases*.go"))
	for _, f := range list {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`name: +"([a-z0-9-]+/[a-z0-9/-]+)"`).FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	if len(names) < 200 {
		t.Fatalf("%d cases", len(names))
	}
	return names
}

// runOthers runs tests of other packages, package by package.
func runOthers(t *testing.T, names []string) map[string]outcome {
	byDir := make(map[string][]string)
	for _, name := range names {
		dir, fn, _ := strings.Cut(name, ".")
		byDir[dir] = append(byDir[dir], fn)
	}
	got := make(map[string]outcome)
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		cmd := exec.Command("go", "test", "-count=1", "-v", "-timeout=20m", "-run", "^("+strings.Join(byDir[dir], "|")+")$", ".")
		cmd.Dir = filepath.Join(root, dir)
		out, err := cmd.CombinedOutput()
		for _, m := range regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\w+)`).FindAllSubmatch(out, -1) {
			got[dir+"."+string(m[2])] = outcome{passed: string(m[1]) == "PASS", failed: string(m[1]) == "FAIL", skipped: string(m[1]) == "SKIP"}
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", dir, err, out)
		}
		for _, fn := range byDir[dir] {
			if _, ok := got[dir+"."+fn]; !ok {
				t.Errorf("%s.%s was not run", dir, fn)
			}
		}
		t.Logf("%s: %d tests run", dir, len(byDir[dir]))
	}
	return got
}
