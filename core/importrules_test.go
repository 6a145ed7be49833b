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
	{"core/acl", nil},
	{"core/host", []string{"core/internal/httpreq"}},
	{"core/internal/httpreq", nil},
	{"core/internal/keep", []string{"core/host"}},
	{"core/internal/jsontext", nil},
	{"core/internal/packet", []string{"core/internal/jsontext"}},
	{"core/internal/codec/*", []string{"core/internal/packet", "core/internal/jsontext"}},
	{"core/internal/dialect", []string{"core/internal/packet", "core/host"}},
	{"core/internal/dialect/*", []string{"core/internal/dialect", "core/internal/dialect/eio", "core/internal/dialect/legacy", "core/internal/packet", "core/internal/jsontext", "core/internal/codec/*", "core/internal/httpreq", "core/host"}},
	{"core/internal/transport", []string{"core/host", "core/internal/packet"}},
	{"core/internal/transport/websocket", []string{"core/internal/transport", "core/host", "core/internal/packet", "github.com/gobwas/ws"}},
	{"core/internal/transport/*", []string{"core/internal/transport", "core/host", "core/internal/packet", "core/internal/jsontext"}},
	{"core/internal/virtsocket", []string{"core/host", "core/internal/packet", "core/internal/dialect", "core/internal/transport", "core/internal/wheel", "core/internal/ratelog", "core/internal/httpreq"}},
	{"core/internal/suite", []string{"core/host", "core/internal/packet", "core/internal/dialect", "core/internal/transport", "internal/*"}},
	{"core/internal/wheel", nil},
	{"core/internal/ratelog", nil},
	{"core/internal/tracker", nil},
	{"core/internal/inbox", nil},
	{"core/cluster", []string{"core/internal/jsontext"}},
	{"core/cluster/nodewire", []string{"core/cluster", "core/internal/msgpack", "core/internal/packet", "core/internal/jsontext"}},
	{"core/internal/msgpack", []string{"core/internal/packet", "core/internal/jsontext"}},
	{"core/internal/node", []string{"core/cluster", "core/internal/ratelog"}},
	{"core/internal/forward", []string{"core/host", "core/internal/httpreq"}},
	// No codec: the dialects own the wire forms, and nothing reaches past them.
	{"core/eio", []string{"core/host", "core/internal/packet", "core/internal/dialect", "core/internal/dialect/*", "core/internal/transport", "core/internal/transport/*", "core/internal/virtsocket", "core/internal/inbox", "core/internal/tracker", "internal/safelog"}},
	{"core/sio", []string{"core/acl", "core/cluster", "core/host", "core/internal/jsontext", "core/internal/packet", "core/internal/dialect", "core/internal/dialect/*", "core/internal/transport", "core/internal/transport/*", "core/internal/virtsocket", "core/internal/inbox", "core/internal/tracker", "core/internal/wheel", "core/internal/ratelog", "core/internal/keep", "core/internal/node", "core/internal/forward", "internal/safelog"}},
	{"core/typescript", []string{"core/sio"}},
	// A client of its own: the codecs, and nothing of the server but what is public.
	{"core/siotest", []string{"core/sio", "core/internal/packet", "core/internal/jsontext", "core/internal/codec/*"}},
	{"core/mixin", []string{"core/sio", "core/acl"}},
	{"sessionbridge", []string{"core/sio", "core/host", "core/acl", "internal/safelog"}},
	// What the tests of both backends for fiber share.
	{"sessionbridge/internal/backendtest", []string{"sessionbridge", "core/sio", "conformance"}},
	{"sessionbridge/*", []string{"sessionbridge", "core/sio"}},
	{"doctor", []string{"github.com/gobwas/ws", "github.com/gobwas/ws/wsutil"}},
	{"cmd/sioconform", []string{"conformance"}},
	{"cmd/siodoctor", []string{"doctor"}},
	{"internal/connwatch", []string{"core/host"}},
	{"internal/safelog", nil},
	// What the tests of all adapters share; no adapter imports it outside of tests.
	{"adapters/internal/hosttest", []string{"conformance", "core/sio", "core/host", "internal/*"}},
	// What the tests of all backends of a cluster share.
	{"internal/bustest", []string{"core/cluster"}},
	{"internal/redistest", []string{"internal/testkit"}},
	{"internal/clustertest", []string{"core/cluster", "core/sio", "core/mixin", "internal/wire"}},
	// What the tests of all stores of histories share.
	{"internal/historytest", []string{"core/mixin", "core/sio", "core/cluster", "internal/*"}},
	// Hosts under attack; no adapter imports it outside of tests.
	{"internal/attack", []string{"conformance", "core/sio", "core/acl", "core/host", "internal/*"}},
	{"internal/*", nil},
	{"conformance/selftest", nil},
	// The suite is run outside of this project, so it knows what is public and its own wire code.
	{"conformance", []string{"core/sio", "core/cluster", "core/acl", "core/host", "sessionbridge", "internal/*"}},
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
	seen, used := 0, make([]bool, len(rules))
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
		used[i] = true
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
	for i, rule := range rules {
		if !used[i] {
			t.Errorf("the rule of %s is for no package", rule.pkg)
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
		out, err := exec.Command("go", "list", "-deps", module+"/core/internal/"+pkg).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if strings.HasPrefix(dep, module+"/core/internal/dialect/") || strings.HasPrefix(dep, module+"/core/internal/codec/") {
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
	}
}

// frameworks are what the adapters may import beside the seam.
var frameworks = map[string][]string{
	"gin":    {"github.com/gin-gonic/gin"},
	"echo":   {"github.com/labstack/echo/v4"},
	"echov5": {"github.com/labstack/echo/v5"},
	"chi":    {"github.com/go-chi/chi/v5"},
	"fiber":  {"github.com/gofiber/fiber/v2", module + "/adapters/fiber/fasthttphost"},

	"fiberv3": {"github.com/gofiber/fiber/v3", module + "/adapters/fiber/fasthttphost"},
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
		allowed := append([]string{module + "/core/host", module + "/core/sio", module + "/internal/connwatch"}, frameworks[filepath.Base(filepath.Dir(file))]...)
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
