//go:build unix

package websocket

import (
	"bytes"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// sized is a link that notes the size of the buffer that each message lies in.
type sized struct {
	*endless
	c    *Conn
	size chan int
}

func (l *sized) Frame(packet.Frame) error {
	l.size <- len(*l.c.current.buf)
	return nil
}

// masked is a text message of a client, with a mask of zeroes.
func masked(n int) []byte {
	return append([]byte{0x81, 0xfe, byte(n >> 8), byte(n), 0, 0, 0, 0}, bytes.Repeat([]byte{'a'}, n)...)
}

// TestBufferSize: a message lies in a buffer of its own size, also when the one before was large:
// its handler may run for long.
func TestBufferSize(t *testing.T) {
	server, client := tcp(t)
	l := &sized{endless: newEndless(), size: make(chan int, 1)}
	l.stop.Store(true)
	l.c = newConn(server, l, 1<<20)
	loop := make(chan struct{})
	go func() { l.c.loop(&reader{c: l.c}); close(loop) }()
	for i, m := range []struct{ bytes, buffer int }{
		{200, smallBuffer}, {16 << 10, largeBuffer}, {16 << 10, largeBuffer},
		{200, smallBuffer}, {200, smallBuffer}, {16 << 10, largeBuffer},
	} {
		if _, err := client.Write(masked(m.bytes)); err != nil {
			t.Fatal(err)
		}
		if got := <-l.size; got != m.buffer {
			t.Errorf("message %d of %d bytes lies in a buffer of %d", i, m.bytes, got)
		}
	}
	l.c.Close(transport.NoStatus, "")
	<-loop
}
