// Package redistest starts servers of Redis for tests.
package redistest

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Server is a redis-server of its own, on a port of its own, with a folder of its own. It
// ends with its test.
type Server struct {
	// Addr is host and port.
	Addr string

	t    testing.TB
	args []string
	cmd  *exec.Cmd
}

// Start starts redis-server, with more arguments, and skips the test where there is none. With
// SIOKIT_REDIS=required in the environment the test fails instead.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	need(t)
	return start(t, append([]string{"--dir", t.TempDir(), "--save", "", "--appendonly", "no"}, args...))
}

// StartSentinel starts a sentinel with these lines of configuration.
func StartSentinel(t testing.TB, config string) *Server {
	t.Helper()
	need(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, []string{file, "--sentinel"})
}

func need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("SIOKIT_REDIS") == "required" {
			t.Fatal("SIOKIT_REDIS=required, and there is no redis-server")
		}
		t.Skip("there is no redis-server here; Debian's package redis-server has it")
	}
}

func start(t testing.TB, args []string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &Server{Addr: "127.0.0.1:" + port, t: t, args: append(args, "--port", port, "--bind", "127.0.0.1")}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Restart starts a server that was killed, and returns when it accepts connections. It has
// kept nothing.
func (s *Server) Restart() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ready to accept connections") || strings.Contains(lines.Text(), "Sentinel ID is") {
			go drain(lines)
			return
		}
	}
	s.t.Fatalf("redis-server has ended:\n%s", said.String())
}

// drain reads what the server says, so that the server never waits for a reader.
func drain(lines *bufio.Scanner) {
	for lines.Scan() {
	}
}

// Kill ends the server at once.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Stop stops the process, whose connections stay, until Continue.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue lets a stopped process go on.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
