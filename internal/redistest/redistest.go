// Package redistest starts servers of Redis for tests.
package redistest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/testkit"
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
	port := strconv.Itoa(testkit.Port(t))
	s := &Server{Addr: "127.0.0.1:" + port, t: t, args: append(args, "--port", port, "--bind", "127.0.0.1")}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Restart starts a server that was killed, and returns when it accepts connections. It has
// kept nothing.
func (s *Server) Restart() {
	s.t.Helper()
	// A file, since nobody need read it: a test that looks for goroutines finds none of these.
	log, err := os.CreateTemp(s.t.TempDir(), "log")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Stdout = log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		said, err := os.ReadFile(log.Name())
		switch {
		case err != nil:
			s.t.Fatal(err)
		case bytes.Contains(said, []byte("Ready to accept connections")), bytes.Contains(said, []byte("Sentinel ID is")):
			return
		case time.Now().After(late), bytes.Contains(said, []byte("aborting")):
			s.t.Fatalf("redis-server is not ready:\n%s", said)
		}
	}
}

// patience is how long a server may take to start.
const patience = 30 * time.Second

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
