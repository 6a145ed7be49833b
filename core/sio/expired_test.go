package sio

import (
	"context"
	"testing"
)

// TestExpiredWhileConnecting: when the connect timeout comes before the answer of
// OnConnect, the client is not connected any more, however far the connection's end
// has come by then.
func TestExpiredWhileConnecting(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/")
	sockets := make(chan *Socket, 1)
	n.OnConnect(func(_ context.Context, s *Socket) error {
		s.client.Expired(nil)
		sockets <- s
		return nil
	})
	n.OnConnected(func(context.Context, *Socket) { t.Error("connected after its time") })
	c := serve(t, srv)
	w, _ := c.WebSocket("")
	w.Send("40")
	s := <-sockets
	<-s.Context().Done()
	w.End()
	until(t, "no socket is left", func() bool { return srv.Stats().Sockets == 0 })
}

// TestExpiredBeforeWelcome: the same when the timeout has come, and the end of the connection has
// not: the timeout alone keeps the client out.
func TestExpiredBeforeWelcome(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/")
	sockets := make(chan *Socket, 1)
	n.OnConnect(func(_ context.Context, s *Socket) error {
		s.client.mu.Lock()
		s.client.expired = true
		s.client.mu.Unlock()
		sockets <- s
		return nil
	})
	n.OnConnected(func(context.Context, *Socket) { t.Error("connected after its time") })
	w, _ := serve(t, srv).WebSocket("")
	w.Send("40")
	s := <-sockets
	<-s.Context().Done()
	until(t, "no socket is left", func() bool { return srv.Stats().Sockets == 0 })
	w.Send("43/none,1[]") // ends the connection, behind what was sent before
	if got, err := w.Read(); err == nil {
		t.Errorf("the client got %s", got)
	}
}
