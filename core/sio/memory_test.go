package sio

import (
	"context"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

// TestArgumentsAreFreed: neither a decoder nor a pool keeps the list of a packet with
// very many arguments, whatever became of the packet.
func TestArgumentsAreFreed(t *testing.T) {
	many := strings.Repeat(",1", 5000)
	srv := NewServer(nil)
	sockets := make(chan *Socket, 1)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; return nil })
	srv.Of("/").On("handled", Handle(func(context.Context, *Socket, int) error { return nil }))
	w := serve(t, srv).Join("")
	s := <-sockets
	dec := &kept{Decoder: *s.client.dec.Load()}
	own := packet.Decoder(dec)
	for _, in := range []string{
		`3999["x"` + many + `]`, // an ack that nobody waits for
		`2["handled"` + many + `]`,
		`2["unknown"` + many + `]`,
	} {
		s.client.dec.Store(&own)
		if r := s.client.Message(false, []byte(in), false); r != 0 {
			t.Fatal(r)
		}
		if p := dec.last; cap(p.Args) > packet.MaxKept || len(p.Args) != 0 || p.Data != nil || p.Name != nil {
			t.Errorf("%.20s: the decoder keeps room for %d arguments", in, cap(p.Args))
		}
	}
	w.Send(`421["handled",1]`)
	for got := ""; !strings.HasPrefix(got, "431"); {
		got = w.Next()
	}
	for range 64 {
		ev := events.Get().(*Event)
		if cap(ev.Args.raw) > packet.MaxKept {
			t.Errorf("an event keeps room for %d arguments", cap(ev.Args.raw))
		}
		if p := packets.Get().(*packet.Packet); cap(p.Args) > packet.MaxKept {
			t.Errorf("a packet keeps room for %d arguments", cap(p.Args))
		}
	}
}

// kept remembers the packet of a decoder.
type kept struct {
	packet.Decoder
	last *packet.Packet
}

func (k *kept) Text(data []byte) (*packet.Packet, error) {
	p, err := k.Decoder.Text(data)
	k.last = p
	return p, err
}
