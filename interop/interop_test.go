// Package interop drives official clients and a real browser against the
// examples, on every host.
package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

var adapters = []string{"nethttp", "gin", "echo", "chi", "fiber"}

// need skips a test unless the module is asked for: its tests need Node,
// npm packages and chromium.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("SIOKIT_INTEROP") != "1" {
		t.Skip("needs Node, npm ci and chromium; .ci/run installs them and sets SIOKIT_INTEROP=1")
	}
}

// build builds one of the examples.
func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", bin, "./"+name)
	cmd.Dir = filepath.Join("..", "examples")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return bin
}

// start starts a server and waits for the line that says it listens.
func start(t *testing.T, bin string, args ...string) (addr string, stop func()) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", bin, err)
	}
	_, addr, _ = strings.Cut(line, "http://")
	addr, _, _ = strings.Cut(strings.TrimSpace(addr), " ")
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s did not exit with 0: %v", filepath.Base(bin), err)
			}
		case <-time.After(6 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("%s did not stop within 6 s", filepath.Base(bin))
		}
	}
	t.Cleanup(stop)
	return addr, stop
}

func node(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestClients prints one table: clients and transports down, hosts across.
func TestClients(t *testing.T) {
	need(t)
	bin := build(t, "testapp")
	table := map[string]map[string]string{}
	for _, a := range adapters {
		addr, stop := start(t, bin, "-adapter", a, "-addr", "127.0.0.1:0")
		out, err := node(t, "clients.mjs", "http://"+addr).Output()
		if err != nil {
			t.Errorf("%s: %v", a, err)
		}
		cells := 0
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			var cell struct {
				Client, Transport string
				Failed            []string
			}
			if err := json.Unmarshal([]byte(line), &cell); err != nil {
				t.Errorf("%s: %q: %v", a, line, err)
				continue
			}
			cells++
			row := cell.Client + " " + cell.Transport
			if table[row] == nil {
				table[row] = map[string]string{}
			}
			table[row][a] = "ok"
			if len(cell.Failed) > 0 {
				table[row][a] = fmt.Sprintf("%d failed", len(cell.Failed))
				t.Errorf("%s, client %s: %s", a, row, strings.Join(cell.Failed, "; "))
			}
		}
		if cells != 9 {
			t.Errorf("%s: %d cells instead of 9", a, cells)
		}
		stop()
	}
	var rows []string
	for r := range table {
		rows = append(rows, r)
	}
	sort.Strings(rows)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-18s", "client")
	for _, a := range adapters {
		fmt.Fprintf(&b, "%-12s", a)
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "\n%-18s", r)
		for _, a := range adapters {
			fmt.Fprintf(&b, "%-12s", table[r][a])
		}
	}
	t.Log(b.String())
}

// TestRestart stops the server under connected clients and starts it again.
func TestRestart(t *testing.T) {
	need(t)
	bin := build(t, "testapp")
	for _, a := range adapters {
		t.Run(a, func(t *testing.T) {
			addr, stop := start(t, bin, "-adapter", a, "-addr", "127.0.0.1:0")
			cmd := node(t, "restart.mjs", "http://"+addr)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "up" {
				t.Fatalf("clients did not connect: %q", lines.Text())
			}
			from := time.Now()
			stop()
			if d := time.Since(from); d > 5*time.Second {
				t.Errorf("stopping took %v", d)
			}
			free(t, addr)
			start(t, bin, "-adapter", a, "-addr", addr)
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), "back ") {
				t.Fatalf("clients did not come back: %q", lines.Text())
			}
			t.Log(lines.Text())
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// free waits until an address can be listened at.
func free(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			_ = ln.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestPage has two pages of the chat example talk to each other in a browser.
func TestPage(t *testing.T) {
	need(t)
	bin := build(t, "chat")
	if err := os.MkdirAll("out", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, a := range adapters {
		t.Run(a, func(t *testing.T) {
			addr, _ := start(t, bin, "-adapter", a, "-addr", "127.0.0.1:0")
			cmd := node(t, "page.mjs", "http://"+addr+"/", filepath.Join("out", "chat-"+a+".png"))
			cmd.Stderr = nil
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}
