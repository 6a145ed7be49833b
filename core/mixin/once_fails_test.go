package mixin_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// TestOnceFails: a handler that fails after its connection has ended does not run again, although
// the server answers a moment later: Options.OnError is told before that.
func TestOnceFails(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func() error
	}{
		{"error", func() error { return errors.New("half done") }},
		{"panic", func() error { panic("half done") }},
		{"end of the goroutine", func() error { runtime.Goexit(); return nil }},
	} {
		t.Run(row.name, func(t *testing.T) {
			told, answers := make(chan struct{}, 9), make(chan struct{})
			mayAnswer := sync.OnceFunc(func() { close(answers) })
			srv := sio.NewServer(&sio.Options{
				Logger:  slog.New(slog.DiscardHandler),
				OnError: func(sio.Failure) { told <- struct{}{}; <-answers },
			})
			n := srv.Of("/")
			n.Mix(&mixin.Once{Client: clientName})
			var runs atomic.Int32
			inside := make(chan struct{}, 1)
			n.On("pay", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
				if runs.Add(1) > 1 {
					t.Error("the handler runs again")
					return nil
				}
				inside <- struct{}{}
				<-s.Context().Done()
				return row.end()
			}))
			n.On("next", sio.Reply(func(context.Context, *sio.Socket, sio.None) (int, error) { return 1, nil }))
			hs := httptest.NewServer(srv)
			c := wire.New(t, hs.URL, "/socket.io/")
			t.Cleanup(func() {
				mayAnswer()
				c.Close()
				ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
				defer cancel()
				if err := srv.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				hs.Close()
			})
			a := join4(t, c, "a")
			a.Send(`421["pay",{"once":1}]`)
			<-inside
			a.Reset()
			<-told
			b := join4(t, c, "a")
			b.Send(`422["pay",{"once":1}]`, `423["next"]`) // the second one has its turn behind the first
			if got := b.Next(); got != "433[1]" {
				t.Errorf("%s instead of the ack of the event behind", got)
			}
			mayAnswer()
			if got := b.Next(); got != `432[{"error":{"code":"internal","message":"internal error"}}]` {
				t.Errorf("the repetition got %s", got)
			}
		})
	}
}
