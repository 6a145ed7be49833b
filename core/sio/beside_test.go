package sio

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/inbox"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/internal/wire"
)

// holder is a server with namespaces whose event "hold" tells "held" and then waits.
type holder struct {
	*Server
	release map[string]chan struct{}
	got     record
}

func holds(t *testing.T, o Options, paths ...string) *holder {
	o.Logger = slog.New(slog.DiscardHandler)
	h := &holder{Server: NewServer(&o), release: make(map[string]chan struct{})}
	for _, path := range paths {
		ch := make(chan struct{})
		h.release[path] = ch
		n := h.Of(path)
		n.On("hold", Handle(func(_ context.Context, s *Socket, _ Args) error {
			defer h.got.add("%s held", path)
			for range 2 {
				if err := s.Emit("held"); err != nil {
					return err
				}
				<-ch
			}
			return nil
		}))
		n.On("n", Handle(func(ctx context.Context, _ *Socket, i int) error {
			h.got.add("%s %d %v", path, i, ctx.Err())
			return nil
		}))
		n.On("echo", Reply(func(_ context.Context, _ *Socket, i int) (int, error) { return i, nil }))
		n.On("panic", Handle(func(context.Context, *Socket, None) error { <-ch; panic("on purpose") }))
		n.OnDisconnect(func(_ context.Context, _ *Socket, r Reason) { h.got.add("%s %v", path, r) })
	}
	return h
}

// TestFlushBeside: what the handlers of two namespaces emit leaves while both of them
// run, whichever goroutine they run on.
func TestFlushBeside(t *testing.T) {
	one := func(t *testing.T, h *holder, send func(...string), next func() string) {
		t.Helper()
		want := func(m string) {
			t.Helper()
			if got := next(); got != m {
				t.Errorf("%s instead of %s", got, m)
			}
		}
		send(`42/a,["hold"]`, `42/b,["hold"]`) // in one go: behind the first one
		want(`42/a,["held"]`)
		want(`42/b,["held"]`)
		send(`42/c,["hold"]`) // brought by another goroutine
		want(`42/c,["held"]`)
		for _, path := range []string{"/b", "/a", "/c"} {
			h.release[path] <- struct{}{}
			want("42" + path + `,["held"]`)
		}
		for _, ch := range h.release {
			ch <- struct{}{}
		}
	}
	t.Run("websocket", func(t *testing.T) {
		h := holds(t, Options{}, "/a", "/b", "/c")
		w, _ := serve(t, h.Server).WebSocket()
		joins(t, w, "/a", "/b", "/c")
		one(t, h, w.Send, w.Next)
	})
	t.Run("polling", func(t *testing.T) {
		h := holds(t, Options{}, "/a", "/b", "/c")
		s := serve(t, h.Server).Polling()
		for _, path := range []string{"/a,", "/b,", "/c,"} {
			s.Join(path)
		}
		one(t, h, func(ps ...string) { s.Post(strings.Join(ps, "\x1e")) }, func() string { return s.Packets(1)[0] })
	})
}

// TestEndBeside: the connection ends while handlers of two namespaces run. What waits in
// each namespace is handled, then its OnDisconnect; neither waits for the other, and
// Shutdown for both.
func TestEndBeside(t *testing.T) {
	h := holds(t, Options{}, "/a", "/b")
	w, _ := serve(t, h.Server).WebSocket()
	joins(t, w, "/a", "/b")
	sockets := append(h.Of("/a").All().sockets(), h.Of("/b").All().sockets()...)
	w.Send(`42/a,["hold"]`, `42/b,["hold"]`, `42/a,["n",1]`, `42/b,["n",2]`, `42/a,["n",3]`)
	for range 2 {
		w.Next()
	}
	_ = w.Raw(wire.Frame(0x88, []byte{3, 232}))
	for _, s := range sockets {
		<-s.Context().Done()
	}
	ended := h.running.Idle() // what Shutdown waits for
	close(h.release["/b"])
	var b string
	until(t, "OnDisconnect of /b", func() bool {
		b += h.got.take()
		return strings.Contains(b, "transport close")
	})
	b = strings.ReplaceAll(b, "; ", "")
	if b != "/b held/b 2 <nil>/b transport close" {
		t.Error(b)
	}
	select {
	case <-ended:
		t.Error("Shutdown has not waited for /a")
	default:
	}
	close(h.release["/a"])
	<-ended
	if a := h.got.take(); a != "/a held; /a 1 <nil>; /a 3 <nil>; /a transport close" {
		t.Error(a)
	}
}

// TestKickBeside: the application disconnects the socket of one namespace while handlers
// of two run. The other one goes on; what waits for the first one is not handled.
func TestKickBeside(t *testing.T) {
	h := holds(t, Options{}, "/a", "/b")
	w, _ := serve(t, h.Server).WebSocket()
	joins(t, w, "/a", "/b")
	w.Send(`42/a,["hold"]`, `42/b,["hold"]`, `42/a,["n",1]`, `42/b,["n",2]`)
	for range 2 {
		w.Next()
	}
	h.Of("/a").All().Disconnect()
	if m := w.Next(); m != "41/a," {
		t.Error(m)
	}
	close(h.release["/a"])
	until(t, "the end of /a", func() bool { return strings.HasSuffix(h.got.take(), "/a "+ServerNamespace.String()) })
	w.Send("40/a,", `42/a,1["echo",1]`)
	if m := w.Next(); !strings.HasPrefix(m, "40/a,{") {
		t.Errorf("joined again: %s", m)
	}
	if m := w.Next(); m != "43/a,1[1]" {
		t.Error(m)
	}
	close(h.release["/b"])
	w.Next()
	w.Send(`42/b,2["echo",2]`)
	if m := w.Next(); m != "43/b,2[2]" {
		t.Error(m)
	}
	if g := h.got.take(); g != "/b held; /b 2 <nil>" {
		t.Error(g)
	}
}

// TestPanicBeside: a panic in one namespace is no matter of the handler that runs in
// another one.
func TestPanicBeside(t *testing.T) {
	h := holds(t, Options{}, "/a", "/b")
	w, _ := serve(t, h.Server).WebSocket()
	joins(t, w, "/a", "/b")
	w.Send(`42/a,1["panic"]`, `42/b,["hold"]`)
	w.Next()
	close(h.release["/a"])
	if m := w.Next(); !strings.HasPrefix(m, "43/a,1[") || !strings.Contains(m, "internal") {
		t.Error(m)
	}
	w.Send(`42/a,2["echo",2]`)
	if m := w.Next(); m != "43/a,2[2]" {
		t.Error(m)
	}
	close(h.release["/b"])
	if m := w.Next(); m != `42/b,["held"]` {
		t.Error(m)
	}
}

// TestFullBeside: one namespace fills the inbox of its connection. Pings leave, the client
// is not taken for gone, the handler of another namespace goes on, and everything is
// handled in the end.
func TestFullBeside(t *testing.T) {
	h := holds(t, Options{MaxInbox: 4, PingInterval: 100 * time.Millisecond, PingTimeout: 1500 * time.Millisecond}, "/a", "/b")
	w, _ := serve(t, h.Server).WebSocket()
	joins(t, w, "/a", "/b")
	w.NoPong = true // what is pinged here is not read: none of the pongs would be
	w.Send(`42/b,["hold"]`, `42/a,["hold"]`)
	next := func() string {
		for {
			if m := w.Next(); m != "2" {
				return m
			}
		}
	}
	next()
	next()
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf(`42/a,["n",%d]`, i))
	}
	w.Send(append(all, `42/b,["n",20]`)...)
	for pings := 0; pings < 3; { // one in each PingTimeout: for longer than a client may be silent
		if m := w.Next(); m != "2" {
			t.Fatal(m)
		}
		pings++
	}
	h.release["/b"] <- struct{}{}
	if m := next(); m != `42/b,["held"]` {
		t.Error(m)
	}
	w.NoPong = false
	w.Send("3")
	close(h.release["/a"])
	close(h.release["/b"])
	got := ""
	until(t, "all of it", func() bool {
		got += h.got.take() + "; "
		return strings.Contains(got, "/a 19 <nil>") && strings.Contains(got, "/b 20 <nil>")
	})
	last := -1
	for i := range 20 {
		at := strings.Index(got, fmt.Sprintf("/a %d <nil>", i))
		if at <= last {
			t.Errorf("%d is lost, or not in order: %s", i, got)
		}
		last = at
	}
}

// TestBytesBeside: the events that handlers of several namespaces hold count as what waits
// does. A handler that returns makes room.
func TestBytesBeside(t *testing.T) {
	h := holds(t, Options{MaxInboxBytes: 3000}, "/a", "/b", "/c")
	w, _ := serve(t, h.Server).WebSocket()
	joins(t, w, "/a", "/b", "/c")
	c := h.Of("/a").All().sockets()[0].client
	large := `,["hold","` + strings.Repeat("x", 1500) + `"]`
	for _, path := range []string{"/a", "/b"} {
		w.Send("42" + path + large)
		if m := w.Next(); m != "42"+path+`,["held"]` {
			t.Error(m)
		}
	}
	w.Send("42/c" + large)
	until(t, "the reader waits", func() bool { return c.inbox.State().Stalled == 1 })
	close(h.release["/a"])
	for _, want := range []string{`42/a,["held"]`, `42/c,["held"]`} {
		if m := w.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	close(h.release["/b"])
	close(h.release["/c"])
	until(t, "the end of all", func() bool { return c.inbox.State() == (inbox.State{}) })
}

// TestLeavingJoinsNothing: a namespace that the client asks for, while a handler of
// another one disconnects it from everything, is not joined, and the client is told to
// stay away from that one too.
func TestLeavingJoinsNothing(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	sockets := make(chan *Socket, 1)
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; return nil })
	srv.Of("/late").OnConnect(func(context.Context, *Socket) error { t.Error("OnConnect"); return nil })
	entering, goes := make(chan struct{}), make(chan struct{})
	srv.OfFunc(func(path string, _ *Request) bool {
		if path == "/entering" {
			close(entering)
			<-goes
		}
		return path == "/entering"
	})
	w := serve(t, srv).Join("")
	c := (<-sockets).client
	w.Send("40/entering,")
	<-entering
	if c.shutOut(nil, true) { // Conn.Close has got as far as this
		t.Fatal("nothing is connecting")
	}
	close(goes)
	for _, want := range []string{`44/entering,{"message":"Disconnected"}`, "41/entering,"} {
		if m := w.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	c.take(&packet.Packet{Type: packet.Connect, Namespace: "/late"}, false)
	for _, want := range []string{`44/late,{"message":"Disconnected"}`, "41/late,"} {
		if m := w.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
}

// TestEndOvertakesDisconnect: OnDisconnect is not forgotten, nor run twice, when the
// connection ends between the two steps of a disconnect.
func TestEndOvertakesDisconnect(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	var ended atomic.Int32
	srv.Of("/a").OnDisconnect(func(_ context.Context, _ *Socket, r Reason) {
		if r != ServerNamespace {
			t.Errorf("%v", r)
		}
		ended.Add(1)
	})
	w, _ := serve(t, srv).WebSocket()
	joins(t, w, "/a")
	s := srv.Of("/a").All().sockets()[0]
	if first, due := s.close(ServerNamespace, true, false); !first || !due {
		t.Fatal("not connected")
	}
	w.Reset()
	<-srv.running.Idle()
	if n := ended.Load(); n != 1 {
		t.Errorf("%d times before Shutdown would return", n)
	}
	s.client.inbox.Push("/a", task{end: s, reason: ServerNamespace}) // the second step
	until(t, "an idle inbox", func() bool { return s.client.inbox.State().Waiting == 0 })
	if n := ended.Load(); n != 1 {
		t.Errorf("%d times", n)
	}
}
