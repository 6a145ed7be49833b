package websocket

import (
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
