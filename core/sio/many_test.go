package sio

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/internal/wire"
)

// zeros are so many arguments, as small as can be.
func zeros(n int) string { return "0" + strings.Repeat(",0", n-1) }

// heapNow is what is in use.
func heapNow() int {
	var m runtime.MemStats
	for range 2 { // what a pool has held goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestWaitingIsText: what waits of packets with very many arguments costs what their
// text does, measured, and what the inbox counts.
func TestWaitingIsText(t *testing.T) {
	const n = 400_000
	size := len(zeros(n))
	most := func(what string, before, texts int) {
		t.Helper()
		if got := heapNow() - before; got > texts*size+size/2 {
			t.Errorf("%s: %.1f times the text is held instead of %d times", what, float64(got)/float64(size), texts)
		}
	}
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), AckTimeout: wire.Patience})
	sockets, began, hold := make(chan *Socket, 1), make(chan bool), make(chan struct{})
	srv.Of("/").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; return nil })
	srv.Of("/").On("hold", Handle(func(context.Context, *Socket, None) error { began <- true; <-hold; return nil }))
	handled := make(chan int, 9)
	srv.Of("/").On("many", Handle(func(_ context.Context, _ *Socket, a Args) error { handled <- a.Len(); return nil }))
	srv.Of("/loop").OnConnect(func(_ context.Context, s *Socket) error { sockets <- s; return nil })
	srv.Of("/loop").Loop(func(ctx context.Context, s *Socket) error {
		<-hold
		for ev := range s.Events(ctx) {
			handled <- ev.Args.Len()
		}
		return nil
	})
	c := serve(t, srv)
	join := func(namespace string) (*wire.WS, *client) {
		w := c.Join(namespace)
		return w, (<-sockets).client
	}

	w, cl := join("")
	w.Send(`42["hold"]`)
	<-began
	many := []byte(`2["many",` + zeros(n) + "]")
	before := heapNow()
	read := make(chan struct{})
	go func() {
		for range 6 { // more than fits
			cl.Message(false, many, false)
		}
		close(read)
	}()
	until(t, "a reader that waits", func() bool { return cl.inbox.State().Stalled == 1 })
	state := cl.inbox.State()
	most("an inbox and a reader that waits", before, state.Waiting+1)
	if n := state.Waiting; n != 4 || state.Bytes < n*size || state.Bytes > n*(size+1000) {
		t.Errorf("%d texts of %d bytes count as %d", n, size, state.Bytes)
	}

	// A decoder that awaits attachments, one whose packet was wrong, and one that has
	// begun a packet for a namespace that was not joined.
	for what, text := range map[string]string{
		"an attachment is awaited": `51-["many",{"_placeholder":true,"num":0},` + zeros(n) + "]",
		"wrong JSON":               `2["many",` + zeros(n) + "x",
		"no such namespace":        `51-/none,["many",{"_placeholder":true,"num":0},` + zeros(n) + "]",
	} {
		_, cl := join("")
		before, data := heapNow(), []byte(text)
		r := cl.Message(false, data, false)
		texts := 0
		if r == 0 {
			texts = 1
		}
		most(what, before, texts)
		runtime.KeepAlive(cl)
	}

	// A Loop that does not receive.
	_, lc := join("/loop")
	before = heapNow()
	lc.Message(false, []byte(`2/loop,["x",`+zeros(n)+"]"), false)
	until(t, "the event is handed over", func() bool {
		r, ok := lc.inbox.Claim("/loop", 0)
		if ok {
			lc.inbox.Release(r)
		}
		return ok
	})
	most("a Loop", before, 1)

	close(hold)
	for range 7 {
		if got := <-handled; got != n {
			t.Errorf("%d arguments", got)
		}
	}
	<-read
}

// TestAnswersAreText: the answers of those who have answered cost what their text does
// until the last one has, and each is whole.
func TestAnswersAreText(t *testing.T) {
	const n, clients = 400_000, 4
	srv := NewServer(&Options{AckTimeout: time.Minute})
	c := serve(t, srv)
	var ws []*wire.WS
	for range clients + 1 {
		ws = append(ws, c.Join(""))
	}
	answers := make(chan []Answer[Args], 1)
	go func() {
		a, _ := CallAll[Args](context.Background(), srv.Of("/").All(), "q")
		answers <- a
	}()
	for _, w := range ws {
		if m := w.Next(); m != `420["q"]` {
			t.Fatal(m)
		}
	}
	ack := "30[" + zeros(n) + "]"
	before := heapNow()
	sockets := srv.Of("/").All().sockets()
	for _, s := range sockets[:clients] {
		s.client.Message(false, []byte(ack), false)
	}
	if held := heapNow() - before; held > clients*len(ack)+len(ack)/2 {
		t.Errorf("%d answers hold %.1f times their text each", clients, float64(held)/float64(clients*len(ack)))
	}
	sockets[clients].client.Message(false, []byte(ack), false)
	for _, a := range <-answers {
		if a.Err != nil || a.Value.Len() != n || string(a.Value.Raw(n-1)) != "0" {
			t.Errorf("%d arguments, %v", a.Value.Len(), a.Err)
		}
	}
}

// TestManyArguments: events, acks and binary packets of thousands of arguments arrive
// whole, however they had to wait, and are sent on.
func TestManyArguments(t *testing.T) {
	var list []string
	for i := range 3000 {
		list = append(list, fmt.Sprintf(`%d,{"a":[%d,"\"]"]},"x%d"`, i, i, i))
	}
	args := strings.Join(list, ",")
	const placeholder = `{"_placeholder":true,"num":0}`
	srv := NewServer(&Options{Logger: slog.New(slog.DiscardHandler), AckTimeout: wire.Patience})
	hold := make(chan struct{})
	n := srv.Of("/")
	n.On("hold", Handle(func(context.Context, *Socket, None) error { <-hold; return nil }))
	n.On("echo", HandlerFunc(func(_ context.Context, ev *Event) error { return ev.Ack(ev.Args) }))
	n.On("ask", HandlerFunc(func(ctx context.Context, ev *Event) error {
		a, err := Call[Args](ctx, ev.Socket, "q")
		if err != nil {
			return err
		}
		return ev.Socket.Emit("answer", a)
	}))
	n.On("ask-all", HandlerFunc(func(ctx context.Context, ev *Event) error {
		all, err := CallAll[Args](ctx, n.All(), "q")
		if err != nil || len(all) != 1 || all[0].Err != nil {
			return fmt.Errorf("%d answers, %v", len(all), err)
		}
		return ev.Socket.Emit("answer", all[0].Value)
	}))
	srv.Of("/loop").Loop(func(ctx context.Context, s *Socket) error {
		for ev := range s.Events(ctx) {
			if err := ev.Ack(ev.Args); err != nil {
				return err
			}
		}
		return nil
	})
	c := serve(t, srv)
	w := c.Join("")
	next := func(what string, want ...string) {
		t.Helper()
		for _, m := range want {
			if got := w.Next(); got != m {
				t.Errorf("%s\n got  %.100s, %d bytes\n want %.100s, %d bytes", what, got, len(got), m, len(m))
			}
		}
	}
	for _, wait := range []bool{false, true} {
		what := map[bool]string{false: "at once", true: "through the inbox"}[wait]
		if wait {
			w.Send(`42["hold"]`)
		}
		w.Send(`421["echo",`+args+"]", `452-2["echo",`+placeholder+","+args+`,{"_placeholder":true,"num":1}]`)
		w.SendBinary([]byte{1})
		w.SendBinary([]byte{2})
		if wait {
			close(hold)
		}
		next(what, "431["+args+"]", "462-2["+placeholder+","+args+`,{"_placeholder":true,"num":1}]`, "bAQ==", "bAg==")
	}
	id := 0
	for _, ask := range []string{"ask", "ask-all"} {
		w.Send(`42["` + ask + `"]`)
		next(ask, fmt.Sprintf(`42%d["q"]`, id))
		w.Send(fmt.Sprintf("43%d[%s]", id, args))
		next(ask, `42["answer",`+args+"]")
		w.Send(`42["` + ask + `"]`)
		next(ask, fmt.Sprintf(`42%d["q"]`, id+1))
		w.Send(fmt.Sprintf("461-%d[%s,%s]", id+1, args, placeholder))
		w.SendBinary([]byte{3})
		next(ask+" for binary", `451-["answer",`+args+","+placeholder+"]", "bAw==")
		id += 2
	}
	w = c.Join("/loop")
	w.Send(`42/loop,3["x",`+args+"]", `451-/loop,4["x",`+args+","+placeholder+"]")
	w.SendBinary([]byte{4})
	next("Recv", "43/loop,3["+args+"]", "461-/loop,4["+args+","+placeholder+"]", "bBA==")
}

// TestKeep: an event that waits counts what it holds, and has its arguments back then.
func TestKeep(t *testing.T) {
	s := &Socket{ns: NewServer(nil).Of("/")}
	for n, list := range map[int]int{packet.MaxKept: packet.MaxKept, packet.MaxKept + 1: 1} {
		var raw []json.RawMessage
		for i := range n {
			raw = append(raw, json.RawMessage(fmt.Sprint(i)))
		}
		ev := &Event{Name: "x", Socket: s, Args: Args{raw: raw, attachments: [][]byte{{1}}}}
		own := ev.keep()
		if cap(own.Args.raw) != list || own.size() > ev.size() {
			t.Errorf("%d arguments are kept as %d, and count as %d bytes of %d", n, cap(own.Args.raw), own.size(), ev.size())
		}
		own.restore()
		own.restore()
		if fmt.Sprint(own.Args) != fmt.Sprint(ev.Args) || own.Args.Len() != n || len(own.Args.attachments) != 1 {
			t.Errorf("%d arguments: %v", n, own.Args)
		}
	}
}

// TestAttachmentsInTime: a packet has its time as a whole, and more for what has come
// and not for how often.
func TestAttachmentsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(&Options{AttachmentTimeout: 10 * time.Second})
		c := &client{srv: srv}
		begun := srv.hub.Wheel().Now()
		want := func(what string, d time.Duration) {
			t.Helper()
			if got := c.due.until - begun; got < d || got > d+time.Millisecond {
				t.Errorf("%s: %v instead of %v", what, got, d)
			}
		}
		c.await(900_000)
		want("the text", 10*time.Second)
		for range 9 {
			time.Sleep(time.Second)
			c.await(1)
		}
		want("small ones", 10*time.Second)
		c.await(500_000)
		want("half a megabyte", 15*time.Second)
		c.complete()
		if c.due != nil {
			t.Error("complete, and there is a deadline")
		}
		time.Sleep(time.Second) // the wheel has ended
	})
}
