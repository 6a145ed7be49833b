package websocket

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// lateLink is a link to which a message is given, and whose connection is closed, after the
// writer has looked for messages and before it looks for the close frame.
type lateLink struct {
	sender
	c     *Conn
	looks int
}

func (l *lateLink) Next() []*packet.Message {
	switch l.looks++; l.looks {
	case 1:
		l.c.Close(transport.Normal, "")
	case 2:
		return []*packet.Message{packet.TextMessage("last")}
	}
	return nil
}

// TestCloseFrameBehindTheLast: the close frame does not overtake what was queued before it.
func TestCloseFrameBehindTheLast(t *testing.T) {
	server, client := net.Pipe()
	l := &lateLink{}
	l.c = newConn(server, l, 100)
	l.c.Flush()
	got := make([]byte, 2+len("last")+1)
	for n := 0; n < len(got); {
		m, err := client.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if want := "\x81\x04last\x88"; string(got) != want {
		t.Errorf("%q instead of %q", got, want)
	}
	_ = client.Close()
	l.c.end(transport.ErrClosed)
}

// busy is a connection whose next write takes a while, as in a process that is given no processor.
type busy struct {
	net.Conn
	takes time.Duration
}

func (b *busy) Write(p []byte) (int, error) {
	time.Sleep(b.takes)
	b.takes = 0
	return b.Conn.Write(p)
}

// TestGoodbyeTime: the time that a client has for its close frame begins when that of the server
// is out, and not before.
func TestGoodbyeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		c := newConn(&busy{server, goodbyeTimeout - time.Millisecond}, &sender{}, 100)
		loop := make(chan struct{})
		go func() { c.loop(&reader{c: c}); close(loop) }()
		from := time.Now()
		c.Close(transport.GoingAway, "")
		got := make([]byte, 4)
		if n, err := client.Read(got); err != nil || got[0] != 0x88 {
			t.Fatalf("%x %v", got[:n], err)
		}
		<-loop // nothing comes from the client
		if took, want := time.Since(from), goodbyeTimeout-time.Millisecond+shutdownTimeout; took != want {
			t.Errorf("cut after %v instead of %v", took, want)
		}
		_ = client.Close()
	})
}

// lastLink ends its connection when its only message is written, as a session does that has
// nothing more to say.
type lastLink struct {
	sender
	c *Conn
}

func (l *lastLink) Sent([]*packet.Message) { l.c.Close(transport.GoingAway, "") }

// deadlines notes whether a read deadline that is near was set before the close frame was out.
type deadlines struct {
	*net.TCPConn
	c     *Conn
	early bool
	near  bool
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	if time.Until(t) < goodbyeTimeout/2 {
		d.c.mu.Lock()
		d.early, d.near = d.early || d.c.control.goodbye != nil, true
		d.c.mu.Unlock()
	}
	return d.TCPConn.SetReadDeadline(t)
}

// TestGoodbyeTimeBehindTheLast: so it is when the connection is ended by whoever writes the last
// message.
func TestGoodbyeTimeBehindTheLast(t *testing.T) {
	server, client := tcp(t)
	l := &lastLink{sender: sender{ms: []*packet.Message{packet.TextMessage("last")}, ready: true}}
	l.c = newConn(server, l, 100)
	d := &deadlines{TCPConn: server, c: l.c}
	l.c.nc = d
	l.c.Flush()
	got := make([]byte, 2+len("last")+1)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "\x81\x04last\x88" {
		t.Fatalf("%q %v", got, err)
	}
	if d.early || !d.near {
		t.Errorf("the time began before the frame was out: %v; it began: %v", d.early, d.near)
	}
	l.c.end(transport.ErrClosed)
}
