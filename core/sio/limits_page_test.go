package sio_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// limitDirs are the packages whose structs of options and whose constants
// docs/limits.md lists. Where it says only, other structs are no options.
var limitDirs = []struct {
	dir  string // below the root
	only []string
}{
	{"sessionbridge", []string{"Options"}},
	{"core/mixin", []string{"Rooms", "Presence", "History", "Broadcast", "Once"}},
	{"core/acl", []string{}},
	{"core/sio", []string{}}, // Options are looked at by reflection
	{"core/eio", []string{"Options"}},
	{"core/internal/inbox", []string{}},
	{"core/internal/packet", []string{}},
	{"core/internal/jsontext", []string{}},
	{"core/internal/codec/engineio", []string{}},
	{"core/internal/codec/socketio", []string{}},
	{"core/host", []string{}},
	{"core/internal/keep", []string{}},
	{"internal/connwatch", []string{}},
	{"core/internal/dialect", []string{}},
	{"core/internal/dialect/sio1", []string{}},
	{"core/internal/dialect/eio", []string{}},
	{"core/internal/transport", []string{}},
	{"core/internal/transport/polling", []string{}},
	{"core/internal/transport/websocket", []string{}},
	{"core/internal/transport/flashpolicy", []string{}},
	{"core/internal/virtsocket", []string{}},
	{"core/internal/ratelog", []string{}},
	{"core/internal/node", []string{}},
	{"core/internal/forward", []string{}},
	{"core/internal/msgpack", []string{}},
	{"core/cluster", []string{}},
	{"core/cluster/nodewire", []string{}},
}

// limitName is how constants are called that bound something.
var limitName = regexp.MustCompile(`^(max|min|Max)[A-Z]|(Timeout|Time|Linger|Patience|Limit|Window)$|^(patience|largest|inboxFactor)$`)

// notLimits are constants and fields with such a name that bound nothing a client
// could reach.
var notLimits = map[string]string{
	"core/internal/packet.maxPooled":            "which buffers are kept for reuse",
	"core/internal/node.maxPooled":              "which buffers are kept for reuse",
	"core/internal/transport/polling.maxPooled": "which buffers are kept for reuse",
	"core/internal/codec/engineio.maxLength":    "digits of a length; the payload ends before",
	"Options.Legacy.FlashPolicyPort":            "a port",
}

// TestLimitsPage: docs/limits.md has a row for every limit, no other rows, and the
// defaults of the code.
func TestLimitsPage(t *testing.T) {
	want := map[string]string{} // name -> default
	optionDefaults(want, "Options", reflect.ValueOf(sio.DefaultOptions()))
	for _, d := range limitDirs {
		sourceLimits(t, want, d.dir, d.only)
	}
	maps.DeleteFunc(want, func(name, _ string) bool { return notLimits[name] != "" })
	if len(want) < 40 {
		t.Fatalf("only %d limits were found in the code", len(want))
	}
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(page), "\n") {
		m := regexp.MustCompile("^\\| `([^`]+)`").FindStringSubmatch(line)
		if m == nil {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 5 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("limits.md:%d: %s does not have five cells, none of them empty", n+1, m[1])
			continue
		}
		def, ok := want[m[1]]
		delete(want, m[1])
		if !ok {
			t.Errorf("limits.md:%d: %s is no limit of the code, or is there twice", n+1, m[1])
		} else if got := quantity(strings.TrimSpace(cells[1])); got != def {
			t.Errorf("limits.md:%d: the default of %s is %s on the page and %s in the code", n+1, m[1], got, def)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t.Errorf("limits.md has no row for %s (%s)", name, want[name])
	}
}

// quantity reads "25 s", "1 000 000", "1 MiB" or "none", up to a comma or semicolon.
func quantity(text string) string {
	text, _, _ = strings.Cut(text, ",")
	text, _, _ = strings.Cut(text, ";")
	if text == "none" || text == "off" {
		return "0"
	}
	m := regexp.MustCompile(`^(-?\d+(?: \d{3})*)(?: (\w+))?$`).FindStringSubmatch(text)
	if m == nil {
		return fmt.Sprintf("%q, which is no quantity", text)
	}
	n, _ := strconv.ParseInt(strings.ReplaceAll(m[1], " ", ""), 10, 64)
	unit, ok := map[string]int64{"": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
		"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour)}[m[2]]
	if !ok {
		return fmt.Sprintf("%q, which is no quantity", text)
	}
	return strconv.FormatInt(n*unit, 10)
}

// optionDefaults adds the numbers and durations of a struct and of those in it.
func optionDefaults(want map[string]string, name string, v reflect.Value) {
	for i := range v.NumField() {
		f, n := v.Field(i), name+"."+v.Type().Field(i).Name
		if f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && f.Type().Elem().PkgPath() == v.Type().PkgPath() {
			if f.IsNil() {
				f = reflect.New(f.Type().Elem())
			}
			f = f.Elem()
		}
		switch {
		case f.CanInt():
			want[n] = strconv.FormatInt(f.Int(), 10)
		case f.CanUint():
			want[n] = strconv.FormatUint(f.Uint(), 10)
		case f.CanFloat():
			want[n] = strconv.FormatFloat(f.Float(), 'g', -1, 64)
		case f.Kind() == reflect.Struct && f.Type().PkgPath() == v.Type().PkgPath():
			optionDefaults(want, n, f)
		}
	}
}

// sourceLimits adds the limits of a package as its source has them: constants, and
// the fields of option structs with the one value that is put in place of zero.
func sourceLimits(t *testing.T, want map[string]string, dir string, only []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no source in %s (%v)", dir, err)
	}
	consts := map[string]constant.Value{}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	for range 2 { // one may use another
		for _, f := range files {
			constants(consts, f)
		}
	}
	for name, v := range consts {
		if limitName.MatchString(name) {
			want[dir+"."+name] = v.ExactString()
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if ts, ok := n.(*ast.TypeSpec); ok && slices.Contains(only, ts.Name.Name) {
				if st, ok := ts.Type.(*ast.StructType); ok {
					for _, name := range numbers(st) {
						want[filepath.Base(dir)+"."+ts.Name.Name+"."+name] = defaultOf(t, consts, files, ts.Name.Name+"."+name, name)
					}
				}
			}
			return true
		})
	}
}

// constants adds the integer constants of a file that can be read without types.
func constants(to map[string]constant.Value, f *ast.File) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			vs := s.(*ast.ValueSpec)
			for i, name := range vs.Names {
				if i < len(vs.Values) {
					if v := eval(to, vs.Values[i]); v != nil {
						to[name.Name] = v
					}
				}
			}
		}
	}
}

// numbers are the exported fields of a struct that hold a number or a duration.
func numbers(st *ast.StructType) (names []string) {
	for _, f := range st.Fields.List {
		switch typ := f.Type.(type) {
		case *ast.Ident:
			if !regexp.MustCompile(`^(u?int(8|16|32|64)?|float(32|64))$`).MatchString(typ.Name) {
				continue
			}
		case *ast.SelectorExpr:
			if typ.Sel.Name != "Duration" {
				continue
			}
		default:
			continue
		}
		for _, n := range f.Names {
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

// defaultOf finds the constant that takes the place of a field's zero: in c.F = 50,
// or as the last two arguments of a call such as or(c.F, 50). Without one the default
// is zero.
func defaultOf(t *testing.T, consts map[string]constant.Value, files []*ast.File, name, field string) string {
	found := map[string]bool{}
	add := func(x, v ast.Expr) {
		if u, ok := x.(*ast.UnaryExpr); ok {
			x = u.X
		}
		if sel, ok := x.(*ast.SelectorExpr); ok && sel.Sel.Name == field {
			if c := eval(consts, v); c != nil {
				found[c.ExactString()] = true
			}
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if len(n.Lhs) == 1 && len(n.Rhs) == 1 && n.Tok == token.ASSIGN {
					add(n.Lhs[0], n.Rhs[0])
				}
			case *ast.CallExpr:
				if last := len(n.Args) - 1; last > 0 {
					add(n.Args[last-1], n.Args[last])
				}
			}
			return true
		})
	}
	switch len(found) {
	case 0:
		return "0"
	case 1:
		for v := range found {
			return v
		}
	}
	t.Errorf("%s has several defaults: %v", name, found)
	return ""
}

// eval computes a constant integer expression, or returns nil.
func eval(consts map[string]constant.Value, e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.INT {
			return constant.MakeFromLiteral(e.Value, e.Kind, 0)
		}
	case *ast.Ident:
		return consts[e.Name]
	case *ast.ParenExpr:
		return eval(consts, e.X)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok && x.Name == "time" {
			units := map[string]time.Duration{"Microsecond": time.Microsecond, "Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}
			if d, ok := units[e.Sel.Name]; ok {
				return constant.MakeInt64(int64(d))
			}
		}
	case *ast.BinaryExpr:
		x, y := eval(consts, e.X), eval(consts, e.Y)
		if x == nil || y == nil {
			return nil
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n))
		}
		if e.Op == token.QUO {
			return constant.BinaryOp(x, token.QUO_ASSIGN, y)
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return nil
}
