package sio

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/siokit/siokit/internal/wire"
)

// goodbye sends events and then the close frame, all in one write, and lets the handler
// of the first one return only when the socket has ended.
func goodbye(t *testing.T, srv *Server, events int) {
	t.Helper()
	w := serve(t, srv).Join("")
	var packets []string
	for i := range events {
		packets = append(packets, fmt.Sprintf(`42["n",%d]`, i))
	}
	w.Send(packets...)
	_ = w.Raw(wire.Frame(0x88, []byte{3, 232}))
}

// TestGoodbyeWhileWaiting: an event that waits for its turn with Concurrent, or for a
// Loop, when its client says goodbye is handled like those behind it.
func TestGoodbyeWhileWaiting(t *testing.T) {
	t.Run("Concurrent", func(t *testing.T) {
		srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
		got := &record{}
		ended := make(chan struct{})
		srv.Of("/").Use(Concurrent(1))
		srv.Of("/").On("n", Handle(func(ctx context.Context, s *Socket, n int) error {
			if n == 0 {
				<-s.Context().Done()
			}
			got.add("%d", n)
			return nil
		}))
		srv.Of("/").OnDisconnect(func(context.Context, *Socket, Reason) { close(ended) })
		goodbye(t, srv, 5)
		<-ended
		if g := got.take(); g != "0; 1; 2; 3; 4" {
			t.Error(g)
		}
	})
	t.Run("Loop", func(t *testing.T) {
		const events = maxRecv + 6
		srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
		got := 0
		ended := make(chan struct{})
		srv.Of("/").Loop(func(ctx context.Context, s *Socket) error {
			defer close(ended)
			<-s.Context().Done()
			for {
				if _, err := s.Recv(context.Background()); err != nil {
					return err
				}
				got++
			}
		})
		goodbye(t, srv, events)
		<-ended
		if got != events {
			t.Errorf("%d of %d events", got, events)
		}
	})
}

// TestRejoinBehindTheEnd: the end of a socket is told before its client joins again.
func TestRejoinBehindTheEnd(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	got := &record{}
	n := srv.Of("/chat")
	hold, second := make(chan *Socket), make(chan struct{})
	joins := 0
	n.OnConnect(func(context.Context, *Socket) error { joins++; got.add("connect %d", joins); return nil })
	n.OnDisconnect(func(_ context.Context, s *Socket, _ Reason) { got.add("disconnect, in %d rooms", len(s.Rooms())) })
	n.On("slow", Handle(func(_ context.Context, s *Socket, _ None) error { hold <- s; <-hold; return nil }))
	n.On("last", Handle(func(context.Context, *Socket, None) error { close(second); return nil }))
	w := serve(t, srv).Join("/chat")
	w.Send(`42/chat,["slow"]`, "41/chat,", "40/chat,", `42/chat,["last"]`)
	for s := <-hold; s.client.inbox.State().Waiting < 3; runtime.Gosched() {
	}
	close(hold)
	<-second
	if g := got.take(); !strings.HasPrefix(g, "connect 1; disconnect, in ") || !strings.HasSuffix(g, "; connect 2") {
		t.Error(g)
	}
}

// exits ends the goroutine that encodes it.
type exits struct{}

func (exits) MarshalJSON() ([]byte, error) { runtime.Goexit(); return nil, nil }

// TestErrorsThatExit: who encodes the data of an error may end the goroutine; the client
// hears all the same.
func TestErrorsThatExit(t *testing.T) {
	bad := &Error{Code: "bad", Message: "bad", Data: exits{}}
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	srv.Of("/").On("e", Handle(func(context.Context, *Socket, None) error { return bad }))
	srv.Of("/refused").OnConnect(func(context.Context, *Socket) error { return bad })
	w := serve(t, srv).Join("")
	w.Send(`420["e"]`)
	if got := w.Next(); !strings.HasPrefix(got, "430[") || !strings.Contains(got, "internal") {
		t.Errorf("ack: %s", got)
	}
	w.Send(`42["e"]`)
	if got := w.Next(); !strings.Contains(got, "internal") {
		t.Errorf("no ack: %s", got)
	}
	w.Send("40/refused,")
	if got := w.Next(); !strings.HasPrefix(got, "44/refused,") {
		t.Errorf("refusal: %s", got)
	}
	w.Send(`421["e"]`)
	if got := w.Next(); !strings.HasPrefix(got, "431[") {
		t.Errorf("later: %s", got)
	}
}

// TestConcurrentTwice: an event that passes the same bound twice has one slot, whatever
// context a middleware in between hands on.
func TestConcurrentTwice(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	one := Concurrent(1)
	srv.Of("/").Use(one, func(next Handler) Handler {
		return HandlerFunc(func(_ context.Context, ev *Event) error { return next.ServeEvent(context.Background(), ev) })
	}, one)
	srv.Of("/").On("e", Handle(func(_ context.Context, s *Socket, _ None) error { return s.Emit("done") }))
	w := serve(t, srv).Join("")
	w.Send(`42["e"]`)
	if got := w.Next(); got != `42["done"]` {
		t.Error(got)
	}
}
