//go:build linux

package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// entry is one server that takes part.
type entry struct {
	Name    string
	Is      string // what it is, with the version
	Proto   string
	Cmd     []string `json:"-"`
	ToAll   []string `json:"-"` // of a server that either echoes or sends to all: the other one
	Ours    bool     // siokit
	Drawn   bool     // in the plots
	Version string
}

// built is what can be measured here.
type built struct {
	gen     string
	entries []entry
	left    []string // a sentence for each that is left out
}

// hosts are the test server's names of them, and the module of the framework.
var hosts = []struct{ name, flag, module string }{
	{"net/http", "nethttp", ""},
	{"gin", "gin", "github.com/gin-gonic/gin"},
	{"echo", "echo", "github.com/labstack/echo/v4"},
	{"echo v5", "echov5", "github.com/labstack/echo/v5"},
	{"chi", "chi", "github.com/go-chi/chi/v5"},
	{"fiber", "fiber", "github.com/gofiber/fiber/v2"},
	{"fiber v3", "fiberv3", "github.com/gofiber/fiber/v3"},
}

// libraries are the peers of bench/peers that are bare websockets.
var libraries = []struct{ name, module string }{
	{"gws", "github.com/lxzan/gws"},
	{"gorilla", "github.com/gorilla/websocket"},
	{"coder", "github.com/coder/websocket"},
}

// The names of the servers that others are compared with.
const (
	library = "gws"
	floor   = "TCP"
	node    = "socket.io"
	port    = "zishang520"
)

// build builds what is asked for. What cannot be had is left out; siokit and the generator can.
func (s *settings) build(dir string) (*built, error) {
	b := &built{gen: filepath.Join(dir, "loadgen")}
	testapp, peers := filepath.Join(dir, "testapp"), filepath.Join(dir, "peers")
	if err := errors.Join(
		compile(s.root, b.gen, "./bench/loadgen"),
		compile(s.root, testapp, "./examples/testapp"),
		compile(s.root, peers, "./bench/peers"),
	); err != nil {
		return nil, err
	}
	apps, err := versions(testapp)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		b.entries = append(b.entries, entry{
			Name: h.name, Is: "siokit on " + h.name, Version: apps[h.module], Ours: true, Proto: "sio5",
			Drawn: h.flag == "nethttp" || h.flag == "fiber",
			Cmd:   []string{testapp, "-profile", "load", "-adapter", h.flag, "-addr", "{addr}"},
		})
	}
	s.node(b)
	s.port(b, filepath.Join(dir, "port"))
	libs, err := versions(peers)
	if err != nil {
		return nil, err
	}
	for _, l := range libraries {
		b.entries = append(b.entries, entry{
			Name: l.name, Is: l.module + ", a bare websocket", Version: libs[l.module], Proto: "raw", Drawn: l.name == library,
			Cmd: []string{peers, "-lib", l.name, "-addr", "{addr}"},
		})
	}
	b.entries = append(b.entries, entry{
		Name: floor, Is: "TCP on one event loop, without websockets", Proto: "tcp", Drawn: true,
		Cmd:   []string{peers, "-lib", "tcp", "-addr", "{addr}"},
		ToAll: []string{peers, "-lib", "tcp", "-broadcast", "-addr", "{addr}"},
	})
	return b, s.only(b)
}

// only keeps the servers that were asked for.
func (s *settings) only(b *built) error {
	if s.servers == nil {
		return nil
	}
	var errs []error
	for _, name := range s.servers {
		if !slices.ContainsFunc(b.entries, func(e entry) bool { return e.Name == name }) {
			errs = append(errs, fmt.Errorf("-servers: there is no %q; %s", name, strings.Join(b.left, " ")))
		}
	}
	b.entries = slices.DeleteFunc(b.entries, func(e entry) bool { return !slices.Contains(s.servers, e.Name) })
	return errors.Join(errs...)
}

func compile(dir, out, pkg string, env ...string) error {
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, text)
	}
	return nil
}

// versions are those of the modules that a program is made of.
func versions(program string) (map[string]string, error) {
	list, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, m := range list.Deps {
		found[m.Path] = m.Version
	}
	return found, nil
}

// port adds the port of socket.io to Go. It is built with the versions of its own go.mod.
func (s *settings) port(b *built, out string) {
	const module = "github.com/zishang520/socket.io/servers/socket/v3"
	err := compile(filepath.Join(s.root, "bench", "peers", "zishang520"), out, ".", "GOWORK=off")
	var list map[string]string
	if err == nil {
		list, err = versions(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", port+":", err)
		b.left = append(b.left, port+": "+module+" cannot be built here.")
		return
	}
	b.entries = append(b.entries, entry{
		Name: port, Is: "a port of socket.io to Go, " + module, Version: list[module], Proto: "sio5", Drawn: true,
		Cmd: []string{out, "-addr", "{addr}"},
	})
}

// node adds the servers on Node, where there is one. A quick run installs nothing.
func (s *settings) node(b *built) {
	dir := filepath.Join(s.root, "bench", "peers", "node")
	leave := func(why string) { b.left = append(b.left, node+" and ws: "+why) }
	if _, err := exec.LookPath("node"); err != nil {
		leave("there is no Node here.")
		return
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "ws")); err != nil {
		if s.quick {
			leave("their packages are not installed, and a quick run does not do that.")
			return
		}
		cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund")
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		if err := cmd.Run(); err != nil {
			leave("their packages cannot be installed here.")
			return
		}
	}
	for _, e := range []entry{
		{Name: node, Is: "socket.io on Node, with ws", Proto: "sio5", Drawn: true, Cmd: []string{"socketio.mjs"}},
		{Name: "ws", Is: "ws on Node, a bare websocket", Proto: "raw", Cmd: []string{"ws.mjs"}},
	} {
		text, err := os.ReadFile(filepath.Join(dir, "node_modules", e.Name, "package.json"))
		var pkg struct{ Version string }
		if err = errors.Join(err, json.Unmarshal(text, &pkg)); err != nil {
			leave("their packages are not whole.")
			return
		}
		e.Version = pkg.Version
		e.Cmd = []string{"node", "--expose-gc", filepath.Join(dir, e.Cmd[0]), "{addr}"}
		b.entries = append(b.entries, e)
	}
}
