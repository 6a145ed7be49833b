package core_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A method that only implements an interface needs no doc comment: the interface
// says what the method does, and the line
//
//	var _ Interface = (*T)(nil)
//
// says which interface. The interface must be of this module or of the standard library.

// promised is what one package says with such lines: for each type the names of the
// methods that some interface explains.
type promised map[string]map[string]bool

func (p promised) explains(typ, method string) bool { return p[typ][method] }

// interfaces finds the methods of interfaces, by folder and name.
type interfaces struct {
	t     *testing.T
	found map[string]map[string]*ast.InterfaceType // folder, name
	files map[string][]*ast.File
}

func newInterfaces(t *testing.T) *interfaces {
	return &interfaces{t: t, found: map[string]map[string]*ast.InterfaceType{}, files: map[string][]*ast.File{}}
}

// parse returns the files of a folder that are no tests.
func (in *interfaces) parse(dir string) []*ast.File {
	if files, ok := in.files[dir]; ok {
		return files
	}
	var files []*ast.File
	names, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution); err == nil {
			files = append(files, f)
		}
	}
	in.files[dir] = files
	return files
}

// folder is where the source of an import path lies, "" when that is neither this
// module nor the standard library.
func folder(importPath string) string {
	if rest, ok := strings.CutPrefix(importPath, module+"/"); ok {
		return filepath.Join("..", rest)
	}
	dir := filepath.Join(build.Default.GOROOT, "src", importPath)
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// imported returns the import path that a file knows under a name.
func imported(f *ast.File, name string) string {
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if spec.Name != nil && spec.Name.Name == name || spec.Name == nil && path.Base(p) == name {
			return p
		}
	}
	return ""
}

// methods adds to set what the interface behind expr has; f is the file in dir that
// expr stands in.
func (in *interfaces) methods(set map[string]bool, dir string, f *ast.File, expr ast.Expr) {
	switch x := expr.(type) {
	case *ast.IndexExpr:
		in.methods(set, dir, f, x.X)
	case *ast.SelectorExpr:
		if pkg, ok := x.X.(*ast.Ident); ok {
			if to := folder(imported(f, pkg.Name)); to != "" && imported(f, pkg.Name) != "" {
				in.methods(set, to, nil, x.Sel)
			}
		}
	case *ast.Ident:
		if x.Name == "error" {
			set["Error"] = true
			return
		}
		for _, f := range in.parse(dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == x.Name {
					in.methods(set, dir, f, spec.Type)
				}
				return true
			})
		}
	case *ast.InterfaceType:
		for _, m := range x.Methods.List {
			for _, name := range m.Names {
				set[name.Name] = true
			}
			if len(m.Names) == 0 {
				in.methods(set, dir, f, m.Type)
			}
		}
	}
}

// promised reads the lines "var _ Interface = T" of a folder.
func (in *interfaces) promised(dir string) promised {
	p := promised{}
	for _, f := range in.parse(dir) {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if v.Names[0].Name != "_" || v.Type == nil || len(v.Values) != 1 {
					continue
				}
				typ := typeName(v.Values[0])
				if p[typ] == nil {
					p[typ] = map[string]bool{}
				}
				in.methods(p[typ], dir, f, v.Type)
			}
		}
	}
	return p
}

// typeName is the T of T{}, &T{}, T(nil), (*T)(nil), new(T), T[int]{}.
func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.UnaryExpr:
		return typeName(x.X)
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.ParenExpr:
		return typeName(x.X)
	case *ast.CompositeLit:
		return typeName(x.Type)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.CallExpr:
		if fn, ok := x.Fun.(*ast.Ident); ok && fn.Name == "new" {
			return typeName(x.Args[0])
		}
		return typeName(x.Fun)
	}
	return ""
}

// TestPromised: which methods an assertion explains.
func TestPromised(t *testing.T) {
	dir := t.TempDir()
	src := `package p
import ("io"; h "github.com/siokit/siokit/core/host")
type own interface { io.Reader; Own() }
var _ own = (*T)(nil)
var _ h.Handler = U(nil)
var (
	_ error = new(G[int])
	v io.Writer = &T{}
)
`
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newInterfaces(t).promised(dir)
	for _, row := range []struct {
		typ, method string
		want        bool
	}{
		{"T", "Own", true}, {"T", "Read", true}, {"T", "Write", false}, {"T", "Other", false},
		{"U", "ServeExchange", true}, {"U", "Own", false}, {"G", "Error", true}, {"G", "String", false},
	} {
		if got := p.explains(row.typ, row.method); got != row.want {
			t.Errorf("%s.%s: %v", row.typ, row.method, got)
		}
	}
}
