package core_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocComments: every exported name says what it is, and begins with itself.
func TestDocComments(t *testing.T) {
	names := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case "testdata", "node_modules", ".git", "examples", "interop":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && (d.Recv == nil || exportedType(d.Recv.List[0].Type)) {
					names++
					wantDoc(t, path, d.Name.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.IsExported() {
							names++
							wantDoc(t, path, spec.Name.Name, first(spec.Doc, d.Doc))
						}
					case *ast.ValueSpec: // a group may be explained as one
						for _, name := range spec.Names {
							if name.IsExported() && first(spec.Doc, spec.Comment, d.Doc) == nil {
								t.Errorf("%s: %s has no doc comment", path, name.Name)
							}
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if names < 300 {
		t.Errorf("only %d names were looked at", names)
	}
}

func first(groups ...*ast.CommentGroup) *ast.CommentGroup {
	for _, g := range groups {
		if g != nil {
			return g
		}
	}
	return nil
}

func wantDoc(t *testing.T, path, name string, doc *ast.CommentGroup) {
	t.Helper()
	if text := doc.Text(); !strings.HasPrefix(text, name+" ") && !strings.HasPrefix(text, "Deprecated:") {
		t.Errorf("%s: the comment of %s does not begin with its name: %q", path, name, strings.SplitN(text, "\n", 2)[0])
	}
}

// exportedType reports whether a receiver's type is exported.
func exportedType(e ast.Expr) bool {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}
