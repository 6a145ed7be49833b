package sio

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/wire"
)

// joins has the client join namespaces.
func joins(t *testing.T, w *wire.WS, paths ...string) {
	t.Helper()
	for _, path := range paths {
		w.Send("40" + path + ",")
		if m := w.Next(); !strings.HasPrefix(m, "40"+path+",{") {
			t.Fatalf("%s: %s", path, m)
		}
	}
}

// TestCallBesideNamespaces: a handler that waits for its client's ack keeps no other
// namespace waiting, and neither does one that takes long beside it.
func TestCallBesideNamespaces(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	release := make(chan struct{})
	for _, path := range []string{"/a", "/b", "/c"} {
		n := srv.Of(path)
		n.On("ask", Handle(func(ctx context.Context, s *Socket, _ None) error {
			answer, err := Call[string](ctx, s, "question")
			if err != nil {
				return err
			}
			return s.Emit("answer", answer)
		}))
		n.On("hold", Handle(func(_ context.Context, s *Socket, _ None) error {
			_ = s.Emit("held")
			<-release
			return nil
		}))
		n.On("echo", Reply(func(_ context.Context, _ *Socket, i int) (int, error) { return i, nil }))
	}
	w := serve(t, srv).Join("")
	joins(t, w, "/a", "/b", "/c")
	w.Send(`42/a,["ask"]`)
	if m := w.Next(); m != `42/a,0["question"]` {
		t.Fatal(m)
	}
	w.Send(`42/a,1["echo",1]`, `42/b,["hold"]`)
	if m := w.Next(); m != `42/b,["held"]` {
		t.Fatal(m)
	}
	w.Send(`42/b,2["echo",2]`, `42/c,3["echo",3]`)
	if m := w.Next(); m != `43/c,3[3]` {
		t.Fatal(m)
	}
	w.Send(`43/a,0["yes"]`)
	for _, want := range []string{`42/a,["answer","yes"]`, `43/a,1[1]`} {
		if m := w.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	close(release)
	if m := w.Next(); m != `43/b,2[2]` {
		t.Error(m)
	}
}

// TestJoiningCounts: an attempt to join that lasts has its place among
// Options.MaxNamespaces.
func TestJoiningCounts(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), MaxNamespaces: 2})
	release := make(chan struct{})
	srv.OfFunc(func(path string, _ *Request) bool {
		if path == "/slow" {
			<-release
		}
		return path != "/none"
	})
	sockets := make(chan *Socket, 1)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; return nil })
	w := serve(t, srv).Join("")
	w.Send("40/slow,", "40/fast,")
	if m := w.Next(); m != `44/fast,{"message":"Too many namespaces"}` {
		t.Error(m)
	}
	close(release)
	if m := w.Next(); !strings.HasPrefix(m, "40/slow,{") {
		t.Error(m)
	}
	w.Send("41/slow,")
	c := (<-sockets).client
	until(t, "it is left", func() bool { return c.socket("/slow") == nil })
	w.Send("40/none,", "40/fast,") // what was given back can be had
	for _, want := range []string{"44/none,", "40/fast,"} {
		if m := w.Next(); !strings.HasPrefix(m, want) {
			t.Errorf("%s instead of %s", m, want)
		}
	}
}

// TestRootEndsAll: in 0.9 whoever leaves the default namespace leaves all of them,
// behind what was sent to each of them before.
func TestRootEndsAll(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	got := &record{}
	release, entered := make(chan struct{}), make(chan struct{})
	for _, path := range []string{"/", "/chat"} {
		n := srv.Of(path)
		n.On("hold", Handle(func(context.Context, *Socket, None) error { close(entered); <-release; return nil }))
		n.On("x", Handle(func(_ context.Context, _ *Socket, i int) error { got.add("%s %d", path, i); return nil }))
		n.OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { got.add("%s %v", path, r) })
	}
	s := serve(t, srv).Polling1()
	s.Send("1::/chat")
	if m := s.Next(); m != "1::/chat" {
		t.Fatal(m)
	}
	s.Send(`5::/chat:{"name":"hold"}`, `5:::{"name":"x","args":[1]}`)
	<-entered
	until(t, "an event beside it", func() bool { return got.take() == "/ 1" })
	c := srv.Of("/").All().sockets()[0].client
	s.Send(`5::/chat:{"name":"x","args":[2]}`, "0::", `5:::{"name":"x","args":[3]}`)
	if _, ok := c.inbox.Claim("/other", 0); ok || c.inbox.State().Waiting != 3 {
		t.Errorf("the end of all namespaces does not wait for one of them: %+v", c.inbox.State())
	}
	close(release)
	until(t, "the end", func() bool { return srv.Stats().Sockets == 0 })
	if g := got.take(); g != "/chat 2; / client namespace disconnect; /chat client namespace disconnect" &&
		g != "/chat 2; /chat client namespace disconnect; / client namespace disconnect" {
		t.Error(g)
	}
}

// TestDefaultFirst: a client of 2.x is in no other namespace before it is in the default
// one, however long that takes.
func TestDefaultFirst(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	release, sockets := make(chan struct{}), make(chan *Socket, 1)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; <-release; return nil })
	srv.Of("/chat")
	s := serve(t, srv).Polling3()
	c := (<-sockets).client
	c.Overdue() // as after 50 ms
	if r, ok := c.inbox.Claim("/chat", 0); ok {
		c.inbox.Release(r)
		t.Error("another namespace has its turn")
	}
	s.Post("40/chat")
	if n := c.inbox.State().Waiting; n != 1 {
		t.Errorf("%d packets wait", n)
	}
	close(release)
	for _, want := range []string{"40", "40/chat,"} {
		if m := s.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
}

// TestCallOvertakes: what waits for another namespace when a handler begins to wait for
// an ack is handled at once, and not only when the handler has run for 50 ms.
func TestCallOvertakes(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	beside := make(chan struct{})
	took := make(chan time.Duration, 1)
	srv.Of("/a").On("ask", Handle(func(ctx context.Context, s *Socket, _ None) error {
		start := time.Now()
		ctx, cancel := context.WithCancel(ctx)
		go func() { <-beside; cancel() }()
		_, _ = Call[None](ctx, s, "question")
		took <- time.Since(start)
		return nil
	}))
	srv.Of("/b").On("beside", Handle(func(context.Context, *Socket, None) error { beside <- struct{}{}; return nil }))
	s := serve(t, srv).Polling()
	s.Join("/a,")
	s.Join("/b,")
	for range 100 { // the machine may be busy
		s.Post(`42/a,["ask"]` + "\x1e" + `42/b,["beside"]`)
		if <-took < 40*time.Millisecond {
			return
		}
	}
	t.Error("never")
}

// TestManyNamespaces: whatever the handlers of many namespaces do, each namespace has
// its own order, one event at a time, and OnDisconnect once and last.
func TestManyNamespaces(t *testing.T) {
	const spaces, clients = 8, 4
	count := 400
	if testing.Short() {
		count = 80
	}
	for _, polls := range []bool{false, true} {
		t.Run(fmt.Sprintf("polling %v", polls), func(t *testing.T) {
			srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), MaxInbox: 4})
			var handled, ended atomic.Int64
			type order struct {
				inside atomic.Int32
				last   int
				over   bool
			}
			key := NewKey[*order]("order")
			for i := range spaces {
				n := srv.Of(fmt.Sprintf("/%d", i))
				n.On("x", Handle(func(ctx context.Context, s *Socket, i int) error {
					o := key.GetOrSet(s, func() *order { return new(order) })
					if o.inside.Add(1) != 1 {
						t.Error("two events at once")
					}
					if o.over || i != o.last+1 {
						t.Errorf("%d behind %d, OnDisconnect has run: %v", i, o.last, o.over)
					}
					o.last = i
					defer handled.Add(1)
					defer o.inside.Add(-1)
					switch rand.IntN(100) {
					case 0:
						time.Sleep(60 * time.Millisecond) // longer than the reader is kept
					case 1:
						ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
						defer cancel()
						_, _ = Call[None](ctx, s, "never answered")
					case 2:
						runtime.Goexit()
					}
					return nil
				}))
				n.OnDisconnect(func(_ context.Context, s *Socket, _ Reason) {
					o := key.GetOrSet(s, func() *order { return new(order) })
					if o.over || o.inside.Load() != 0 {
						t.Errorf("OnDisconnect beside an event, or twice: %v", o.over)
					}
					o.over = true
					ended.Add(1)
				})
			}
			c := serve(t, srv)
			var all sync.WaitGroup
			for range clients {
				send, goodbye := talker(t, c, polls, spaces)
				all.Go(func() {
					var next [spaces]int
					for range count {
						i := rand.IntN(spaces)
						next[i]++
						send(fmt.Sprintf(`42/%d,["x",%d]`, i, next[i]))
					}
					goodbye()
				})
			}
			all.Wait()
			until(t, "the end of all", func() bool { return ended.Load() == spaces*clients })
			if n := handled.Load(); n != int64(clients*count) {
				t.Errorf("%d events of %d are handled", n, clients*count)
			}
		})
	}
}

// talker is a client in the namespaces /0, /1 and so on, that reads nothing but when it
// has to.
func talker(t *testing.T, c *wire.Client, polls bool, spaces int) (send func(string), goodbye func()) {
	if polls {
		s := c.Polling()
		for i := range spaces {
			s.Join(fmt.Sprintf("/%d,", i))
		}
		return func(p string) { s.Post(p) }, func() { s.Post("1") }
	}
	w, _ := c.WebSocket()
	for i := range spaces {
		joins(t, w, fmt.Sprintf("/%d", i))
	}
	go func() {
		for {
			if _, err := w.Read(); err != nil {
				return
			}
		}
	}()
	return func(p string) { w.Send(p) }, func() { _ = w.Raw(wire.Frame(0x88, []byte{3, 232})) }
}
