package websocket

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// endless is a link that always has another message, until stop.
type endless struct {
	stop atomic.Bool
	lost chan error
}

func newEndless() *endless { return &endless{lost: make(chan error, 1)} }

func (*endless) Frame(packet.Frame) error { return nil }
func (*endless) Unit(packet.Unit) bool    { return false }
func (*endless) Begin()                   {}
func (*endless) End()                     {}
func (*endless) Sent([]*packet.Message)   {}
func (*endless) Unsent([]*packet.Message) {}
func (l *endless) Lost(err error)         { l.lost <- err }
func (l *endless) Next() []*packet.Message {
	if l.stop.Load() {
		return nil
	}
	return []*packet.Message{packet.TextMessage("one more")}
}

func tcp(t *testing.T) (server, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); c.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// inTime fails when f has not returned after a while.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Errorf("%s does not return", what)
	}
}

// TestFlushIsBounded: whoever flushes is not kept by a client that reads as fast
// as its queue fills.
func TestFlushIsBounded(t *testing.T) {
	server, client := tcp(t)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	l := newEndless()
	c := newConn(server, l, 1000)
	inTime(t, "Flush", c.Flush)
	l.stop.Store(true)
	c.Close(transport.NoStatus, "")
	<-l.lost
}

// stuck is a connection on which everything but reading takes for ever, as with
// TLS and a full send buffer.
type stuck struct {
	net.Conn
	release chan struct{}
	closed  chan struct{}
	once    sync.Once
}

func (s *stuck) wait()                            { <-s.release }
func (s *stuck) Write(p []byte) (int, error)      { s.wait(); return len(p), nil }
func (s *stuck) CloseWrite() error                { s.wait(); return nil }
func (s *stuck) SetReadDeadline(time.Time) error  { s.wait(); return nil }
func (s *stuck) SetWriteDeadline(time.Time) error { s.wait(); return nil }
func (s *stuck) Close() error {
	s.wait()
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// TestNothingWaits: neither Flush nor any Close waits for the connection.
func TestNothingWaits(t *testing.T) {
	for _, code := range []transport.Code{transport.NoStatus, transport.Normal, transport.GoingAway} {
		server, _ := tcp(t)
		s := &stuck{Conn: server, release: make(chan struct{}), closed: make(chan struct{})}
		l := newEndless()
		c := newConn(s, l, 1000)
		inTime(t, "Flush", c.Flush)
		inTime(t, "Close", func() { c.Close(code, "over") })
		inTime(t, "the second Close", func() { c.Close(transport.NoStatus, "") })
		inTime(t, "Lost", func() { <-l.lost })
		l.stop.Store(true)
		close(s.release)
		<-s.closed
	}
}

// metered counts what passes, as a host's listener may do.
type metered struct {
	*net.TCPConn
	read, written atomic.Int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.TCPConn.Read(p)
	m.read.Add(int64(n))
	return n, err
}

func (m *metered) Write(p []byte) (int, error) {
	m.written.Add(int64(len(p))) // before the peer has them
	return m.TCPConn.Write(p)
}

// TestWrappersAreNotBypassed: a host's own type gets every byte, though it has
// the methods of the connection that it embeds.
func TestWrappersAreNotBypassed(t *testing.T) {
	server, client := tcp(t)
	m := &metered{TCPConn: server}
	l := newEndless()
	l.stop.Store(true)
	c := newConn(m, l, 1000)
	loop := make(chan struct{})
	go func() { c.loop(&reader{c: c}); close(loop) }()
	ping := []byte{0x89, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2}
	if _, err := client.Write(ping); err != nil {
		t.Fatal(err)
	}
	var pong [4]byte
	if _, err := io.ReadFull(client, pong[:]); err != nil || string(pong[2:]) != "hi" {
		t.Fatalf("%q %v", pong, err)
	}
	if r, w := m.read.Load(), m.written.Load(); r != int64(len(ping)) || w != 4 {
		t.Errorf("%d bytes read and %d written through the wrapper", r, w)
	}
	c.Close(transport.NoStatus, "")
	<-loop
}
