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
	if s.Connected() || srv.Stats().Sockets != 0 {
		t.Error("the socket is connected")
	}
}
