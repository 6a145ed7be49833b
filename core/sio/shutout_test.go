package sio

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
)

// TestShutOutFromElsewhere: a connection that is dropped while OnConnect runs, by somebody
// who has not asked for it there, can do nothing more, whatever OnConnect answers, and
// whatever the client has sent behind its CONNECT.
func TestShutOutFromElsewhere(t *testing.T) {
	run := func(t *testing.T, all bool) {
		srv := NewServer(nil)
		asks, goes := make(chan *Socket), make(chan struct{})
		answer := sync.OnceFunc(func() { close(goes) })
		defer answer()
		srv.Of("/slow").OnConnect(func(_ context.Context, s *Socket) error {
			asks <- s
			<-goes
			return nil
		})
		for _, n := range []*Namespace{srv.Of("/slow"), srv.Of("/")} {
			n.OnConnected(func(_ context.Context, s *Socket) { t.Error("connected: ", s.Namespace().Path()) })
			n.OnDisconnect(func(context.Context, *Socket, Reason) { t.Error("OnDisconnect without a connect") })
			n.On("x", Handle(func(context.Context, *Socket, None) error { t.Error("an event is handled"); return nil }))
		}
		c := serve(t, srv)
		w, _ := c.WebSocket("")
		w.Send("40/slow,")
		s := <-asks
		w.Send(`42/slow,["x"]`, "40", `42["x"]`)
		if all {
			s.Conn().Close()
		} else {
			s.Conn().CloseTransport()
		}
		if got := w.Next(); got != `44/slow,{"message":"Disconnected"}` {
			t.Error(got)
		}
		if got := w.Next(); got != "41/slow," {
			t.Error(got)
		}
		s.Conn().CloseTransport() // twice is once
		s.CloseTransport()
		answer()
		w.End()
		<-s.Conn().Context().Done()
		if srv.Stats().Sockets != 0 {
			t.Error("a namespace is joined")
		}
	}
	t.Run("drop", func(t *testing.T) { run(t, false) })
	t.Run("disconnect-all", func(t *testing.T) { run(t, true) })
}

// TestShutOutOthers: the sockets of other namespaces are told when the client is to stay
// away from everything, and else see the connection end, which the client may repeat.
func TestShutOutOthers(t *testing.T) {
	for _, all := range []bool{false, true} {
		srv := NewServer(nil)
		reasons := make(chan Reason, 1)
		srv.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
		srv.Of("/kick").OnConnect(func(_ context.Context, s *Socket) error {
			if all {
				s.Conn().Close()
			} else {
				s.Conn().CloseTransport()
			}
			return Errorf("no", "no") // the client has been told
		})
		w := serve(t, srv).Join("")
		w.Send("40/kick,")
		want := []string{`44/kick,{"message":"Disconnected"}`, "41/kick,"}
		reason := ServerTransportClose
		if all {
			want, reason = append(want, "41"), ServerNamespace
		}
		start := time.Now()
		for _, p := range want {
			if got := w.Next(); got != p {
				t.Errorf("got %s, want %s", got, p)
			}
		}
		if r := <-reasons; r != reason {
			t.Errorf("got %v, want %v", r, reason)
		}
		if _, err := w.Read(); err == nil {
			t.Error("more than that")
		}
		if time.Since(start) > leaveTime {
			t.Error("the end has waited")
		}
	}
}

// TestShutOutBeforeAdd: a namespace that is being entered when the connection is barred is
// not joined.
func TestShutOutBeforeAdd(t *testing.T) {
	srv := NewServer(nil)
	sockets := make(chan *Socket, 1)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; return nil })
	serve(t, srv).Join("")
	c := (<-sockets).client
	c.mu.Lock()
	c.barred = barredDrop
	c.joining++
	c.mu.Unlock()
	if c.add(&Socket{ns: srv.Of("/other"), client: c}) {
		t.Error("added")
	}
	c.connect(&packet.Packet{Type: packet.Connect, Namespace: "/other"})
	if c.socket("/other") != nil {
		t.Error("joined")
	}
}
