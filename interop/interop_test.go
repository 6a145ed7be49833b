// Package interop drives official clients and a real browser against the
// examples, on every host.
package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/testkit"
)

var adapters = []string{"nethttp", "gin", "echo", "echov5", "chi", "fiber", "fiberv3"}

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

// start starts a server and waits for the line that says it listens. The contract's timeouts are
// short, and many clients of one process share a processor with the server: a client that is not
// quick enough would be gone, and what it was about to hear with it.
func start(t *testing.T, bin string, args ...string) (addr string, stop func()) {
	t.Helper()
	if filepath.Base(bin) == "testapp" {
		args = append(args, "-patience", "20s")
	}
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

// cell is one line of what a script reports.
type cell struct {
	Client, Transport string
	Failed            []string
	Cannot            map[string]string
}

// table has clients and transports down, hosts across.
type table struct {
	cells map[string]map[string]string
	notes map[string]bool
}

// fill runs a script against a testapp on every host and prints the table.
func fill(t *testing.T, script string, cells int) {
	t.Helper()
	bin := build(t, "testapp")
	tab := table{map[string]map[string]string{}, map[string]bool{}}
	for _, a := range adapters {
		addr, stop := start(t, bin, "-adapter", a, "-addr", "127.0.0.1:0")
		out, err := node(t, script, "http://"+addr).Output()
		if err != nil {
			t.Errorf("%s: %v", a, err)
		}
		n := 0
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			var c cell
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Errorf("%s: %q: %v", a, line, err)
				continue
			}
			n++
			tab.add(t, a, c)
		}
		if n != cells {
			t.Errorf("%s: %d cells instead of %d", a, n, cells)
		}
		stop()
	}
	t.Log(tab)
}

func (tab table) add(t *testing.T, adapter string, c cell) {
	t.Helper()
	row := c.Client + " " + c.Transport
	if tab.cells[row] == nil {
		tab.cells[row] = map[string]string{}
	}
	tab.cells[row][adapter] = "ok"
	for what, why := range c.Cannot {
		tab.cells[row][adapter] = "ok *"
		tab.notes[fmt.Sprintf("* %s, not checked: %s; %s", c.Client, what, why)] = true
	}
	if len(c.Failed) > 0 {
		tab.cells[row][adapter] = fmt.Sprintf("%d failed", len(c.Failed))
		t.Errorf("%s, client %s: %s", adapter, row, strings.Join(c.Failed, "; "))
	}
}

// String is the table as text.
func (tab table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-22s", "client")
	for _, a := range adapters {
		fmt.Fprintf(&b, "%-12s", a)
	}
	for _, row := range slices.Sorted(maps.Keys(tab.cells)) {
		fmt.Fprintf(&b, "\n%-22s", row)
		for _, a := range adapters {
			fmt.Fprintf(&b, "%-12s", tab.cells[row][a])
		}
	}
	for _, note := range slices.Sorted(maps.Keys(tab.notes)) {
		b.WriteString("\n" + note)
	}
	return b.String()
}

// TestClients drives the official clients of every generation in Node. There is
// no client of 0.6 to be had; the conformance suite speaks it by hand.
func TestClients(t *testing.T) {
	need(t)
	fill(t, "clients.mjs", 27)
}

// TestOwnOrigin drives the clients whose websocket library writes an origin in a form
// of its own against a server that admits its own origin alone.
func TestOwnOrigin(t *testing.T) {
	need(t)
	bin := build(t, "testapp")
	for _, a := range []string{"nethttp", "fiber"} {
		for client, cells := range map[string]int{"0.9.17": 2, "1.0.6": 3} {
			addr, _ := start(t, bin, "-adapter", a, "-addr", "127.0.0.1:0", "-origins", "")
			out, err := node(t, "clients.mjs", "http://"+addr, client).Output()
			if err != nil || strings.Count(string(out), `"failed":[]`) != cells {
				t.Errorf("%s, client %s: %v\n%s", a, client, err, out)
			}
		}
	}
}

// TestBundles drives the official bundles in a browser.
func TestBundles(t *testing.T) {
	need(t)
	fill(t, "bundles.mjs", 10)
}

// TestContract has the TypeScript compiler check the contract that
// core/typescript writes, as the official client's generics take it.
func TestContract(t *testing.T) {
	need(t)
	if out, err := node(t, "node_modules/typescript/bin/tsc", "-p", "contract").Output(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRoom has clients of four generations meet in one room.
func TestRoom(t *testing.T) {
	need(t)
	bin := build(t, "testapp")
	for _, a := range adapters {
		t.Run(a, func(t *testing.T) {
			addr, _ := start(t, bin, "-adapter", a, "-addr", "127.0.0.1:0")
			out, err := node(t, "room.mjs", "http://"+addr).Output()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s", out)
		})
	}
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

// TestChatComesBack: what is typed into the page while the server is away arrives
// when it is back, behind the page's joining its room.
func TestChatComesBack(t *testing.T) {
	need(t)
	bin := build(t, "chat")
	addr, stop := start(t, bin, "-adapter", "nethttp", "-addr", "127.0.0.1:0")
	comesBack(t, node(t, "pageback.mjs", "http://"+addr+"/"), func() { stop(); free(t, addr) },
		func() { start(t, bin, "-adapter", "nethttp", "-addr", addr) })
}

// TestChatCluster: pages of two processes are in one chat, and a page whose process goes away and
// comes back is in it again, with what it has shown before.
func TestChatCluster(t *testing.T) {
	need(t)
	bin := build(t, "chat")
	bus := strconv.Itoa(testkit.Port(t))
	process := func(addr string) (string, func()) {
		return start(t, bin, "-adapter", "nethttp", "-cluster", "-bus", bus, "-secret", "known to this test alone", "-addr", addr)
	}
	here, stop := process("127.0.0.1:0") // is the NATS server: it was alone
	there, _ := process("127.0.0.1:0")
	comesBack(t, node(t, "pagecluster.mjs", "http://"+here+"/", "http://"+there+"/"), func() { stop(); free(t, here) },
		func() { process(here) })
}

// comesBack runs a script whose page has its server taken away and given back.
func comesBack(t *testing.T, cmd *exec.Cmd, take, give func()) {
	t.Helper()
	tell, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the page says %q instead of %q", lines.Text(), want)
		}
	}
	expect("up")
	take()
	_, _ = fmt.Fprintln(tell, "gone")
	expect("away")
	give()
	_, _ = fmt.Fprintln(tell, "back")
	expect("came back")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestLogin drives the login examples with the framework's own sessions.
func TestLogin(t *testing.T) {
	need(t)
	for _, args := range [][]string{{"login-gin"}, {"login-echo"}, {"login-echov5"}, {"login-chi", "-sessions", "scs"}, {"login-chi", "-sessions", "gorilla"}, {"login-fiber"}, {"login-fiberv3"}} {
		t.Run(strings.Join(args, ""), func(t *testing.T) {
			addr, _ := start(t, build(t, args[0]), append(args[1:], "-addr", "127.0.0.1:0")...)
			cmd := node(t, "login.mjs", "http://"+addr+"/")
			cmd.Stderr = nil
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// TestReference runs the conformance suite against the official servers. What
// they do otherwise is listed with the reason in the files beside this one; a
// case that is listed and passes is an error too.
func TestReference(t *testing.T) {
	need(t)
	bin := filepath.Join(t.TempDir(), "sioconform")
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/sioconform")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, ref := range []struct{ generation, caps string }{
		{"4.8", "websocket,streaming,partial-body,client-gone,host-cookies,eio4,eio3,recovery"},
		{"0.9", "websocket,streaming,partial-body,client-gone,sio1,jsonp"},
	} {
		t.Run(ref.generation, func(t *testing.T) {
			t.Parallel() // most of the time something is waited for that does not come
			addr, _ := start(t, "node", "reference.mjs", ref.generation)
			args := []string{"-url", "http://" + addr, "-caps", ref.caps, "-patience", "3s", "-known", "reference-" + ref.generation + ".known"}
			if skip := "reference-" + ref.generation + ".skip"; exists(skip) {
				args = append(args, "-skip", skip)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			report, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
			_ = os.MkdirAll("out", 0o750)
			_ = os.WriteFile(filepath.Join("out", "reference-"+ref.generation+".txt"), report, 0o600)
			if err != nil {
				t.Errorf("%v\n%s", err, report)
				return
			}
			_, summary, _ := strings.Cut(string(report), "conformance: ")
			t.Log(summary)
		})
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
