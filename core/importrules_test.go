package core_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/siokit/siokit"

// rules is the import graph: what each package of the root module may import
// of it, and of third parties. A pattern that ends in "/*" covers what lies below.
// The standard library is always allowed.
var rules = []struct {
	pkg     string
	allowed []string
}{
	{"core", nil},
	{"core/packet", nil},
	{"core/acl", nil},
	{"core/internal/*", nil},
	{"core/packet/*", []string{"core/packet"}},
	{"core/host", nil},
	{"core/host/*", []string{"core/host"}},
	{"core/dialect", []string{"core/packet", "core/host"}},
	{"core/dialect/*", []string{"core/dialect", "core/dialect/engineio", "core/packet", "core/packet/*", "core/host"}},
	{"core/transport", []string{"core/host", "core/packet"}},
	{"core/transport/websocket", []string{"core/transport", "core/host", "core/packet", "github.com/gobwas/ws"}},
	{"core/transport/*", []string{"core/transport", "core/host", "core/packet"}},
	{"core/virtsocket", []string{"core/host", "core/packet", "core/dialect", "core/transport", "core/internal/*"}},
	{"core/cluster", []string{"core/packet"}},
	{"core/typescript", []string{"core/sio"}},
	{"core/mixin", []string{"core/sio", "core/acl"}},
	{"core/sio", []string{"core/virtsocket", "core/dialect", "core/dialect/*", "core/transport", "core/transport/*", "core/packet", "core/packet/*", "core/acl", "core/cluster", "core/host", "core/internal/*"}},
	{"sessionbridge", []string{"core/sio", "core/host", "core/acl"}},
	{"sessionbridge/*", []string{"sessionbridge", "core/sio"}},
	{"doctor", nil},
	{"cmd/sioconform", []string{"conformance"}},
	{"mutation", nil},
	{"cmd/siodoctor", []string{"doctor"}},
	{"internal/hosttest", []string{"conformance", "core/sio", "core/host", "internal/*"}},
	{"internal/*", nil},
	{"conformance/selftest", nil},
	// What RunCodec and RunTransport verify is described by these; the suite has none of the codecs.
	{"conformance", []string{"core/sio", "core/acl", "core/host", "core/packet", "core/dialect", "core/transport", "sessionbridge", "internal/*"}},
}

func matches(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(pkg, dir+"/")
	}
	return pattern == pkg
}

func TestImportRules(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		seen++
		i := slices.IndexFunc(rules, func(r struct {
			pkg     string
			allowed []string
		}) bool {
			return matches(r.pkg, pkg)
		})
		if i < 0 {
			t.Errorf("package %s has no import rule", pkg)
			continue
		}
		for _, imp := range p.Imports {
			if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
				continue // standard library
			}
			imp = strings.TrimPrefix(imp, module+"/")
			if !slices.ContainsFunc(rules[i].allowed, func(a string) bool { return matches(a, imp) }) {
				t.Errorf("%s must not import %s; allowed: %v", pkg, imp, rules[i].allowed)
			}
		}
	}
	if seen < 10 {
		t.Errorf("go list saw %d packages only", seen)
	}
}

// TestNoDialectDetails: nothing that a transport or the virtual socket is built
// of knows a client generation, so that one more is an addition.
func TestNoDialectDetails(t *testing.T) {
	for _, pkg := range []string{"virtsocket", "transport", "transport/polling", "transport/websocket", "transport/jsonp", "transport/htmlfile", "transport/multipart", "transport/flashpolicy"} {
		out, err := exec.Command("go", "list", "-deps", module+"/core/"+pkg).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if strings.HasPrefix(dep, module+"/core/dialect/") || strings.HasPrefix(dep, module+"/core/packet/") {
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
	}
}

// frameworks are what the adapters may import beside the seam.
var frameworks = map[string][]string{
	"gin":   {"github.com/gin-gonic/gin"},
	"echo":  {"github.com/labstack/echo/v4"},
	"chi":   {"github.com/go-chi/chi/v5"},
	"fiber": {"github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp", "github.com/fasthttp/websocket"},
}

func TestAdapterImports(t *testing.T) {
	files, err := filepath.Glob("../adapters/*/*.go")
	if err != nil || len(files) == 0 {
		t.Skip("the adapters are modules of their own and not here")
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		allowed := append([]string{module + "/core/host", module + "/core/host/*", module + "/core/sio"}, frameworks[filepath.Base(filepath.Dir(file))]...)
		for _, spec := range f.Imports {
			imp := strings.Trim(spec.Path.Value, `"`)
			if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return matches(a, imp) }) {
				t.Errorf("%s must not import %s; allowed: %v", file, imp, allowed)
			}
		}
	}
}
