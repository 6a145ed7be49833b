package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestNames: api/*.txt has the exported names of the code, and CHANGELOG.md names what has
// changed since the release.
func TestNames(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "adapters/gin/go.mod")); err != nil {
		t.Skip("the adapters are modules of their own and not here")
	}
	pkgs, err := packages(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 || len(pkgs["core/sio"]) < 100 {
		t.Fatalf("only %d packages were found", len(pkgs))
	}
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range check(pkgs, read(t, "api"), read(t, "api/base"), string(changelog)) {
		t.Error(problem)
	}
}

// read returns the lines of each file in a folder, by the file's name.
func read(t *testing.T, folder string) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, folder, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in %s (%v)", folder, err)
	}
	files := make(map[string][]string)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	return files
}

// check compares the names of the code with the two sets of files.
func check(pkgs, now, base map[string][]string, changelog string) (problems []string) {
	code := make(map[string][]string)
	for dir, list := range pkgs {
		code[file(dir)] = list
	}
	_, unreleased, _ := strings.Cut(changelog, "## [Unreleased]")
	unreleased, _, _ = strings.Cut(unreleased, "\n## ")
	differences(code, now, func(name, line, what string) {
		problems = append(problems, "api/"+name+": "+line+" has "+what+"; run go run ./internal/apicheck -update")
	})
	differences(code, base, func(name, line, what string) {
		dir := strings.ReplaceAll(strings.TrimSuffix(name, ".txt"), "-", "/")
		newDir := base[name] == nil && strings.Contains(unreleased, "`"+dir+"`")
		owner := "type " + owner(line)
		newType := slices.Contains(code[name], owner) != slices.Contains(base[name], owner) && named(unreleased, owner)
		if !newDir && !newType && !named(unreleased, line) {
			problems = append(problems, "CHANGELOG.md, Unreleased, does not name `"+word(line)+"`: "+line+" of "+name+" has "+what)
		}
	})
	return problems
}

// differences calls f for every line that is in only one of the two.
func differences(code, files map[string][]string, f func(name, line, what string)) {
	for name, list := range code {
		for _, line := range list {
			if !slices.Contains(files[name], line) {
				f(name, line, "appeared")
			}
		}
	}
	for name, list := range files {
		for _, line := range list {
			if !slices.Contains(code[name], line) {
				f(name, line, "vanished")
			}
		}
	}
}

// word is the name in a line, without what it belongs to.
func word(line string) string {
	_, name, _ := strings.Cut(line, " ")
	if i := strings.IndexAny(name, "([ "); i >= 0 {
		name = name[:i]
	}
	return name[strings.LastIndex(name, ".")+1:]
}

// owner is the type that a field or method belongs to, or "".
func owner(line string) string {
	kind, name, _ := strings.Cut(line, " ")
	owner, _, _ := strings.Cut(name, ".")
	if kind == "field" || kind == "method" || kind == "wants" {
		return owner
	}
	return ""
}

// named reports whether a text has the name of a line in backquotes, alone or with others.
func named(text, line string) bool {
	quoted := regexp.MustCompile("`[^`]+`")
	whole := regexp.MustCompile(`\b` + regexp.QuoteMeta(word(line)) + `\b`)
	return slices.ContainsFunc(quoted.FindAllString(text, -1), whole.MatchString)
}

// TestCheck: a name that appears or vanishes is found, and CHANGELOG.md has to name it.
func TestCheck(t *testing.T) {
	const log = "## [Unreleased]\n\n- Added `T.New`.\n\n## [0.1.0]\n\n- Added `Old`.\n"
	for _, row := range []struct {
		why             string
		code, now, base []string
		want            []string // what the problems contain
	}{
		{"nothing has changed", []string{"type T"}, []string{"type T"}, []string{"type T"}, nil},
		{"appeared, in no file", []string{"method T.New()"}, nil, []string{"method T.New()"}, []string{"has appeared; run"}},
		{"vanished, still in the file", nil, []string{"type Gone"}, []string{"type Gone"}, []string{"has vanished; run", "does not name `Gone`"}},
		{"appeared, and named", []string{"method T.New()"}, []string{"method T.New()"}, nil, nil},
		{"named for an older release only", []string{"func Old()"}, []string{"func Old()"}, nil, []string{"does not name `Old`"}},
		{"the member of a type that appeared, and is named", []string{"type New", "field New.X int"}, []string{"type New", "field New.X int"}, []string{}, nil},
		{"another signature", []string{"func F(int)"}, []string{"func F(int)"}, []string{"func F()"}, []string{"does not name `F`", "does not name `F`"}},
	} {
		files := func(list []string) map[string][]string { return map[string][]string{"p.txt": list} }
		got := check(map[string][]string{"p": row.code}, files(row.now), files(row.base), log)
		if len(got) != len(row.want) {
			t.Errorf("%s: %q", row.why, got)
			continue
		}
		for i, want := range row.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q instead of %q", row.why, got[i], want)
			}
		}
	}
}

// TestLines: every kind of exported name has a line, and what is not exported has none.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	src := `package p
const A, b = 1, 2
var V int
func F[T any](a int, b ...string) (T, error) { panic(0) }
func f() {}
type S[T any] struct { X, y int; E; *other }
type other struct{}
type E struct{}
type I interface { M(int) error; E }
type Alias = S[int]
func (s *S[T]) Get() T { panic(0) }
func (o other) Hidden() {}
`
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := names(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"const A", "field S.E E", "field S.X int", "func F[T any](a int, b ...string) (T, error)", "method S.Get() T",
		"type Alias = S[int]", "type E", "type I", "type S", "var V", "wants I.E E", "wants I.M(int) error",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\ninstead of\n%q", got, want)
	}
	var b bytes.Buffer
	if err := table(&b, map[string][]string{"p": got}); err != nil || !strings.Contains(b.String(), "8") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
