package mixin_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// BenchmarkHistory is an Emit and a Join with 50 kept events, of a History in the process.
func BenchmarkHistory(b *testing.B) {
	srv := sio.NewServer(nil)
	n := srv.Of("/")
	sockets := make(chan *sio.Socket, 1)
	n.OnConnected(func(_ context.Context, s *sio.Socket) { sockets <- s })
	hs := httptest.NewServer(srv)
	c := wire.New(b, hs.URL, "/socket.io/")
	defer hs.Close()
	defer func() { _ = srv.Shutdown(context.Background()) }()
	defer c.Close()
	w := c.Join("")
	s := <-sockets
	go func() {
		for {
			if _, err := w.Read(); err != nil {
				return
			}
		}
	}()
	h := &mixin.History{}
	b.Run("emit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := h.Emit(n, "nobody", "say", "text", 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, kept := range []int{0, 50} {
		room := fmt.Sprint("room ", kept)
		for range kept {
			_ = h.Emit(n, room, "say", "text", 1)
		}
		b.Run(fmt.Sprint("join/", kept), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := h.Join(s, room); err != nil {
					b.Fatal(err)
				}
				s.Leave(room)
			}
		})
	}
}
