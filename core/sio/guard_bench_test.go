package sio

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/internal/packet"
)

// BenchmarkEcho is an event to the server and back over a websocket, with and
// without a gate in front of it.
func BenchmarkEcho(b *testing.B) {
	for _, row := range []struct {
		name string
		mix  func(n *Namespace)
	}{
		{"open", func(*Namespace) {}},
		{"gate", func(n *Namespace) {
			gate := acl.NewGate(acl.RecvConnect)
			n.Guard(gate)
			n.OnConnected(func(_ context.Context, s *Socket) { gate.Allow(s, "echo") })
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			srv := NewServer(nil)
			n := srv.Of("/")
			n.On("echo", Handle(func(_ context.Context, s *Socket, text string) error { return s.Emit("echo", text) }))
			row.mix(n)
			w := serve(b, srv).Join("")
			const event = `42["echo","0123456789abcdef"]`
			b.ReportAllocs()
			for b.Loop() {
				w.Send(event)
				if m, err := w.Read(); m != event {
					b.Fatal(m, err)
				}
			}
		})
	}
}

// BenchmarkDispatch is the same without the network: from a decoded packet to
// the handler, in the same two ways.
func BenchmarkDispatch(b *testing.B) {
	s := offline()
	n := s.ns
	n.On("echo", Handle(func(context.Context, *Socket, string) error { return nil }))
	arg, name := json.RawMessage(`"0123456789abcdef"`), []byte("echo")
	p := &packet.Packet{}
	run := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			*p = packet.Packet{Type: packet.Event, Namespace: "/", Name: name, Args: append(p.Args[:0], arg)}
			s.client.event(s.Context(), s, p)
		}
	}
	b.Run("open", run)
	gate := acl.NewGate()
	n.Guard(gate)
	gate.Allow(s, "echo")
	b.Run("gate", run)
}

// BenchmarkKeyTwice is what an object in the arguments costs behind a policy.
func BenchmarkKeyTwice(b *testing.B) {
	raw := json.RawMessage(`{"id":17,"text":"0123456789abcdef","from":{"name":"ann","tags":["a","b"]},"at":{"x":1,"y":2}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := keyTwice(raw); err != nil {
			b.Fatal(err)
		}
	}
}
