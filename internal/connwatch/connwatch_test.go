package connwatch_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/connwatch"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func pair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

func TestGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system cannot be asked")
	}
	server, client := pair(t)
	w := connwatch.Start(server, nil)
	defer w.Stop()
	if !w.Present() {
		t.Error("absent while connected")
	}
	_, _ = client.Write([]byte("pipelined bytes do not hide the end"))
	_ = client.Close()
	select {
	case <-w.Gone():
	case <-time.After(5 * time.Second):
		t.Fatal("not noticed")
	}
	if w.Present() {
		t.Error("present after it left")
	}
}

func TestShutdown(t *testing.T) {
	server, _ := pair(t)
	done := make(chan struct{})
	w := connwatch.Start(server, done)
	defer w.Stop()
	close(done)
	<-w.Gone()
	if !w.Present() {
		t.Error("the peer has not left")
	}
}

func TestDuplicate(t *testing.T) {
	server, client := pair(t)
	own, err := connwatch.Duplicate(server)
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	if _, err := own.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	_ = own.Close()
	if b, _ := io.ReadAll(client); string(b) != "still here" {
		t.Errorf("%q", b)
	}
	a, _ := net.Pipe()
	if _, err := connwatch.Duplicate(a); err != connwatch.ErrNoDescriptor {
		t.Errorf("a pipe: %v", err)
	}
	// It has the methods of the connection, but it may hold what it has read ahead.
	if _, err := connwatch.Duplicate(struct{ *net.TCPConn }{own.(*net.TCPConn)}); err != connwatch.ErrNoDescriptor {
		t.Errorf("a wrapper: %v", err)
	}
}

// TestUnsent: what a peer has not read is counted, what it has read is not.
func TestUnsent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it cannot be known here")
	}
	server, client := pair(t)
	if n := connwatch.Unsent(server); n != 0 {
		t.Errorf("%d bytes of nothing", n)
	}
	_ = server.SetWriteDeadline(time.Now().Add(time.Second))
	size, _ := server.Write(make([]byte, 64<<20)) // as much as fits
	if n := connwatch.Unsent(tls.Server(server, nil)); n == 0 || n > size {
		t.Errorf("%d of %d bytes", n, size)
	}
	if _, err := io.CopyN(io.Discard, client, int64(size)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); connwatch.Unsent(server) > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are left", connwatch.Unsent(server))
		}
	}
}
