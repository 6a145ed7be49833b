package sio

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// TestLoopCutOff: a Loop gets none of the events that wait when the application ends the socket,
// as a handler would not, and all of them when the client has gone.
func TestLoopCutOff(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(s *Socket)
		then func(w *wire.WS) // what the client does
		got  int
	}{
		{"Disconnect", func(s *Socket) { s.Disconnect() }, nil, 0},
		{"ExpireAt", func(s *Socket) { _ = s.ExpireAt(past()) }, nil, 0},
		{"CloseTransport", func(s *Socket) { s.CloseTransport(); <-s.Context().Done() }, nil, 0},
		{"Conn.Close", func(s *Socket) { s.Conn().Close() }, nil, 0},
		{"the client leaves", func(s *Socket) { <-s.Context().Done() }, func(w *wire.WS) { w.Send("41") }, 3},
		{"the connection ends", func(s *Socket) { <-s.Context().Done() }, (*wire.WS).Reset, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv := NewServer(nil)
			got, waits := make(chan int, 1), make(chan struct{})
			srv.Of("/").Loop(func(_ context.Context, s *Socket) error {
				until(t, "three events wait", func() bool { return len(s.received().events) == 3 })
				close(waits)
				row.end(s)
				n := 0
				for {
					_, err := s.Recv(context.Background())
					if err != nil {
						if !errors.Is(err, ErrDisconnected) {
							t.Error(err)
						}
						break
					}
					n++
				}
				got <- n
				return nil
			})
			w := serve(t, srv).Join("")
			w.Send(`42["a"]`, `42["b"]`, `42["c"]`)
			if row.then != nil {
				<-waits
				row.then(w)
			}
			if n := <-got; n != row.got {
				t.Errorf("%d events, want %d", n, row.got)
			}
		})
	}
}

// TestShutdownLoopFails: a client whose Loop fails while the server shuts down is told so, as at
// any other time, however long Options.OnError takes before that.
func TestShutdownLoopFails(t *testing.T) {
	runs, may := make(chan struct{}, 1), make(chan struct{})
	srv := NewServer(&Options{
		Logger: slog.New(slog.DiscardHandler),
		OnError: func(f Failure) {
			select {
			case <-f.Socket.Context().Done():
				t.Error("the socket has ended before its client was told")
			case <-time.After(100 * time.Millisecond):
			}
		},
	})
	srv.Of("/").Loop(func(ctx context.Context, s *Socket) error {
		if _, err := s.Recv(ctx); err != nil {
			return err
		}
		runs <- struct{}{}
		<-may
		return errors.New("it fails")
	})
	w := serve(t, srv).Join("")
	w.Send(`42["a"]`)
	<-runs
	done := shut(srv)
	cl := srv.one(t).client
	until(t, "the turn", func() bool { return !cl.inbox.Put("probe", 0, task{}) })
	close(may)
	wantNext(t, w.Next, `42["error",{"code":"internal","message":"internal error"}]`, "41")
	if code := w.End().Code; code != 1001 {
		t.Errorf("the end is %d", code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
