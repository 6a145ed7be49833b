package core_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSizes: in the two packages that most changes touch, no file has more than 400 lines
// and no function outside of tests more than 60.
func TestSizes(t *testing.T) {
	const maxFile, maxFunc = 400, 60
	seen := 0
	for _, dir := range []string{"sio", "internal/virtsocket"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			seen++
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(text, []byte("\n")); n > maxFile {
				t.Errorf("%s has %d lines, at most %d", file, n, maxFile)
			}
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					if n := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1; n > maxFunc {
						t.Errorf("%s: %s has %d lines, at most %d", file, fn.Name.Name, n, maxFunc)
					}
				}
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d files were looked at", seen)
	}
}
