package selftest

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

// oneAtATime has all handlers of a connection wait for each other, whatever their
// namespace.
func oneAtATime(srv *sio.Server) {
	key := sio.NewKey[chan struct{}]("the one that runs")
	wait := func(ctx context.Context, s *sio.Socket) (done func()) {
		one := key.GetOrSet(s.Conn(), func() chan struct{} { return make(chan struct{}, 1) })
		select {
		case one <- struct{}{}:
			return func() { <-one }
		case <-ctx.Done():
			return func() {}
		}
	}
	srv.Use(func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			defer wait(ctx, ev.Socket)()
			return next.ServeEvent(ctx, ev)
		})
	})
}

func init() {
	more = append(more,
		breaker{"handles one event of a connection at a time", []string{
			"beside/websocket", "beside/polling", "beside/eio3", "beside/sio1",
		}, fault{server: oneAtATime}},
		breaker{"keeps a client out while it joins", []string{"beside/connecting"}, fault{server: func(srv *sio.Server) {
			srv.OnConnect(func(ctx context.Context, s *sio.Socket) error {
				if s.Namespace().Path() == "/chat" {
					<-ctx.Done()
				}
				return nil
			})
		}}},
		breaker{"keeps OnDisconnect back", []string{"beside/goodbye"}, fault{server: func(srv *sio.Server) {
			over := make(chan struct{})
			leaks = append(leaks, over)
			srv.Of("/chat").OnDisconnect(func(context.Context, *sio.Socket, sio.Reason) { <-over })
		}}},
	)
}
