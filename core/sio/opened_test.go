package sio

import (
	"context"
	"testing"

	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/internal/wire"
)

// TestOpenedBehindTheEnd: a request that opens the first transport of a session may be overtaken by
// the end of the session. The default namespace, which the server joins by itself, is not
// joined behind the last task: OnDisconnect would never run, and a Loop would keep Shutdown.
func TestOpenedBehindTheEnd(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/")
	n.OnConnect(func(context.Context, *Socket) error { t.Error("OnConnect behind the last task"); return nil })
	n.Loop(func(ctx context.Context, s *Socket) error { _, err := s.Recv(ctx); return err })
	c := serve(t, srv)
	c.Handshake1("")
	var vs *virtsocket.Socket
	srv.hub.Each(func(s *virtsocket.Socket) { vs = s })
	vs.Close(virtsocket.ClientNamespace)
	<-srv.running.Idle() // the last task is done
	vs.Handler().Opened()
	cl := vs.Handler().(*client)
	until(t, "nothing waits", func() bool { return cl.inbox.State().Waiting == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), wire.Patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := srv.Stats().Sockets; n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}
