package websocket

import (
	"io"
	"net"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

// sender is a link that has the same messages again and again.
type sender struct {
	ms    []*packet.Message
	ready bool
}

func (*sender) Frame(packet.Frame) error { return nil }
func (*sender) Unit(packet.Unit) bool    { return false }
func (*sender) Begin()                   {}
func (*sender) End()                     {}
func (s *sender) Next() []*packet.Message {
	if !s.ready {
		return nil
	}
	s.ready = false
	return s.ms
}
func (*sender) Sent([]*packet.Message)   {}
func (*sender) Unsent([]*packet.Message) {}
func (*sender) Lost(error)               {}

// BenchmarkFlush: one message, and sixteen in one write, to a client that reads.
func BenchmarkFlush(b *testing.B) {
	for name, n := range map[string]int{"1": 1, "16": 16} {
		b.Run(name, func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			client, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			go func() { _, _ = io.Copy(io.Discard, client) }()
			server, err := ln.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer server.Close()
			s := &sender{}
			for range n {
				s.ms = append(s.ms, packet.TextMessage("42[\"message\",\"some text\"]"))
			}
			c := newConn(server, s, 100)
			b.ReportAllocs()
			for b.Loop() {
				s.ready = true
				c.Flush()
			}
		})
	}
}
