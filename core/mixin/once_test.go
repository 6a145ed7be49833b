package mixin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// clientName is the field "client" of the auth payload, or of the query in older protocols.
func clientName(s *sio.Socket) string {
	var auth struct{ Client string }
	if err := s.Auth(&auth); err != nil || auth.Client == "" {
		return s.Request().Query().Get("client")
	}
	return auth.Client
}

// handled is what the handlers of serveOnce have been called with.
type handled struct {
	mu   sync.Mutex
	list []string
}

func (h *handled) note(format string, args ...any) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, fmt.Sprintf(format, args...))
	return len(h.list)
}

func (h *handled) want(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.list, want) {
		t.Errorf("handled %q, want %q", h.list, want)
	}
}

// gate keeps a handler inside until it is opened.
type gate struct{ in, out chan struct{} }

func newGate() gate { return gate{make(chan struct{}, 1), make(chan struct{})} }

func serveOnce(t *testing.T, o *mixin.Once) (*handled, gate, *sio.Namespace, *wire.Client) {
	if o.Client == nil {
		o.Client = clientName
	}
	n, c := serve(t, o)
	h, g := &handled{}, newGate()
	n.On("add", sio.Reply(func(_ context.Context, _ *sio.Socket, by int) (int, error) { return h.note("add %d", by), nil }))
	n.On("also", sio.Reply(func(_ context.Context, _ *sio.Socket, by int) (int, error) { return h.note("also %d", by), nil }))
	n.On("blob", sio.Reply(func(context.Context, *sio.Socket, sio.None) (sio.Args2[string, []byte], error) {
		return sio.Args2[string, []byte]{A: "blob", B: []byte{byte(h.note("blob"))}}, nil
	}))
	n.On("refuse", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return sio.Errorf("no", "%d", h.note("refuse")) }))
	n.On("fail", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { h.note("fail"); return errors.New("secret") }))
	n.On("boom", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { h.note("boom"); panic("boom") }))
	n.On("raw", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { return ev.Ack("raw", h.note("raw %v", ev.Args)) }))
	n.On("slow", sio.Reply(func(context.Context, *sio.Socket, sio.None) (string, error) {
		g.in <- struct{}{}
		<-g.out
		return fmt.Sprint(h.note("slow")), nil
	}))
	n.On("left", sio.Reply(func(ctx context.Context, s *sio.Socket, _ sio.None) (string, error) {
		g.in <- struct{}{}
		<-s.Context().Done()
		<-g.out
		return fmt.Sprint(h.note("left"), s.Connected(), ctx.Err() == nil), nil
	}))
	return h, g, n, c
}

func join4(t *testing.T, c *wire.Client, name string) *wire.WS {
	t.Helper()
	w, _ := c.WebSocket()
	w.Send(`40{"client":"` + name + `"}`)
	if m := w.Next(); !strings.HasPrefix(m, "40{") {
		t.Fatal(m)
	}
	return w
}

// TestOnceRepeats: a repetition gets the recorded answer, whatever the answer is, and on another
// connection too; what is another event is handled.
func TestOnceRepeats(t *testing.T) {
	h, _, _, c := serveOnce(t, &mixin.Once{})
	a := join4(t, c, "a")
	const one = `[{"error":{"code":"no","message":"5"}}]`
	const internal = `[{"error":{"code":"internal","message":"internal error"}}]`
	for _, row := range []struct{ send, want string }{
		{`421["add",{"once":1},7]`, `431[1]`},
		{`422["add",{"once":1},7]`, `432[1]`},
		{`423["add",{"once":"1"},8]`, `433[2]`}, // a text is no number
		{`424["also",{"once":1},9]`, `434[3]`},  // another event
		{`425["refuse",{"once":2}]`, `435[{"error":{"code":"no","message":"4"}}]`},
		{`426["refuse",{"once":2}]`, `436[{"error":{"code":"no","message":"4"}}]`},
		{`426["refuse",{"once":3}]`, `436` + one},
		{`427["fail",{"once":3}]`, `437` + internal},
		{`428["fail",{"once":3}]`, `438` + internal},
		{`427["boom",{"once":4}]`, `437` + internal},
		{`428["boom",{"once":4}]`, `438` + internal},
		{`421["raw",{"once":5},{"x":1},2]`, `431["raw",8]`},
		{`422["raw",{"once":5},{"x":1},2]`, `432["raw",8]`},
		{`421["raw",{"once":6,"x":1}]`, `431["raw",9]`}, // an argument of the application's
		{`422["raw",{"once":6,"x":1}]`, `432["raw",10]`},
		{`422["also",{"once":-1},9]`, `432[11]`},
		{`423["also",{"once":-1},9]`, `433[11]`},
		{`423["add",1]`, `433[12]`},
		{`424["add",1]`, `434[13]`},
		{`423["raw",{"once":null}]`, `433[{"error":{"code":"bad_argument","message":"once is neither a string nor a number"}}]`},
		{`423["raw",{"once":"` + strings.Repeat("x", 300) + `"}]`, `433[{"error":{"code":"bad_argument","message":"an id of more than 256 bytes"}}]`},
		{`425["none",{"once":1}]`, `435[{"error":{"code":"refused","message":"event refused"}}]`},
	} {
		a.Send(row.send)
		want(t, a, row.want)
	}
	a.Send(`421["blob",{"once":9}]`)
	want(t, a, `461-1["blob",{"_placeholder":true,"num":0}]`, "bDg==")
	a.Send("41")

	again := join4(t, c, "a")
	again.Send(`420["blob",{"once":9}]`, `421["add",{"once":1},7]`, `42["raw",{"once":5},{"x":1},2]`, `427["add",{"once":10},7]`)
	want(t, again, `461-0["blob",{"_placeholder":true,"num":0}]`, "bDg==", `431[1]`, `437[16]`)

	other := join4(t, c, "b")
	other.Send(`421["add",{"once":1},70]`)
	want(t, other, `431[17]`)
	nobody := join4(t, c, "")
	nobody.Send(`421["add",{"once":1},3]`, `421["add",{"once":1},3]`)
	want(t, nobody, `431[18]`, `431[19]`)
	h.want(t, "add 7", "add 8", "also 9", "refuse", "refuse", "fail", "boom", `raw [{"x":1} 2]`, `raw [{"once":6,"x":1}]`,
		`raw [{"once":6,"x":1}]`, "also 9", "add 1", "add 1", "blob", `raw [{"x":1} 2]`, "add 7", "add 70", "add 3", "add 3")
}

// TestOnceGenerations: by polling, and in the older protocols.
func TestOnceGenerations(t *testing.T) {
	h, _, _, c := serveOnce(t, &mixin.Once{})
	for range 2 {
		p := c.Polling()
		p.Post(`40{"client":"polls"}`)
		p.Packets(1)
		p.Post(`421["add",{"once":1},4]` + "\x1e" + `422["add",{"once":1},4]`)
		if got := p.Packets(2); !slices.Equal(got, []string{`431[1]`, `432[1]`}) {
			t.Errorf("polling: %q", got)
		}
	}
	for range 2 {
		p := c.Polling3("b64=1", "client=three")
		p.Next() // 40
		p.Post(`421["add",{"once":1},3]`, `422["add",{"once":1},3]`, `423["blob",{"once":2}]`)
		for _, want := range []string{`431[2]`, `432[2]`, `461-3["blob",{"_placeholder":true,"num":0}]`} {
			if got := p.Next(); got != want {
				t.Errorf("1.x and 2.x: %q instead of %q", got, want)
			}
		}
	}
	for range 2 {
		sid := c.Handshake1("client=nine")
		w, a := c.At(c.Path+"1/websocket/"+sid).Upgrade("", "")
		if w == nil {
			t.Fatal(a)
		}
		want(t, w, "1::")
		w.Send(`5:1+::{"name":"add","args":[{"once":"i"},9]}`, `5:2+::{"name":"add","args":[{"once":"i"},9]}`)
		want(t, w, `6:::1+[4]`, `6:::2+[4]`)
	}
	h.want(t, "add 4", "add 3", "blob", "add 9")
}

// TestOnceRunning: the repetition of an event whose handler runs starts no other run, and gets
// that run's answer, on the same connection and, when that has ended, on the next.
func TestOnceRunning(t *testing.T) {
	for _, polls := range []bool{false, true} {
		h, g, _, c := serveOnce(t, &mixin.Once{})
		first := join4(t, c, "a")
		first.Send(`421["left",{"once":1}]`)
		<-g.in
		first.Send(`422["left",{"once":1}]`)
		first.Reset()
		early := join4(t, c, "a")
		early.Send(`423["left",{"once":1}]`, `424["add",{"once":2},1]`)
		want(t, early, `434[1]`) // the repetition waits, and what comes behind it does not
		if polls {
			p := c.Polling()
			p.Post(`40{"client":"a"}`)
			p.Packets(1)
			p.Post(`425["left",{"once":1}]` + "\x1e" + `426["add",{"once":2},1]`)
			if got := p.Packets(1); got[0] != `436[1]` {
				t.Error(got)
			}
			close(g.out)
			if got := p.Packets(1); got[0] != `435["2 false true"]` {
				t.Error(got)
			}
			p.Post(`427["left",{"once":1}]`)
			if got := p.Packets(1); got[0] != `437["2 false true"]` {
				t.Error(got)
			}
		} else {
			close(g.out)
			want(t, early, `433["2 false true"]`)
		}
		h.want(t, "add 1", "left")
	}
}

// TestOnceConcurrent: two runs at the same time on one connection, inside of Concurrent.
func TestOnceConcurrent(t *testing.T) {
	o := &mixin.Once{Client: clientName}
	n, c := serve(t)
	n.Use(sio.Concurrent(4))
	n.Mix(o)
	g, h := newGate(), &handled{}
	n.On("slow", sio.Reply(func(context.Context, *sio.Socket, sio.None) (int, error) {
		n := h.note("slow")
		g.in <- struct{}{}
		<-g.out
		return n, nil
	}))
	n.On("quick", sio.Reply(func(context.Context, *sio.Socket, sio.None) (int, error) { return h.note("quick"), nil }))
	a := join4(t, c, "a")
	a.Send(`421["slow",{"once":1}]`)
	<-g.in
	a.Send(`422["slow",{"once":1}]`, `423["quick",{"once":2}]`)
	want(t, a, `433[2]`)
	close(g.out)
	got := []string{a.Next(), a.Next()}
	slices.Sort(got)
	if got[0] != `431[1]` || got[1] != `432[1]` {
		t.Errorf("%q", got)
	}
	h.want(t, "slow", "quick")
}

// TestOnceLate: an ack that the handler sends when it has returned long since, and one that
// comes from a Loop, are recorded too.
func TestOnceLate(t *testing.T) {
	h, _, n, c := serveOnce(t, &mixin.Once{})
	late := make(chan *sio.Event, 1)
	n.On("late", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { h.note("late"); late <- ev; return nil }))
	n.Loop(func(_ context.Context, s *sio.Socket) error {
		for ev := range s.Events(s.Context()) {
			if err := ev.Ack("loop", h.note("loop %v", ev.Args)); err != nil {
				return err
			}
		}
		return nil
	})
	a := join4(t, c, "a")
	a.Send(`421["late",{"once":1}]`, `422["late",{"once":1}]`, `423["late",{"once":1}]`, `424["add",{"once":2},5]`)
	want(t, a, `434[2]`)
	if err := (<-late).Ack("at last"); err != nil {
		t.Error(err)
	}
	want(t, a, `433["at last"]`, `431["at last"]`) // the newest repetition, and the event itself
	a.Send(`425["late",{"once":1}]`, `426["recv",{"once":3},"x"]`)
	want(t, a, `435["at last"]`, `436["loop",3]`)
	a.Send(`427["recv",{"once":3},"x"]`)
	want(t, a, `437["loop",3]`)
	h.want(t, "late", "add 5", `loop ["x"]`)
}

// TestOnceUnanswered: an event that nobody has answered when its socket ends is handled with
// the next repetition: one that a Loop has left in its queue, and one whose handler was to
// answer later.
func TestOnceUnanswered(t *testing.T) {
	h, g, n, c := serveOnce(t, &mixin.Once{})
	late := make(chan *sio.Event, 1)
	n.On("late", sio.HandlerFunc(func(_ context.Context, ev *sio.Event) error { h.note("late"); late <- ev; return nil }))
	n.Loop(func(_ context.Context, s *sio.Socket) error {
		if s.Request().Query().Get("deaf") != "" {
			<-g.out
			return nil
		}
		for ev := range s.Events(s.Context()) {
			if err := ev.Ack("loop", h.note("loop %v", ev.Args)); err != nil {
				return err
			}
		}
		return nil
	})
	deaf, _ := c.WebSocket("deaf=1")
	deaf.Send(`40{"client":"a"}`)
	deaf.Next()
	deaf.Send(`421["recv",{"once":1},"x"]`, `422["late",{"once":2}]`, `423["add",{"once":3},5]`)
	want(t, deaf, `433[2]`)
	close(g.out)
	want(t, deaf, `41`)
	ev := <-late
	<-ev.Socket.Context().Done()

	again := join4(t, c, "a")
	again.Send(`425["late",{"once":2}]`, `421["add",{"once":3},5]`)
	want(t, again, `431[2]`)
	select {
	case now := <-late:
		if err := now.Ack("now"); err != nil {
			t.Error(err)
		}
	default:
		t.Fatal("not handled again")
	}
	want(t, again, `435["now"]`)
	again.Send(`424["recv",{"once":1},"x"]`)
	want(t, again, `434["loop",4]`)
	_ = ev.Ack("too late") // for nobody
	again.Send(`426["recv",{"once":1},"x"]`, `427["late",{"once":2}]`, `428["add",{"once":3},5]`)
	want(t, again, `436["loop",4]`, `437["now"]`, `438[2]`)
	h.want(t, "late", "add 5", "late", `loop ["x"]`)
}

// TestOnceBounds: what was handled first is forgotten first, of one client and of all; an answer
// that is too large is not kept, and its handler does not run again all the same.
func TestOnceBounds(t *testing.T) {
	h, g, n, c := serveOnce(t, &mixin.Once{PerClient: 2, Bytes: 4400, MaxBytes: 8800})
	n.On("long", sio.Reply(func(_ context.Context, _ *sio.Socket, by int) (string, error) {
		return fmt.Sprint(h.note("long %d", by), strings.Repeat("x", by)), nil
	}))
	a := join4(t, c, "a")
	say := func(w *wire.WS, event, id, arg, answer string) {
		t.Helper()
		w.Send(fmt.Sprintf(`421[%q,{"once":%s},%s]`, event, id, arg))
		want(t, w, `431[`+answer+`]`)
	}
	say(a, "add", "1", "1", "1")
	say(a, "add", "2", "2", "2")
	say(a, "add", "1", "1", "1") // a repetition makes nothing younger
	say(a, "add", "3", "3", "3")
	say(a, "add", "2", "2", "2")
	say(a, "add", "1", "1", "4") // forgotten
	lost := `{"error":{"code":"handled","message":"handled already, and the answer is not kept"}}`
	a.Send(`421["long",{"once":4},4000]`)
	if got := a.Next(); len(got) < 4000 {
		t.Error(got)
	}
	say(a, "long", "4", "4000", lost)
	a.Send(`421["long",{"once":5},3000]`)
	five := a.Next()
	a.Send(`421["long",{"once":5},3000]`)
	want(t, a, five)
	b := join4(t, c, "b")
	b.Send(`421["long",{"once":5},2000]`)
	b.Next()
	b.Send(`421["long",{"once":6},1000]`) // with it 8800 are reached, by the oldest of a
	b.Next()
	a.Send(`421["long",{"once":5},3000]`)
	if got := a.Next(); got == five {
		t.Error("nothing of another client was forgotten")
	}
	h.want(t, "add 1", "add 2", "add 3", "add 1", "long 4000", "long 3000", "long 2000", "long 1000", "long 3000")

	// An event whose handler runs is not forgotten, whatever is handled meanwhile.
	b.Send(`421["slow",{"once":1}]`)
	<-g.in
	for i := range 8 {
		say(a, "add", fmt.Sprintf(`"more %d"`, i), "0", fmt.Sprint(10+i))
	}
	again := join4(t, c, "b")
	again.Send(`421["slow",{"once":1}]`, `422["add",0]`)
	want(t, again, `432[18]`)
	close(g.out)
	want(t, again, `431["19"]`)
}

// TestOnceOwnID: the application finds the id itself.
func TestOnceOwnID(t *testing.T) {
	h, _, n, c := serveOnce(t, &mixin.Once{ID: func(ev *sio.Event) string {
		var order struct{ ID string }
		_ = ev.Args.Slice(ev.Args.Len() - 1).Bind(&order)
		return order.ID
	}})
	n.On("order", sio.Reply(func(_ context.Context, _ *sio.Socket, in struct{ ID string }) (int, error) {
		return h.note("order %s", in.ID), nil
	}))
	a := join4(t, c, "a")
	a.Send(`421["order",{"id":"x"}]`, `422["order",{"id":"x"}]`, `423["order",{}]`, `424["order",{}]`)
	want(t, a, `431[1]`, `432[1]`, `433[2]`, `434[3]`)
	h.want(t, "order x", "order ", "order ")
}

func TestOncePanics(t *testing.T) {
	n := sio.NewServer(nil).Of("/")
	o := &mixin.Once{Client: clientName}
	n.Mix(o)
	n.Mix(&mixin.Once{Client: clientName})
	for name, f := range map[string]func(){
		"no client": func() { n.Mix(&mixin.Once{}) }, "twice": func() { n.Mix(o) },
		"nil for OnAck": func() { new(sio.Event).OnAck(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
