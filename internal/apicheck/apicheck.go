// Package main lists the exported names of the public packages and counts them.
//
//	go run ./internal/apicheck            # the number of names of each package
//	go run ./internal/apicheck -update    # writes api/*.txt, the names as they are now
//
// Its test fails when api/*.txt differs from the code, and when a name has appeared or vanished
// since the last release (api/base/*.txt, which a release writes) without a line in the section
// Unreleased of CHANGELOG.md that names it.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	log.SetFlags(0)
	root := flag.String("root", ".", "the root of the repository")
	update := flag.Bool("update", false, "write api/*.txt")
	flag.Parse()
	pkgs, err := packages(*root)
	if err == nil && *update {
		err = write(filepath.Join(*root, "api"), pkgs)
	}
	if err == nil {
		err = table(os.Stdout, pkgs)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// private are the folders that hold nothing that others import.
var private = []string{"internal", "testdata", "examples", "interop", "bench", "mutation", "cmd", "release"}

// packages returns the names of each public package, by the package's folder.
func packages(root string) (map[string][]string, error) {
	found := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != root && (slices.Contains(private, d.Name()) || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		list, err := names(path)
		if err != nil || len(list) == 0 {
			return err
		}
		rel, err := filepath.Rel(root, path)
		found[filepath.ToSlash(rel)] = list
		return err
	})
	return found, err
}

// names lists the exported names of the package in a folder, sorted. A name is a line that
// begins with its kind: const, var, func, type, method, field, and, for the methods of an
// interface, wants.
func names(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var list []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if f.Name.Name == "main" {
			return nil, nil
		}
		for _, d := range f.Decls {
			list = append(list, declared(d)...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil // one name for each build tag
}

// declared lists the exported names of one declaration.
func declared(d ast.Decl) (list []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() {
			return nil
		}
		if d.Recv == nil {
			return []string{"func " + d.Name.Name + signature(d.Type)}
		}
		if owner := receiver(d.Recv.List[0].Type); ast.IsExported(owner) {
			return []string{"method " + owner + "." + d.Name.Name + signature(d.Type)}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					if n.IsExported() {
						list = append(list, d.Tok.String()+" "+n.Name)
					}
				}
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					list = append(list, typeNames(spec)...)
				}
			}
		}
	}
	return list
}

// typeNames lists a type with its exported fields, or the methods of an interface.
func typeNames(spec *ast.TypeSpec) []string {
	line := "type " + spec.Name.Name
	if spec.Assign.IsValid() {
		line += " = " + source(spec.Type)
	}
	list := []string{line}
	kind, fields := "", (*ast.FieldList)(nil)
	switch t := spec.Type.(type) {
	case *ast.StructType:
		kind, fields = "field ", t.Fields
	case *ast.InterfaceType:
		kind, fields = "wants ", t.Methods
	default:
		return list
	}
	for _, f := range fields.List {
		of := source(f.Type)
		if ft, ok := f.Type.(*ast.FuncType); ok && kind == "wants " {
			of = signature(ft)
		} else {
			of = " " + of
		}
		for _, n := range f.Names {
			if n.IsExported() {
				list = append(list, kind+spec.Name.Name+"."+n.Name+of)
			}
		}
		if embedded := receiver(f.Type); len(f.Names) == 0 && ast.IsExported(embedded) {
			list = append(list, kind+spec.Name.Name+"."+embedded+of)
		}
	}
	return list
}

// receiver is the name of the type behind a pointer, a package and type parameters.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func signature(t *ast.FuncType) string { return strings.TrimPrefix(source(t), "func") }

// source is the text of an expression, in one line.
func source(e ast.Expr) string {
	var b bytes.Buffer
	_ = printer.Fprint(&b, token.NewFileSet(), e)
	return strings.Join(strings.Fields(b.String()), " ")
}

// counted reports whether a line is one of the names that are counted: fields and the methods
// of interfaces belong to their types.
func counted(line string) bool {
	return !strings.HasPrefix(line, "field ") && !strings.HasPrefix(line, "wants ")
}

// table writes the number of names of each package.
func table(w io.Writer, pkgs map[string][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "names\tfields\tpackage \t\n")
	names, fields := 0, 0
	for _, dir := range sorted(pkgs) {
		n := 0
		for _, line := range pkgs[dir] {
			if counted(line) {
				n++
			}
		}
		fmt.Fprintf(tw, "%d\t%d\t%s \t\n", n, len(pkgs[dir])-n, dir)
		names, fields = names+n, fields+len(pkgs[dir])-n
	}
	fmt.Fprintf(tw, "%d\t%d\tall \t\n", names, fields)
	return tw.Flush()
}

func sorted(pkgs map[string][]string) []string {
	var dirs []string
	for dir := range pkgs {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs
}

// file is the name of the file with the names of a package.
func file(dir string) string { return strings.ReplaceAll(dir, "/", "-") + ".txt" }

// write replaces the files in a folder.
func write(folder string, pkgs map[string][]string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for dir, list := range pkgs {
		text := strings.Join(list, "\n") + "\n"
		if err := os.WriteFile(filepath.Join(folder, file(dir)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
