package sio_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/siokit/siokit/conformance"
)

// parsePackage parses the files of this package but the tests.
func parsePackage(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	//lint:ignore SA1019 no type is needed, and no build constraint is there
	pkgs, err := parser.ParseDir(fset, ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fset, pkgs["sio"].Files
}

// TestPlaces: every place where the library calls the application has a case in the
// conformance suite, which runs on every host.
func TestPlaces(t *testing.T) {
	_, files := parsePackage(t)
	var places []string
	ast.Inspect(files["app.go"], func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "place" {
			name, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			places = append(places, name)
		}
		return true
	})
	if len(places) < 15 {
		t.Fatalf("only %d places: %v", len(places), places)
	}
	cases := conformance.Cases()
	for _, p := range places {
		if !slices.Contains(cases, "panics/"+p) {
			t.Errorf("no conformance case panics/%s", p)
		}
	}
}

// TestOneRecover: Server.caught is the one recover of the package; and the functions of Options are called in the
// one file that knows about it, or in a function that defers it or calls Server.apart.
func TestOneRecover(t *testing.T) {
	fset, files := parsePackage(t)
	hooks := map[string]bool{"AllowOrigin": true, "Address": true, "RepairTextOf": true, "OnHandshake": true, "OnError": true, "ErrorAck": true, "Marshal": true, "Unmarshal": true, "ServeEvent": true, "Check": true}
	for name, file := range files {
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			guarded := false
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.DeferStmt:
					if sel, ok := n.Call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "caught" {
						guarded = true
					}
				case *ast.CallExpr:
					if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "apart" {
						guarded = true
					}
					if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "recover" && name != "app.go" {
						t.Errorf("%s: a recover of its own", fset.Position(n.Pos()))
					}
					sel, ok := n.Fun.(*ast.SelectorExpr)
					if !ok || !hooks[sel.Sel.Name] || guarded {
						return true
					}
					if inner, ok := sel.X.(*ast.SelectorExpr); ok && (inner.Sel.Name == "opts" || inner.Sel.Name == "JSON") {
						t.Errorf("%s: %s is called outside of Server.caught", fset.Position(n.Pos()), sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
}
