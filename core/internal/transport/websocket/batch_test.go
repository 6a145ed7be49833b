package websocket

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// batched is a link that counts the batches that are open.
type batched struct {
	endless
	open  atomic.Int32
	frame func(data string)
}

func (l *batched) Begin() { l.open.Add(1) }
func (l *batched) End()   { l.open.Add(-1) }

func (l *batched) Frame(f packet.Frame) error {
	l.frame(string(f.Data))
	return nil
}

// beginBatched returns what the client writes to, and a connection that reads.
func beginBatched(l *batched) (net.Conn, *Conn) {
	l.lost = make(chan error, 1)
	l.stop.Store(true)
	server, client := net.Pipe()
	c := newConn(server, l, 1<<20)
	go c.loop(&reader{c: c})
	return client, c
}

// TestRestIsABatch: what was read behind a message is a batch of its own before the
// reader of that message can end: whoever waits for what was read waits for all of it.
func TestRestIsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &batched{}
		var c *Conn
		second := make(chan int32) // its batch does not end before it is looked at
		l.frame = func(data string) {
			if data == "b" {
				second <- l.open.Load()
				return
			}
			c.Enter()
			c.Detach()
			if n := l.open.Load(); n != 2 {
				t.Errorf("%d batches are open behind Detach", n)
			}
			<-second
		}
		client, conn := beginBatched(l)
		c = conn
		_, _ = client.Write([]byte{0x81, 0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'})
		synctest.Wait()
		if n := l.open.Load(); n != 0 {
			t.Errorf("%d batches are open at the end", n)
		}
		c.Close(transport.NoStatus, "")
		_ = client.Close()
	})
}

// TestLargeFrameIsNoBatch: while a reader waits for the rest of a frame, no batch is open.
func TestLargeFrameIsNoBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &batched{}
		got := ""
		l.frame = func(data string) {
			if got = data; l.open.Load() != 1 {
				t.Errorf("%d batches are open around a message", l.open.Load())
			}
		}
		client, c := beginBatched(l)
		_, _ = client.Write([]byte{0x81, 0xff, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 'a'})
		synctest.Wait()
		if n := l.open.Load(); n != 0 {
			t.Errorf("%d batches wait for the client", n)
		}
		_, _ = client.Write(make([]byte, 2<<16-1))
		synctest.Wait()
		if n := l.open.Load(); n != 0 || len(got) != 2<<16 {
			t.Errorf("%d batches are open at the end, %d bytes", n, len(got))
		}
		c.Close(transport.NoStatus, "")
		_ = client.Close()
	})
}
