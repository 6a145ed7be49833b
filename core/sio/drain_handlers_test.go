package sio

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// TestShutdownHandlers: whatever kind of handler runs, and what waits behind it, is answered
// before the connection ends.
func TestShutdownHandlers(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(n *Namespace, h Handler) // registers h
		opts Options
		sent int // events
		runs int // of them at once
		rest int // that wait in the inbox, before it or for Recv
	}{
		{"behind one another", func(n *Namespace, h Handler) { n.On("slow", h) }, Options{}, 4, 1, 3},
		{"beyond the bound of the inbox", func(n *Namespace, h Handler) { n.On("slow", h) }, Options{MaxInbox: 2}, 4, 1, 3},
		{"Concurrent", func(n *Namespace, h Handler) { n.On("slow", h, Concurrent(4)) }, Options{}, 4, 4, 0},
		{"Loop", func(n *Namespace, h Handler) {
			n.Loop(func(ctx context.Context, s *Socket) error {
				for ev := range s.Events(ctx) {
					if err := h.ServeEvent(ctx, ev); err != nil {
						return err
					}
				}
				return nil
			})
		}, Options{}, 4, 1, 3},
	} {
		send := func(t *testing.T, w func(packets ...string), next func() string) {
			var packets []string
			for i := range row.sent {
				packets = append(packets, fmt.Sprintf(`42%d["slow",%d]`, i, i))
			}
			w(packets...)
			for i := range row.sent {
				if got := next(); row.runs == 1 && got != fmt.Sprintf(`43%d["done %d"]`, i, i) || !strings.HasPrefix(got, "43") {
					t.Errorf("answer %d is %s", i, got)
				}
			}
		}
		one := func(t *testing.T, polling bool) {
			srv := NewServer(&row.opts)
			runs, may := make(chan int, 10), make(chan struct{})
			row.set(srv.Of("/"), Reply(func(_ context.Context, _ *Socket, n int) (string, error) {
				runs <- n
				<-may
				return fmt.Sprintf("done %d", n), nil
			}))
			c := serve(t, srv)
			done := make(<-chan error)
			next := func(have func() string) func() string {
				first := true
				return func() string {
					if first {
						first = false
						for range row.runs {
							<-runs
						}
						if row.rest > 0 {
							s := srv.one(t)
							until(t, "the others wait", func() bool {
								// Close takes what a reader holds that waits for room, not what is still to be read.
								st := s.client.inbox.State()
								return st.Waiting+st.Stalled+len(s.received().events) >= row.rest
							})
						}
						done = shut(srv)
						until(t, "handshakes are refused", func() bool { return c.Must("GET", "EIO=4&transport=polling", "").Status == 503 })
						c := srv.one(t).client
						until(t, "the turn", func() bool { // a payload that has begun is put whole before it
							return polling && c.inbox.State().Stalled > 0 || !c.inbox.Put("probe", 0, task{})
						})
						close(may)
					}
					return have()
				}
			}
			if polling {
				s := c.Polling()
				s.Join("")
				var have []string
				send(t, func(packets ...string) { go s.Post(strings.Join(packets, "\x1e")) }, next(func() string {
					if len(have) == 0 {
						have = s.Packets(1)
					}
					p := have[0]
					have = have[1:]
					return p
				}))
				if a := s.Get(); a.Body != "6\x1e1" && a.Body != "1" {
					t.Errorf("the end is %v", a)
				}
			} else {
				w := c.Join("")
				send(t, w.Send, next(w.Next))
				if code := w.End().Code; code != 1001 {
					t.Errorf("the end is %d", code)
				}
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		t.Run(row.name, func(t *testing.T) { one(t, false) })
		t.Run(row.name+", polling", func(t *testing.T) { one(t, true) })
	}
}

// one is the only socket of the default namespace.
func (s *Server) one(t *testing.T) *Socket {
	t.Helper()
	all := s.Of("/").All().sockets()
	if len(all) != 1 {
		t.Fatalf("%d sockets", len(all))
	}
	return all[0]
}

// TestShutdownAsks: a handler that waits for an ack of its client gets it while the server
// shuts down.
func TestShutdownAsks(t *testing.T) {
	set := func() *Server {
		srv := NewServer(nil)
		srv.Of("/").On("ask", Reply(func(ctx context.Context, s *Socket, _ None) (string, error) {
			return Call[string](ctx, s, "question")
		}))
		return srv
	}
	t.Run("websocket", func(t *testing.T) {
		srv := set()
		w := serve(t, srv).Join("")
		w.Send(`427["ask"]`)
		if got := w.Next(); got != `420["question"]` {
			t.Fatal(got)
		}
		done := shut(srv)
		turned(t, srv, 1)
		w.Send(`42["ask"]`, `430["yes"]`)
		if got := w.Next(); got != `437["yes"]` {
			t.Error(got)
		}
		if err := w.End(); err.Code != 1001 {
			t.Error(err)
		}
		<-done
	})
	t.Run("polling", func(t *testing.T) {
		srv := set()
		s := serve(t, srv).Polling()
		s.Join("")
		s.Post(`427["ask"]`)
		if got := s.Packets(1)[0]; got != `420["question"]` {
			t.Fatal(got)
		}
		done := shut(srv)
		turned(t, srv, 1)
		held := s.Hold()
		if a := s.Post("42[\"ask\"]\x1e430[\"yes\"]"); a.Status != 200 {
			t.Error(a)
		}
		if got := (<-held).Body; got != `437["yes"]` {
			t.Error(got)
		}
		<-done
	})
}

// TestShutdownBeside: a client with nothing running leaves at once, while another one's
// handler runs.
func TestShutdownBeside(t *testing.T) {
	srv, runs, may := slowServer(Options{})
	c := serve(t, srv)
	busy, idle := c.Join(""), c.Join("")
	poll := c.Polling()
	poll.Join("")
	held := poll.Hold()
	busy.Send(`421["slow",1]`)
	<-runs
	done := shut(srv)
	if code := idle.End().Code; code != 1001 {
		t.Error(code)
	}
	if got := (<-held).Body; got != "1" && got != "6\x1e1" { // the poll may have come later
		t.Error(got)
	}
	// A client has its end before the server has done with its sockets.
	until(t, "the busy one alone is left", func() bool { return srv.Stats().Sockets == 1 })
	may <- struct{}{}
	if got := busy.Next(); got != `431["done 1"]` {
		t.Error(got)
	}
	<-done
}

// TestAnswerTimeout: a handler that stays for as long as its client does keeps the
// connection for Drain.AnswerTimeout alone.
func TestAnswerTimeout(t *testing.T) {
	srv := NewServer(&Options{Drain: Drain{AnswerTimeout: 100 * time.Millisecond}})
	runs := make(chan struct{}, 1)
	srv.Of("/").On("stay", Handle(func(ctx context.Context, _ *Socket, _ None) error {
		runs <- struct{}{}
		<-ctx.Done()
		return nil
	}))
	w := serve(t, srv).Join("")
	w.Send(`42["stay"]`)
	<-runs
	from := time.Now()
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if d := time.Since(from); d < 100*time.Millisecond || d > 5*time.Second {
		t.Errorf("Shutdown took %v", d)
	}
	if code := w.End().Code; code != 1001 {
		t.Error(code)
	}
}

// TestShutdownCutShort: when the context ends, those whose turn has not come leave at once,
// for the same reason, and those whose handlers run.
func TestShutdownCutShort(t *testing.T) {
	srv, runs, may := slowServer(Options{Drain: Drain{Rate: 1}})
	reasons := make(chan Reason, 10)
	srv.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { reasons <- r })
	c := serve(t, srv)
	var all []*wire.WS
	for range 5 {
		all = append(all, c.Join(""))
	}
	all[0].Send(`42["slow",1]`)
	<-runs
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(ctx) }()
	until(t, "refused", func() bool { return c.Must("GET", "EIO=4&transport=polling", "").Status == 503 })
	cancel()
	if err := <-done; err != context.Canceled {
		t.Error(err)
	}
	close(may)
	for range all {
		if r := <-reasons; r != ServerShutdown {
			t.Error(r)
		}
	}
}

// TestShutdownSlowReader: the time for the closing handshake, half a second, begins when the
// answers have been written, not before.
func TestShutdownSlowReader(t *testing.T) {
	srv := NewServer(&Options{Drain: Drain{AnswerTimeout: time.Minute}}) // for 16 MiB, on a busy machine
	large := strings.Repeat("x", 16<<20)                                 // more than the buffers of a connection take
	returned := make(chan struct{})
	srv.Of("/").On("large", Reply(func(context.Context, *Socket, None) (string, error) {
		defer close(returned)
		return large, nil
	}))
	c := serve(t, srv)
	c.Patience = time.Minute
	w := c.Join("")
	w.Send(`421["large"]`)
	<-returned
	done := shut(srv)
	time.Sleep(700 * time.Millisecond)
	if got := w.Next(); len(got) != len(large)+len(`431[""]`) {
		t.Errorf("%d bytes", len(got))
	}
	if code := w.End().Code; code != 1001 {
		t.Error(code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestShutdownLatePoll: a client that polls, and is away for longer than it may be for the
// end alone, still gets its answer.
func TestShutdownLatePoll(t *testing.T) {
	srv, runs, may := slowServer(Options{})
	s := serve(t, srv).Polling()
	s.Join("")
	s.Post(`421["slow",1]`)
	<-runs
	done := shut(srv)
	turned(t, srv, 1)
	may <- struct{}{}
	time.Sleep(700 * time.Millisecond)
	if a := s.Get(); a.Body != `431["done 1"]` {
		t.Error(a)
	}
	if a := s.Get(); a.Body != "6\x1e1" {
		t.Error(a)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
