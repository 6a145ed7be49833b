package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/internal/wire"
)

// until waits for what has no other sign. Failures alone wait so long: some tests have
// megabytes of text taken apart, on a machine that may be busy.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// TestInboxBounds: what waits is bounded by number and bytes, with what keeping
// it costs; a handler that waits for its client's ack widens both.
func TestInboxBounds(t *testing.T) {
	some := `42["x"` + strings.Repeat(",1", 40) + "]"   // 24 bytes for each argument
	many := `42["x"` + strings.Repeat(",1", 4000) + "]" // 8 KB, kept as text
	for _, row := range []struct {
		what  string
		opts  Options
		ask   bool
		event string
		want  int // that wait, and one more is held by the reader
	}{
		{"number", Options{MaxInbox: 5}, false, `42["x"]`, 5},
		{"bytes", Options{MaxInboxBytes: 100_000}, false, `42["x","` + strings.Repeat("y", 30_000) + `"]`, 3},
		{"arguments", Options{MaxInboxBytes: 5_000}, false, some, 3},
		{"many arguments", Options{MaxInboxBytes: 33_500}, false, many, 4},
		{"number, asking", Options{MaxInbox: 2}, true, `42["x"]`, 512},
		{"nothing, asking", Options{MaxInboxBytes: 30_000}, true, `42["x"]`, 4 * 30_000 / (&packet.Packet{Name: []byte("x")}).Size()},
	} {
		t.Run(row.what, func(t *testing.T) {
			row.opts.Logger = slog.New(slog.DiscardHandler)
			srv := NewServer(&row.opts)
			got := make(chan *Socket, 1)
			release := make(chan struct{})
			var handled atomic.Int32
			srv.Of("/").On("hold", Handle(func(ctx context.Context, s *Socket, _ None) error {
				got <- s
				if row.ask {
					_, err := Call[None](ctx, s, "question")
					return err
				}
				<-release
				return nil
			}))
			srv.Of("/").On("x", Handle(func(context.Context, *Socket, None) error { handled.Add(1); return nil }))
			c := serve(t, srv)
			w := c.Join("")
			w.Send(`42["hold"]`)
			s := <-got
			if row.ask {
				w.Next()
			}
			go func() {
				for range row.want + 5 {
					w.Send(row.event)
				}
			}()
			until(t, "a reader that waits", func() bool { return s.client.inbox.State().Stalled > 0 })
			if n := s.client.inbox.State().Waiting; n != row.want {
				t.Errorf("%d packets wait instead of %d", n, row.want)
			}
			close(release)
			if row.ask { // nothing is lost; the ack lies behind what cannot be read
				s.acked(&packet.Packet{ID: 0})
			}
			until(t, "all handled", func() bool { return int(handled.Load()) == row.want+5 })
			if n := s.client.inbox.State().Bytes; n != 0 {
				t.Errorf("%d bytes are still counted", n)
			}
		})
	}
}

// TestLasting: the copy in the inbox holds the arguments once, and shares nothing.
func TestLasting(t *testing.T) {
	data := []byte(`["name","argument",[1]]`)
	args, err := jsontext.Split(data, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &packet.Packet{Type: packet.Event, Data: data, Name: data[2:6], Args: args[1:]}
	q := p.Clone()
	clear(data)
	if q.Data != nil || string(q.Name) != "name" || fmt.Sprintf("%s", q.Args) != `["argument" [1]]` {
		t.Errorf("%+v", q)
	}
	if auth := (&packet.Packet{Type: packet.Connect, Data: []byte("{}")}).Clone(); string(auth.Data) != "{}" {
		t.Errorf("%+v", auth)
	}
}

// TestLoopAfterGoodbye: a Loop receives what came before the client's goodbye, and
// ErrDisconnected then.
func TestLoopAfterGoodbye(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	got := &record{}
	ended := make(chan struct{})
	srv.Of("/").On("slow", Handle(func(ctx context.Context, _ *Socket, _ None) error { <-ctx.Done(); return nil }))
	srv.Of("/").Loop(func(ctx context.Context, s *Socket) error {
		defer close(ended)
		for {
			ev, err := s.Recv(ctx)
			if err != nil {
				got.add("%v", err)
				return err
			}
			got.add("%s", ev.Name)
		}
	})
	w := serve(t, srv).Join("")
	w.Send(`42["slow"]`, `42["a"]`, `42["b"]`)
	_ = w.Raw(wire.Frame(0x88, []byte{3, 232}))
	<-ended
	if g := got.take(); g != "a; b; "+ErrDisconnected.Error() {
		t.Error(g)
	}
}

// TestEndInPost: a POST that holds more than the inbox is handled whole when the session
// ends meanwhile, before OnDisconnect and within the bound; and is answered as
// accepted. The handler that the rest waits for is told of the end.
func TestEndInPost(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), MaxInbox: 2})
	got := &record{}
	held := make(chan *Socket, 1)
	srv.Of("/").On("slow", Handle(func(ctx context.Context, s *Socket, _ None) error {
		held <- s
		<-ctx.Done()
		return nil
	}))
	srv.Of("/").On("n", Handle(func(_ context.Context, _ *Socket, n int) error { got.add("%d", n); return nil }))
	over := make(chan bool, 1)
	srv.Of("/").OnDisconnect(func(context.Context, *Socket, Reason) { got.add("end"); over <- true })
	c := serve(t, srv).Polling()
	c.Join("")
	status := make(chan int, 1)
	go func() {
		a, _ := c.Do(context.Background(), "POST", c.Query(), "42[\"slow\"]\x1e42[\"n\",1]\x1e42[\"n\",2]\x1e42[\"n\",3]\x1e42[\"n\",4]\x1e42[\"n\",5]")
		status <- a.Status
	}()
	s := <-held
	until(t, "the POST waits for room", func() bool { return s.client.inbox.State().Stalled == 1 })
	s.client.vs.Close(ServerShutdown.below())
	code := <-status
	<-over
	if g := got.take(); code != 200 || g != "1; 2; 3; 4; 5; end" {
		t.Errorf("status %d, handled %s", code, g)
	}
}

// TestConcurrentBounds: each call is a bound of its own, nested uses of one share a slot,
// and errors reach the client.
func TestConcurrentBounds(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler)})
	n := srv.Of("/")
	var now, most atomic.Int32
	all := make(chan struct{})
	meet := Handle(func(ctx context.Context, _ *Socket, _ None) error {
		if now.Add(1) == 3 {
			close(all)
		}
		select {
		case <-all:
		case <-ctx.Done():
		}
		return nil
	})
	alone := Handle(func(context.Context, *Socket, None) error {
		if k := now.Add(1); k > most.Load() {
			most.Store(k)
		}
		defer now.Add(-1)
		for range 1000 { // others may come
			runtime.Gosched()
		}
		return nil
	})
	same := Concurrent(1)
	n.Use(Concurrent(64), same)
	n.On("nested", Handle(func(context.Context, *Socket, None) error { return nil }), same)
	n.On("fail", Handle(func(context.Context, *Socket, None) error { return Errorf("no", "not now") }), Concurrent(2))
	srv.Of("/own").On("one", alone, Concurrent(1))
	srv.Of("/own").On("many", meet, Concurrent(3))
	c := serve(t, srv)
	w := c.Join("")
	w.Send(`421["nested"]`)
	if m := w.Next(); m != "431[]" {
		t.Error(m)
	}
	w.Send(`42["fail"]`)
	if m := w.Next(); m != `42["error",{"code":"no","message":"not now"}]` {
		t.Error(m)
	}
	w = c.Join("/own")
	w.Send(`42/own,1["many"]`, `42/own,2["many"]`, `42/own,3["many"]`)
	for range 3 {
		if m := w.Next(); !strings.HasSuffix(m, "[]") {
			t.Error(m)
		}
	}
	now.Store(0)
	for i := range 8 {
		w.Send(fmt.Sprintf(`42/own,%d["one"]`, i))
	}
	for range 8 {
		w.Next()
	}
	if most.Load() != 1 {
		t.Errorf("%d events of Concurrent(1) overlapped", most.Load())
	}
}

// TestOptionsNames: what is wrong panics at start-up, with its name.
func TestOptionsNames(t *testing.T) {
	for name, f := range map[string]func(){
		"Options.AckTimeout":        func() { NewServer(&Options{AckTimeout: -1}) },
		"Options.MaxPayload":        func() { NewServer(&Options{MaxPayload: -1}) },
		"Options.MaxQueueMessages":  func() { NewServer(&Options{MaxQueueMessages: -1}) },
		"Options.JoinRate":          func() { NewServer(&Options{JoinRate: -1}) },
		"Options.Limits.Depth":      func() { NewServer(&Options{Limits: Limits{Depth: -1}}) },
		"Options.Origins":           func() { NewServer(&Options{Origins: []string{"https://example.com/page"}}) },
		"Use of the server":         func() { NewServer(nil).Use(nil) },
		"Use of namespace /x":       func() { NewServer(nil).Of("/x").Use(nil) },
		`event "e" of namespace /x`: func() { NewServer(nil).Of("/x").On("e", HandlerFunc(nothing), nil) },
		"UseExchange":               func() { NewServer(nil).UseExchange(nil) },
		"Guard of namespace /x":     func() { NewServer(nil).Of("/x").Guard(nil) },
		"OnExchange":                func() { new(Conn).OnExchange(nil) },
		`returned no handler for event "e"`: func() {
			NewServer(nil).Of("/x").On("e", HandlerFunc(nothing), func(Handler) Handler { return nil })
		},
	} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, name) {
					t.Errorf("%s: %s", name, p)
				}
			}()
			f()
		}()
	}
}

func nothing(context.Context, *Event) error { return nil }

// TestRegistrationPanics: middleware that panics while it is constructed changes
// nothing, and keeps no lock.
func TestRegistrationPanics(t *testing.T) {
	n := NewServer(nil).Of("/x")
	try := func() {
		defer func() { _ = recover() }()
		n.On("bad", HandlerFunc(nothing), func(Handler) Handler { panic("construction") })
	}
	try()
	n.On("good", HandlerFunc(nothing))
	n.On("bad", HandlerFunc(nothing)) // not "has a handler already"
	if n.handlers().events["good"] == nil || n.handlers().events["bad"] == nil {
		t.Error("the registrations behind the panic are lost")
	}
}

// TestOnErrorRecursion: an OnError that causes what it is told of comes to an end.
func TestOnErrorRecursion(t *testing.T) {
	var srv *Server
	var told atomic.Int32
	srv = NewServer(&Options{Logger: slog.New(slog.DiscardHandler), OnError: func(in Failure) {
		told.Add(1)
		_ = srv.Of("/").Emit("error seen", in.Name) // OnAnyOutgoing panics, which is a failure
	}})
	srv.Of("/").OnAnyOutgoing(func(Outgoing) { panic("OnAnyOutgoing") })
	_ = srv.Of("/").Emit("x")
	if n := told.Load(); n != maxReports {
		t.Errorf("told %d times", n)
	}
}

// TestLoggerPanics: a panic in the application's log handler ends nothing.
func TestLoggerPanics(t *testing.T) {
	srv := NewServer(&Options{Logger: slog.New(brokenHandler{})})
	srv.Of("/").On("boom", Reply(func(context.Context, *Socket, None) (int, error) { return 0, errors.New("no") }))
	w := serve(t, srv).Join("")
	w.Send(`421["boom"]`)
	if m := w.Next(); !strings.Contains(m, "internal") {
		t.Error(m)
	}
}

type brokenHandler struct{ slog.Handler }

func (brokenHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (brokenHandler) Handle(context.Context, slog.Record) error { panic("Handle") }
func (brokenHandler) WithAttrs([]slog.Attr) slog.Handler        { panic("WithAttrs") }
func (h brokenHandler) WithGroup(string) slog.Handler           { panic("WithGroup") }

// TestNotices: what a client causes is logged at warn, the same once a minute, with
// the option to set, and OnError is told each time.
func TestNotices(t *testing.T) {
	lines, told := &record{}, &record{}
	srv := NewServer(&Options{
		Logger:               slog.New(slog.NewTextHandler(writerFunc(func(b []byte) { lines.add("%s", b) }), &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnError:              func(in Failure) { told.add("%s %s %s", in.Name, in.Where, in.Namespace) },
		MaxDynamicNamespaces: 1, MaxNamespaces: 3,
	})
	srv.OfPattern("/room/{id}")
	srv.Of("/").On("number", Handle(func(context.Context, *Socket, int) error { return nil }))
	w := serve(t, srv).Join("")
	for _, row := range []struct{ send, answer, line, failure string }{
		{`421["nobody"]`, "431", `msg="siokit: event without a handler" in=nobody namespace=/`, "no_such_method nobody /"},
		{`421["nobody"]`, "431", "", "no_such_method nobody /"},
		{`421["number","x"]`, "431", `msg="siokit: arguments do not fit the handler" in=number`, "invalid_method_args number /"},
		{"40/none", "44", `msg="siokit: no such namespace" in=/none`, "no_such_namespace /none /none"},
		{"40/room/1", "40", "", ""},
		{"40/room/2", "44", "MaxDynamicNamespaces", "too_many_namespaces /room/2 /room/2"},
	} {
		w.Send(row.send)
		if m := w.Next(); !strings.HasPrefix(m, row.answer) {
			t.Errorf("%s: %s", row.send, m)
		}
		if got := lines.take(); !strings.Contains(got, row.line) || row.line == "" && got != "" {
			t.Errorf("%s is logged as %q", row.send, got)
		}
		if got := told.take(); got != row.failure {
			t.Errorf("OnError is told of %q, want %q", got, row.failure)
		}
	}
}

type writerFunc func(b []byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}
