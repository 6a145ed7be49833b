package core_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// apiNames are the names of the public packages, from api/*.txt: the names of each
// package by its last path element, and Type.Member for all packages together.
func apiNames(t *testing.T) (packages map[string]map[string]bool, members, types map[string]bool) {
	files, _ := filepath.Glob("../api/*.txt")
	if len(files) < 10 {
		t.Fatalf("only %d files in api", len(files))
	}
	packages, members, types = map[string]map[string]bool{}, map[string]bool{}, map[string]bool{}
	line := regexp.MustCompile(`(?m)^(?:const|var|func|type|method|field|wants) (\w+)(?:\[[^]]*\])?(?:\.(\w+))?`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimSuffix(filepath.Base(file), ".txt")
		pkg = pkg[strings.LastIndexByte(pkg, '-')+1:]
		if packages[pkg] == nil && pages[pkg] {
			packages[pkg] = map[string]bool{}
		}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			switch {
			case m[2] == "" && pages[pkg]:
				packages[pkg][m[1]] = true
			case m[2] != "":
				types[m[1]], members[m[1]+"."+m[2]] = true, true
			}
		}
	}
	return packages, members, types
}

// pages are the packages whose names no other module in the pages has: `echo.New` is echo's.
var pages = map[string]bool{
	"sio": true, "acl": true, "mixin": true, "eio": true, "typescript": true, "host": true,
	"sessionbridge": true, "conformance": true, "doctor": true, "siotest": true,
}

// foreign are names in the pages that look like names of siokit and belong to others.
var foreign = map[string]bool{
	"Socket.IO": true, "Store.GetByID": true, "Config.BodyLimit": true, // fiber's
}

// TestDocNames: a name in backquotes with its type or package in front, such as
// `Socket.Emit` or `sio.Handle`, exists. So a name that changes does not stay in a page.
// (docs/decisions.md may tell of names that are gone.)
func TestDocNames(t *testing.T) {
	packages, members, types := apiNames(t)
	files, _ := filepath.Glob("../docs/*.md")
	files = append(files, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../conformance/README.md")
	code, chain := regexp.MustCompile("`([^`\n]+)`"), regexp.MustCompile(`/?[A-Za-z]\w*(\.[A-Z]\w*)+`)
	wrong := func(text string) (names []string, looked int) {
		text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
		for _, c := range code.FindAllStringSubmatch(text, -1) {
			for _, m := range chain.FindAllString(c[1], -1) {
				parts := strings.Split(m, ".")
				if packages[parts[0]] == nil && (m[0] == '/' || m[0] >= 'a') {
					continue // of another package, or of a value
				}
				for i, first := range parts[:len(parts)-1] {
					full := first + "." + parts[i+1]
					known, exists := types[first], members[full]
					if i == 0 && packages[first] != nil {
						known, exists = true, packages[first][parts[1]]
					}
					if !known || foreign[full] {
						continue
					}
					if looked++; !exists {
						names = append(names, full)
					}
				}
			}
		}
		return names, looked
	}
	looked := 0
	for _, page := range files {
		if filepath.Base(page) == "decisions.md" {
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		names, n := wrong(string(text))
		looked += n
		for _, n := range names {
			t.Errorf("%s: there is no %s", page, n)
		}
	}
	if looked < 300 {
		t.Errorf("only %d names were looked at", looked)
	}
	if names, _ := wrong("`Socket.Drop` `sio.Incident` `sio.Options.MaxQueue` `Socket.Emit` `sio.Handle(fn)`"); len(names) != 3 {
		t.Errorf("%v, of three names that do not exist", names)
	}
}

// TestDocTests: a test or example that a page names in backquotes exists.
func TestDocTests(t *testing.T) {
	needModules(t)
	there := map[string]bool{}
	if err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz|Benchmark)\w*)\(`).FindAllStringSubmatch(string(text), -1) {
			there[m[1]] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../docs/*.md")
	files = append(files, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../RELEASING.md", "../conformance/README.md")
	looked := 0
	for _, page := range files {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("[`\\[]((?:Test|Example|Fuzz|Benchmark)[A-Z]\\w*)").FindAllStringSubmatch(string(text), -1) {
			if looked++; !there[m[1]] {
				t.Errorf("%s: there is no %s", page, m[1])
			}
		}
	}
	if looked < 200 {
		t.Errorf("only %d names were looked at", looked)
	}
}

// TestContributing: the paths and names in CONTRIBUTING's table exist, and each row has a
// smallest example (the links are looked at by TestCommandsAndLinks).
func TestContributing(t *testing.T) {
	needModules(t)
	page, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| to add |")
	rows, paths, names := 0, 0, 0
	for _, row := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(row, "|")
		if len(cells) != 7 {
			continue
		}
		rows++
		if example := strings.TrimSpace(cells[4]); !strings.Contains(example, "](") && example != "any case" {
			t.Errorf("the row of%s: no smallest example", cells[1])
		}
		for _, c := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row, -1) {
			word := c[1]
			dir, _, placeholder := strings.Cut(word, "/<name>")
			switch {
			case placeholder || strings.Contains(word, "/"):
				paths++
				if found, err := filepath.Glob(filepath.Join("..", dir)); err != nil || len(found) == 0 {
					t.Errorf("the row of%s: %s does not exist", cells[1], word)
				}
			case regexp.MustCompile(`^[a-z]\w*\.[A-Z]\w*$`).MatchString(word):
				names++
				pkg, name, _ := strings.Cut(word, ".")
				if !declared(t, pkg, name) {
					t.Errorf("the row of%s: there is no %s", cells[1], word)
				}
			}
		}
	}
	if rows != 9 || paths < 20 || names < 12 {
		t.Errorf("%d rows, %d paths and %d names were looked at", rows, paths, names)
	}
}

// declared reports whether a package of the repository declares a name.
func declared(t *testing.T, pkg, name string) (found bool) {
	decl := regexp.MustCompile(`(?m)^(func|type|var|const) ` + name + `\b`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || found {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || filepath.Base(filepath.Dir(path)) != pkg {
			return nil
		}
		src, err := os.ReadFile(path)
		found = err == nil && decl.Match(src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
