package virtsocket

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

func TestVolatile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c, r := open(t, Options{})
		c.mu.Lock()
		c.jam = true
		c.mu.Unlock()
		m := packet.TextMessage("4v")
		_ = r.s.SendVolatile(m)
		_ = r.s.SendVolatile(m)
		_ = r.s.SendVolatile(m)
		if d := h.Dropped(); d != 2 {
			t.Errorf("%d dropped", d)
		}
		c.mu.Lock()
		c.jam = false
		c.mu.Unlock()
		<-h.Shutdown()
		time.Sleep(time.Second)
	})
}

func TestFanout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c, r := open(t, Options{})
		var f Fanout
		f.Begin(h)
		m := packet.TextMessage("4b")
		for range 5 {
			f.Send(r.s, m, false)
		}
		f.Done()
		if f.batch != [flushChunk]*outbox{} {
			t.Error("a fan-out that is done holds sockets")
		}
		synctest.Wait()
		if got := strings.Join(c.all()[1:], " "); got != "4b 4b 4b 4b 4b" {
			t.Errorf("%s", got)
		}
		<-h.Shutdown()
		time.Sleep(time.Second)
	})
}

func BenchmarkSend(b *testing.B) {
	h := NewHub(filled(Options{
		Dialects: []dialect.Dialect{eio4.New(packet.DefaultLimits)},
		Accept:   func(*Socket, host.Exchange) (Handler, *dialect.Refusal) { return nil, nil },
	}))
	s := h.newSocket(h.opts.Dialects[0])
	c := &discard{link: s}
	s.out.attach(c)
	m := packet.TextMessage(`42["echo","0123456789abcdef"]`)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Send(m)
	}
}

// discard is a transport that takes everything.
type discard struct {
	fakeConn
	link transport.Link
}

func (c *discard) Flush() {
	for ms := c.link.Next(); ms != nil; ms = c.link.Next() {
		c.link.Sent(ms)
	}
}
