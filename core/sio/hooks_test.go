package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/siokit/siokit/core/host"
)

// record is what functions of a test have seen.
type record struct {
	mu   sync.Mutex
	list []string
}

func (r *record) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, fmt.Sprintf(format, args...))
}

func (r *record) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.list, "; ")
	r.list = nil
	return s
}

// TestMessages: a message has a handler by what it is, whatever the generation.
func TestMessages(t *testing.T) {
	got := &record{}
	handler := func(what string) Handler {
		return Handle(func(_ context.Context, _ *Socket, a Args) error { got.add("%s %s", what, a); return nil })
	}
	srv := NewServer(nil)
	both := srv.Of("/both")
	both.OnMessage(handler("text"))
	both.OnJSON(handler("json"))
	both.On("message", handler("event"))
	srv.Of("/one").On("message", handler("event"))
	srv.Of("/text").OnMessage(handler("text"))
	srv.Of("/text").OnUnhandled(handler("any"))
	c := serve(t, srv)
	four, _ := c.WebSocket()
	nine := c.Polling1()
	for _, row := range []struct{ ns, text, json, none string }{
		{"/both", "text", "json", "text"}, {"/one", "event", "event", "event"}, {"/text", "text", "any", "text"},
	} {
		four.Send("40" + row.ns)
		four.Next()
		four.Send(`42`+row.ns+`,["message","hi"]`, `42`+row.ns+`,["message",{"a":1}]`, `42`+row.ns+`,1["message"]`)
		if m := four.Next(); m != "43"+row.ns+",1[]" {
			t.Error(m)
		}
		want := fmt.Sprintf(`%s ["hi"]; %s [{"a":1}]; %s []`, row.text, row.json, row.none)
		if g := got.take(); g != want {
			t.Errorf("%s, 4.x: %s instead of %s", row.ns, g, want)
		}
		nine.Send("1::"+row.ns, `3::`+row.ns+`:hi`, `4::`+row.ns+`:{"a":1}`, `5:1+:`+row.ns+`:{"name":"message"}`)
		nine.Next() // connected
		nine.Next() // the ack
		if g := got.take(); g != want {
			t.Errorf("%s, 0.9: %s instead of %s", row.ns, g, want)
		}
	}
}

// TestSend: texts and json towards each generation, to one and to many.
func TestSend(t *testing.T) {
	srv, c, w, s := asker(t, nil)
	nine := c.Polling1()
	nine.Send(`5:1+::{"name":"x"}`) // its "1::" comes before OnConnect has returned
	if m := nine.Next(); !strings.HasPrefix(m, "6:::1") {
		t.Fatal(m)
	}
	_ = s.Send("a")
	_ = s.Send(1)
	_ = s.SendJSON("b")
	for _, want := range []string{`42["message","a"]`, `42["message",1]`, `42["message","b"]`} {
		if m := w.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	_ = srv.Of("/").All().Send("text")
	_ = srv.Of("/").All().Send(map[string]int{"a": 1})
	for _, want := range []string{"3:::text", `4:::{"a":1}`} {
		if m := nine.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
	if m := w.Next(); m != `42["message","text"]` {
		t.Error(m)
	}
}

// TestCatchAll: what comes in and what goes out can be watched.
func TestCatchAll(t *testing.T) {
	got := &record{}
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	n := srv.Of("/")
	n.OnAny(func(_ context.Context, ev *Event) { got.add("in %s %s %t", ev.Name, ev.Args, ev.WantsAck()) })
	n.OnAny(func(context.Context, *Event) { panic("watcher") })
	n.OnAnyOutgoing(func(o Outgoing) { got.add("out %s %v %t %v", o.Event, o.Args, o.Socket != nil, o.Rooms) })
	n.On("known", Handle(func(_ context.Context, s *Socket, x int) error {
		_ = s.Emit("one", x)
		_ = n.To("a", "b").Emit("some")
		return s.Send("text")
	}))
	c := serve(t, srv)
	w := c.Join("")
	w.Send(`421["known",1]`, `422["unknown",{}]`)
	for range 4 {
		w.Next()
	}
	want := `in known [1] true; out one [1] true []; out some [] false [a b]; out message [text] true []; in unknown [{}] true`
	if g := got.take(); g != want {
		t.Errorf("got  %s\nwant %s", g, want)
	}
}

// TestLevels: middleware of the exchange, of all namespaces, of one, of an event.
func TestLevels(t *testing.T) {
	got := &record{}
	mw := func(what string) Middleware {
		return func(next Handler) Handler {
			return HandlerFunc(func(ctx context.Context, ev *Event) error {
				got.add("%s", what)
				return next.ServeEvent(ctx, ev)
			})
		}
	}
	srv := NewServer(nil)
	ok := Handle(func(context.Context, *Socket, None) error { got.add("handler"); return nil })
	early := srv.Of("/early")
	early.Use(mw("namespace"))
	early.On("x", ok, mw("event"))
	early.OnConnect(func(context.Context, *Socket) error { got.add("connect"); return nil })
	srv.Use(mw("server 1"), mw("server 2"))
	srv.OnConnect(func(_ context.Context, s *Socket) error {
		got.add("all %s", s.Namespace().Path())
		if s.Namespace().Path() == "/no" {
			return &Error{Message: "no"}
		}
		return nil
	})
	early.OnConnected(func(context.Context, *Socket) { got.add("connected") })
	srv.Of("/late").On("x", ok)
	srv.Of("/no")
	srv.OfPattern("/p/{x}").On("x", ok)
	srv.UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) {
			if x.Query("teapot") != "" {
				_ = x.Reply(http.StatusTeapot, []byte("short and stout"))
				return
			}
			x.SetHeader("X-Seen", "1")
			next.ServeExchange(x)
		})
	})
	c := serve(t, srv)
	if a := c.Must("GET", "teapot=1", ""); a.String() != "418 short and stout" {
		t.Error(a)
	}
	if a := c.Must("GET", "EIO=4&transport=polling", ""); a.Header.Get("X-Seen") != "1" {
		t.Error(a)
	}
	w, _ := c.WebSocket()
	for _, row := range []struct{ ns, want string }{
		{"/early", "all /early; connect; connected; server 1; server 2; namespace; event; handler"},
		{"/late", "all /late; server 1; server 2; handler"},
		{"/p/1", "all /p/1; server 1; server 2; handler"},
	} {
		w.Send("40" + row.ns)
		w.Next()
		w.Send("42" + row.ns + `,1["x"]`)
		w.Next()
		if g := got.take(); g != row.want {
			t.Errorf("%s: %s", row.ns, g)
		}
	}
	w.Send("40/no")
	if m := w.Next(); m != `44/no,{"message":"no"}` {
		t.Error(m)
	}
}

// TestFailures: the error hook sees the true names, and its own panic is nothing.
func TestFailures(t *testing.T) {
	got := &record{}
	srv := NewServer(&Options{
		Logger:   slog.New(slog.DiscardHandler),
		ErrorAck: func(e *Error) any { return "failed: " + e.Code },
		OnError: func(in Failure) {
			got.add("%s %s %s %v", in.Name, in.Namespace, in.Where, in.Err)
			if in.Request == nil || (in.Name == FailurePanic) != (len(in.Stack) > 0) {
				t.Errorf("%+v", in)
			}
			panic("hook")
		},
	})
	n := srv.Of("/")
	n.On("int", Handle(func(context.Context, *Socket, int) error { return nil }))
	n.On("fail", Handle(func(context.Context, *Socket, None) error { return errors.New("database") }))
	n.On("public", Handle(func(context.Context, *Socket, None) error { return Errorf("c", "m") }))
	n.On("panic", Handle(func(context.Context, *Socket, None) error { panic("p") }))
	c := serve(t, srv)
	w := c.Join("")
	for _, row := range []struct{ send, ack, want string }{
		{`["nosuch"]`, `refused`, `no_such_method / nosuch <nil>`},
		{`["int","x"]`, `bad_argument`, `invalid_method_args / int bad_argument: argument 1: wrong JSON type`},
		{`["fail"]`, `internal`, `handler_failed / fail database`},
		{`["public"]`, `c`, ``},
		{`["panic"]`, `internal`, `panic / panic panic: p`},
	} {
		w.Send("421" + row.send)
		if m := w.Next(); m != `431["failed: `+row.ack+`"]` {
			t.Errorf("%s: %s", row.send, m)
		}
		if g := got.take(); g != row.want {
			t.Errorf("%s: %s instead of %s", row.send, g, row.want)
		}
	}
	w.Send("40/none")
	w.Next()
	if g := got.take(); g != "no_such_namespace /none /none <nil>" {
		t.Error(g)
	}
	w.Send("4x")
	w.End()
	if g := got.take(); !strings.HasPrefix(g, "invalid_packet ") {
		t.Error(g)
	}
}

// TestFail sends what a handler's error would be.
func TestFail(t *testing.T) {
	_, _, w, s := asker(t, nil)
	if err := s.EmitError(Errorf("c", "m")); err != nil {
		t.Error(err)
	}
	if m := w.Next(); m != `42["error",{"code":"c","message":"m"}]` {
		t.Error(m)
	}
	if err := s.EmitError(&Error{Data: make(chan int)}); err == nil {
		t.Error("what cannot be encoded was sent")
	}
}

// TestEmitLists: arguments that stand for several.
func TestEmitLists(t *testing.T) {
	srv, _, w, s := asker(t, nil)
	srv.Of("/").On("two", Reply(func(context.Context, *Socket, None) (Args2[string, int], error) {
		return Args2[string, int]{"a", 1}, nil
	}))
	_ = s.Emit("e", Args3[int, bool, []byte]{1, true, nil}, 2, None{})
	_ = s.Emit("e", Args4[int, int, int, int]{1, 2, 3, 4})
	w.Send(`421["two"]`)
	for _, want := range []string{`42["e",1,true,null,2]`, `42["e",1,2,3,4]`, `431["a",1]`} {
		if m := w.Next(); m != want {
			t.Errorf("%s instead of %s", m, want)
		}
	}
}

// TestOwnRoom: who enters a room named by another's id does not get in its way.
func TestOwnRoom(t *testing.T) {
	srv := NewServer(nil)
	srv.Of("/").On("join", Handle(func(_ context.Context, s *Socket, room string) error { s.Join(room); return nil }))
	c := serve(t, srv)
	a, b := c.Join(""), c.Join("")
	var ids []string
	for s := range srv.Of("/").All().Sockets(context.Background()) {
		ids = append(ids, s.ID())
	}
	for _, id := range ids { // each enters both, its own too
		for _, w := range []interface{ Send(...string) }{a, b} {
			w.Send(`421["join","` + id + `"]`)
		}
	}
	for range ids {
		a.Next()
		b.Next()
	}
	_ = srv.Of("/").To(ids[0]).Emit("x")
	_ = srv.Of("/").Emit("end")
	for _, w := range []interface{ Next() string }{a, b} {
		if x, end := w.Next(), w.Next(); x != `42["x"]` || end != `42["end"]` {
			t.Error(x, end)
		}
	}
}

// TestRoomCount: it is how many rooms Rooms lists, whatever was joined and left, and it
// builds no list.
func TestRoomCount(t *testing.T) {
	_, _, w, s := asker(t, nil)
	var many []string
	for i := range 2 * manyRooms { // below and above the number that needs a map
		many = append(many, fmt.Sprint(i))
	}
	check := func(step string, want int) {
		t.Helper()
		if got := s.RoomCount(); got != want || len(s.Rooms()) != want {
			t.Errorf("%s: %d rooms counted, %d listed, want %d", step, got, len(s.Rooms()), want)
		}
	}
	check("at first", 0)
	s.Join("r", "r", "\x00the server's own")
	check("one, twice", 1)
	s.Join(many...)
	check("many", 1+len(many))
	if n := testing.AllocsPerRun(10, func() { s.RoomCount() }); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
	s.Leave("r", "r", "\x00the server's own", "none")
	check("one less", len(many))
	s.Leave(many...)
	check("none", 0)
	s.Join("r", "\x00the server's own")
	_ = w.Conn.Close()
	until(t, "the socket has left its rooms", func() bool {
		s.roomsMu.Lock()
		defer s.roomsMu.Unlock()
		return s.left
	})
	check("after the end", 0)
}

// TestTargets: what the server does to sockets of its choice.
func TestTargets(t *testing.T) {
	srv, _, w, s := asker(t, nil)
	n := srv.Of("/")
	n.All().Join("r", "q")
	n.To("r").Leave("q")
	if got := fmt.Sprint(s.Rooms()); got != "[r]" {
		t.Error(got)
	}
	for r, err := range n.To("r").Sockets(context.Background()) {
		if r.(*Socket) != s || err != nil {
			t.Error(r, err)
		}
	}
	for range n.Except("r").Sockets(context.Background()) {
		t.Error("excepted")
	}
	if n.Socket(s.ID()) != s || n.Socket("x") != nil {
		t.Error("Socket")
	}
	n.To("r").Disconnect()
	if m := w.Next(); m != "41" {
		t.Error(m)
	}
}

func TestKeys(t *testing.T) {
	srv := NewServer(nil)
	n := srv.Of("/")
	a, b := NewKey[int]("n"), NewKey[int]("n")
	if _, ok := a.Get(n); ok {
		t.Error("there is something")
	}
	if v := a.GetOrSet(n, func() int { return 1 }); v != 1 {
		t.Error(v)
	}
	a.Set(n, 2)
	if v, ok := a.Get(n); v != 2 || !ok {
		t.Error(v, ok)
	}
	if _, ok := b.Get(n); ok {
		t.Error("two keys with one place")
	}
	if v := a.GetOrSet(n, func() int { return 3 }); v != 2 {
		t.Error(v)
	}
}
