package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// TestLoop is RedBarrel's chat: a function for each client that receives until
// the client has gone, beside an event with a handler.
func TestLoop(t *testing.T) {
	got := &record{}
	ended := make(chan error, 1)
	srv := NewServer(nil)
	n := srv.Of("/")
	n.Loop(func(ctx context.Context, s *Socket) error {
		for {
			ev, err := s.Recv(ctx)
			if err != nil {
				ended <- err
				return nil
			}
			got.add("%s %s", ev.Name, ev.Args)
			if err := ev.Ack(ev.Args); err != nil {
				return err
			}
		}
	})
	n.On("direct", Reply(func(context.Context, *Socket, None) (string, error) { return "handler", nil }))
	c := serve(t, srv)
	w := c.Join("")
	w.Send(`421["a",1]`, `422["direct"]`, `423["message","text"]`, `424["b"]`)
	seen := map[string]bool{}
	for range 4 {
		seen[w.Next()] = true
	}
	if !seen["431[1]"] || !seen[`432["handler"]`] || !seen[`433["text"]`] || !seen["434[]"] {
		t.Error(seen)
	}
	if g := got.take(); g != `a [1]; message ["text"]; b []` {
		t.Error(g)
	}
	w.Reset()
	if err := <-ended; !errors.Is(err, ErrDisconnected) {
		t.Error(err)
	}
}

// TestLoopEnds: what the function returns is what a handler would.
func TestLoopEnds(t *testing.T) {
	for _, row := range []struct {
		what string
		fn   func(ctx context.Context, s *Socket) error
		want []string
	}{
		{"return", func(context.Context, *Socket) error { return nil }, []string{"41"}},
		{"error", func(context.Context, *Socket) error { return Errorf("c", "m") }, []string{`42["error",{"code":"c","message":"m"}]`, "41"}},
		{"other error", func(context.Context, *Socket) error { return errors.New("x") }, []string{`42["error",{"code":"internal","message":"internal error"}]`, "41"}},
		{"panic", func(context.Context, *Socket) error { panic("x") }, []string{`42["error",{"code":"internal","message":"internal error"}]`, "41"}},
		{"iterator", func(ctx context.Context, s *Socket) error {
			for ev := range s.Events(ctx) {
				if ev.Name == "stop" {
					break
				}
				if err := s.Emit("got", ev.Name); err != nil {
					return err
				}
			}
			return nil
		}, []string{`42["got","x"]`, "41"}},
		{"own deadline", func(ctx context.Context, s *Socket) error {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			for {
				if _, err := s.Recv(ctx); err != nil {
					return s.Emit("late", fmt.Sprint(errors.Is(err, context.DeadlineExceeded)))
				}
			}
		}, []string{`42["late","true"]`, "41"}},
	} {
		t.Run(row.what, func(t *testing.T) {
			srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
			srv.Of("/").Loop(row.fn)
			w := serve(t, srv).Join("")
			w.Send(`42["x"]`, `42["stop"]`)
			for _, want := range row.want {
				if m := w.Next(); m != want {
					t.Errorf("%s instead of %s", m, want)
				}
			}
		})
	}
}

// TestLoopIsSlow: events that nobody receives are bounded, acks pass them, and
// the end frees what waits.
func TestLoopIsSlow(t *testing.T) {
	srv := NewServer(nil)
	release := make(chan struct{})
	srv.Of("/").Loop(func(ctx context.Context, s *Socket) error {
		if n, err := Call[int](ctx, s, "q"); errors.Is(err, ErrDisconnected) {
			return nil
		} else if n != 7 || err != nil {
			t.Errorf("%d %v", n, err)
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		for i := range 300 {
			if ev, err := s.Recv(ctx); err != nil || fmt.Sprint(ev.Args) != fmt.Sprintf("[%d]", i) {
				t.Errorf("event %d: %v %v", i, ev, err)
				break
			}
		}
		return nil
	})
	c := serve(t, srv)
	w := c.Join("")
	if m := w.Next(); m != `420["q"]` {
		t.Fatal(m)
	}
	for i := range 300 {
		w.Send(fmt.Sprintf(`42["x",%d]`, i))
	}
	w.Send("430[7]")
	close(release)
	if m := w.Next(); m != "41" {
		t.Error(m)
	}
	left := c.Join("") // leaves while its events wait
	for i := range 300 {
		left.Send(fmt.Sprintf(`42["x",%d]`, i))
	}
	left.Next()
	left.Reset()
}

func TestRecvWithoutLoop(t *testing.T) {
	_, _, _, s := asker(t, nil)
	if _, err := s.Recv(context.Background()); !errors.Is(err, errNoLoop) {
		t.Error(err)
	}
}
