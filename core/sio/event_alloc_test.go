//go:build !race

package sio

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/internal/wire"
)

// TestEventAllocates what a handler may keep, and nothing else: the event of a handler that takes
// it raw, the string of one that takes a string. The race detector throws away what a sync.Pool
// keeps.
func TestEventAllocates(t *testing.T) {
	s := offline()
	s.ns.On("raw", HandlerFunc(func(context.Context, *Event) error { return nil }))
	s.ns.On("typed", Handle(func(context.Context, *Socket, string) error { return nil }))
	arg := json.RawMessage(`"0123456789abcdef"`)
	p := &packet.Packet{}
	for _, name := range []string{"raw", "typed"} {
		event, ctx := []byte(name), s.Context()
		if n := testing.AllocsPerRun(1000, func() {
			*p = packet.Packet{Type: packet.Event, Namespace: "/", Name: event, Args: append(p.Args[:0], arg)}
			s.client.event(ctx, s, p)
		}); n > 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	// The event that a raw handler may keep is not one that typed handlers use again, and neither
	// is the list of its arguments.
	both := [][]byte{[]byte("raw"), []byte("typed")}
	if n := testing.AllocsPerRun(1000, func() {
		for _, event := range both {
			*p = packet.Packet{Type: packet.Event, Namespace: "/", Name: event, Args: append(p.Args[:0], arg)}
			s.client.event(s.Context(), s, p)
		}
	}); n > 2 {
		t.Errorf("by turns: %v allocations", n)
	}
}

// echoForms are the generations over a websocket, each with an event that comes back as it is.
var echoForms = []struct {
	name, raw, typed string
	most             float64 // allocations of an event
	open             func(c *wire.Client) *wire.WS
}{
	{"4.x", `42["raw","0123456789abcdef"]`, `42["typed","0123456789abcdef"]`, 3, func(c *wire.Client) *wire.WS { return c.Join("") }},
	{"2.x", `42["raw","0123456789abcdef"]`, `42["typed","0123456789abcdef"]`, 3, func(c *wire.Client) *wire.WS {
		w, _ := c.Upgrade("EIO=3&transport=websocket", "")
		w.Next() // the handshake
		w.Next() // the default namespace
		return w
	}},
	{"0.9", `5:::{"name":"raw","args":["0123456789abcdef"]}`, `5:::{"name":"typed","args":["0123456789abcdef"]}`, 3, func(c *wire.Client) *wire.WS {
		w, _ := c.At(c.Path+"1/websocket/"+c.Handshake1("")).Upgrade("", "")
		w.Next()
		return w
	}},
	// A frame of 0.6 may have several messages: each waits in the inbox, as a copy.
	{"0.6", "", "~m~16~m~0123456789abcdef", 14, func(c *wire.Client) *wire.WS {
		w, _ := c.At(c.Path+"websocket").Upgrade("", "")
		w.Next()
		return w
	}},
}

// TestEchoAllocates little in each generation, from the bytes that are read to those that are
// written: what the handler may keep, and what becomes of its arguments in Emit.
func TestEchoAllocates(t *testing.T) {
	srv := NewServer(&Options{Dialects: []string{"eio4", "eio3", "sio1", "sio06"}})
	n := srv.Of("/")
	n.On("raw", HandlerFunc(func(_ context.Context, ev *Event) error { return ev.Socket.Emit("raw", ev.Args) }))
	n.On("typed", Handle(func(_ context.Context, s *Socket, text string) error { return s.Emit("typed", text) }))
	n.OnMessage(Handle(func(_ context.Context, s *Socket, text string) error { return s.Send(text) }))
	c := serve(t, srv)
	for _, row := range echoForms {
		w := row.open(c)
		for form, event := range map[string]string{"raw": row.raw, "typed": row.typed} {
			if event == "" {
				continue
			}
			if w.Send(event); w.Next() != event {
				t.Fatalf("%s: %s does not come back", row.name, event)
			}
			const many = 32
			out := bytes.Repeat(wire.Frame(0x81, []byte(event)), many)
			in := make([]byte, many*(2+len(event)))
			n := testing.AllocsPerRun(50, func() {
				if _, err := w.Conn.Write(out); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(w.Conn, in); err != nil {
					t.Fatal(err)
				}
			}) / many
			if n > row.most {
				t.Errorf("%s %s: %.2f allocations", row.name, form, n)
			}
		}
	}
}

// TestBroadcastAllocates its message, and what a goroutine costs that writes it.
func TestBroadcastAllocates(t *testing.T) {
	for _, row := range emits {
		if row.name == "id" {
			continue // the flusher may lose its race against the next one
		}
		c, once := emitter(t, &Options{}, row.clients, row.emit)
		const many = 256
		run := func() {
			for range many {
				once()
				c.pace(many / 2)
			}
		}
		run()
		if n := testing.AllocsPerRun(10, run) / many; n > 3.5 {
			t.Errorf("%s: %.2f allocations", row.name, n)
		}
	}
}
