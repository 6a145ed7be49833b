//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/bench/internal/clock"
	"github.com/siokit/siokit/bench/internal/matrix"
)

// peersBinary is ../peers, built once.
var peersBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		panic(err)
	}
	peersBinary = filepath.Join(dir, "peers")
	if out, err := exec.Command("go", "build", "-o", peersBinary, "../peers").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// peer starts a server of ../peers.
func peer(t *testing.T, args ...string) *options {
	t.Helper()
	addr, err := free()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(peersBinary, append(args, "-addr", addr)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := listening(addr, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return &options{addr: addr, pid: cmd.Process.Pid, n: 3, depth: 4, size: 16, wait: patience,
		warm: 50 * time.Millisecond, time: 200 * time.Millisecond, hold: 100 * time.Millisecond}
}

func TestPeers(t *testing.T) {
	gws := peer(t, "-lib", "gws")
	gws.proto = protoRaw
	gorilla, coder := peer(t, "-lib", "gorilla"), peer(t, "-lib", "coder")
	gorilla.proto, coder.proto, gws.mode = protoRaw, protoRaw, "ws"
	tcp := peer(t, "-lib", "tcp")
	tcp.proto = protoTCP
	all := peer(t, "-lib", "tcp", "-broadcast")
	all.proto = protoTCP
	for name, run := range map[string]func() (*result, error){
		"check gws":     func() (*result, error) { return check(gws) },
		"check gorilla": func() (*result, error) { return check(gorilla) },
		"check coder":   func() (*result, error) { return check(coder) },
		"connect gws":   func() (*result, error) { return connect(gws) },
		"echo gws":      func() (*result, error) { return echo(gws) },
		"broadcast gws": func() (*result, error) { return broadcast(gws) },
		"idle gws":      func() (*result, error) { return idle(gws) },
		"echo tcp":      func() (*result, error) { return echo(tcp) },
		"broadcast tcp": func() (*result, error) { return broadcast(all) },
	} {
		res, err := run()
		if err != nil || res.Errors != 0 || res.Reordered != 0 || res.Count == 0 {
			t.Errorf("%s: %+v (%v)", name, res, err)
		}
	}
}

// TestCheckFindsABrokenServer: one that echoes a broadcast instead of sending it to all.
func TestCheckFindsABrokenServer(t *testing.T) {
	o := peer(t, "-lib", "tcp")
	o.proto = protoTCP
	res, err := check(o)
	if err != nil || res.Errors != 1 || !strings.Contains(res.First, "broadcast") {
		t.Errorf("%+v (%v)", res, err)
	}
}

func TestSlotRefusesAForeignAnswer(t *testing.T) {
	l := newLoad(&options{depth: 2, size: 3})
	if n, err := l.slot([]byte(`42["echo",1,"xxx"]`)); n != 1 || err != nil {
		t.Errorf("slot %d (%v)", n, err)
	}
	for _, text := range []string{`42["echo",2,"xxx"]`, `42["echo",1,"xxxx"]`, `42["b",1,"xxx"]`, ``, `42`} {
		if _, err := l.slot([]byte(text)); err == nil {
			t.Errorf("%q was taken for an answer", text)
		}
	}
}

// TestBounds: the worst round counts, and a round without a figure; the base has no bounds.
func TestBounds(t *testing.T) {
	var cells []matrix.Cell
	for _, c := range []struct{ server, first, second string }{
		{"base", `{"errors":9}`, `{"errors":9,"shutdown_s":9}`},
		{"good", `{"errors":0,"shutdown_s":1}`, `{"errors":0,"shutdown_s":5}`},
		{"slow", `{"errors":0,"shutdown_s":1}`, `{"errors":0,"shutdown_s":5.1}`},
		{"mute", `{"errors":0,"shutdown_s":1}`, `{"errors":0}`},
	} {
		cells = append(cells, matrix.Cell{Server: c.server, Scenario: "idle", Result: json.RawMessage(c.first)},
			matrix.Cell{Round: 1, Server: c.server, Scenario: "idle", Result: json.RawMessage(c.second)},
			matrix.Cell{Server: c.server, Scenario: "other", Result: json.RawMessage(`{"errors":7}`)})
	}
	var most bounds
	for _, text := range []string{"errors=0", "shutdown_s=5"} {
		if err := most.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	text, err := most.check(cells, "idle", "base")
	if err == nil || !strings.HasPrefix(err.Error(), "2 ") || strings.Contains(text, "base") || strings.Count(text, ": ok") != 4 ||
		!strings.Contains(text, "5.1, at most 5: FAILED") || !strings.Contains(text, "nothing, at most 5: FAILED") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := most.check(cells[3:6], "idle", "base"); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	for _, text := range []string{"", "errors", "=1", "errors=x"} {
		if most.Set(text) == nil {
			t.Errorf("%q is a bound", text)
		}
	}
}

func TestProcess(t *testing.T) {
	if kib, err := rss(os.Getpid()); err != nil || kib < 1000 {
		t.Errorf("%d KiB (%v)", kib, err)
	}
	start := time.Now()
	for n := 0; time.Since(start) < 60*time.Millisecond; n++ {
		_ = strconv.Itoa(n)
	}
	if used, err := clock.Used(os.Getpid()); err != nil || used < 10*time.Millisecond {
		t.Errorf("%v (%v)", used, err)
	}
}

func TestOnlyThisMachine(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "example.com:1": false, "10.0.0.1:1": false} {
		if err := loopback(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
