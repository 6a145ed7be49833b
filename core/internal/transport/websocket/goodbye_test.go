package websocket

import (
	"net"
	"testing"

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
