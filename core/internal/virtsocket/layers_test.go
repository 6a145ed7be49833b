package virtsocket

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// layers are the files below the sessions, and which other files of the package each
// of them may use: none knows a Socket or a Hub.
var layers = map[string][]string{
	"outbox.go":  nil,
	"flusher.go": {"outbox.go"},
	"limits.go":  nil,
	"head.go":    nil,
	"origin.go":  {"head.go"},
	"reason.go":  nil,
}

func TestLayers(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	home := make(map[string]string) // the file of each name of the package
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
		for _, d := range f.Decls {
			for _, n := range declared(d) {
				home[n] = name
			}
		}
	}
	for name, allowed := range layers {
		f := files[name]
		if f == nil {
			t.Errorf("%s does not exist", name)
			continue
		}
		for _, id := range f.Unresolved { // in the file itself
			if at := home[id.Name]; at != "" && !slices.Contains(allowed, at) {
				t.Errorf("%s uses %s of %s", name, id.Name, at)
			}
		}
	}
}

// declared returns the names that a declaration adds to the package.
func declared(d ast.Decl) (names []string) {
	if fn, ok := d.(*ast.FuncDecl); ok {
		if fn.Recv == nil {
			names = append(names, fn.Name.Name)
		}
		return names
	}
	for _, s := range d.(*ast.GenDecl).Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			names = append(names, s.Name.Name)
		case *ast.ValueSpec:
			for _, n := range s.Names {
				names = append(names, n.Name)
			}
		}
	}
	return names
}
