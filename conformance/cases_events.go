package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// eventCases are about handlers, rooms and the request of a socket.
var eventCases = []testCase{
	{
		name: "events/errors",
		rule: "a handler's error reaches the client as code, an internal one without its text",
		spec: "docs/protocol.md 6.4",
		run:  eventsErrors,
	},
	{
		name: "events/panic",
		rule: "a panicking handler is answered as internal and kills nothing",
		spec: "docs/protocol.md 7.1",
		run:  eventsPanic,
	},
	{
		name: "events/order-while-waiting",
		rule: "1 000 events of one socket are handled in order while a handler awaits the client's " +
			"ack; another socket is not delayed",
		spec: "docs/protocol.md 6.5",
		run:  orderWhileWaiting,
	},
	{
		name: "events/blocked-handler",
		rule: "behind a blocked handler reading stops, other sockets go on, the heartbeat is suspended",
		spec: "docs/protocol.md 6.5",
		slow: true,
		opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = 200*time.Millisecond, 1200*time.Millisecond },
		run:  eventsBlockedHandler,
	},
	{
		name: "events/emit-before-sleep",
		rule: "what a handler emits leaves before its sleep ends",
		spec: "docs/protocol.md 6.5",
		run:  eventsEmitBeforeSleep,
	},
	{
		name: "rooms/say",
		rule: "rooms reach their members once, with or without the sender",
		spec: "docs/protocol.md 6.7",
		run:  rooms,
	},
	{
		name: "rooms/union",
		rule: "whoever is in several of the rooms addressed gets one message; those in a room that is " +
			"excepted get none",
		spec:  "docs/protocol.md 6.7",
		local: true,
		run:   roomsUnion,
	},
	{
		name: "rooms/binary-broadcast",
		rule: "a broadcast carries binary to websocket and polling alike",
		spec: "docs/protocol.md 6.7",
		run:  roomsBinaryBroadcast,
	},
	{
		name: "request/snapshot",
		rule: "the handshake's request never changes, whatever comes on the same connections",
		spec: "docs/protocol.md 2.7",
		run:  snapshot,
	},
}

func eventsErrors(c *env) {
	w := c.Join("")
	w.Send(`421["fail","public"]`)
	c.Want("public", w.Next(), `431[{"error":{"code":"nope","message":"not today","data":7}}]`)
	w.Send(`422["fail","secret"]`)
	c.Want("internal", w.Next(), `432[{"error":{"code":"internal","message":"internal error"}}]`)
	w.Send(`42["fail","public"]`)
	c.Want("without ack", w.Next(), `42["error",{"code":"nope","message":"not today","data":7}]`)
	w.Send(`423["fail"]`)
	c.Want("too few", w.Next(), `433[{"error":{"code":"bad_argument","message":"0 arguments instead of 1"}}]`)
	w.Send(`424["no such event"]`)
	c.Want("unknown", w.Next(), `434[{"error":{"code":"refused","message":"event refused"}}]`)
	w.Send(`42["no such event"]`, `42["error"]`, `42["__proto__"]`, `42`, `42["echo",1]`)
	c.Want("unknown without ack", w.Next(), `42["echo",1]`)
}

func eventsPanic(c *env) {
	w := c.Join("")
	other := c.Join("")
	w.Send(`425["boom"]`)
	c.Want("ack", w.Next(), `435[{"error":{"code":"internal","message":"internal error"}}]`)
	w.Send(`42["boom"]`, `42["echo",1]`)
	c.Want("event", w.Next(), `42["error",{"code":"internal","message":"internal error"}]`)
	c.Want("the same socket", w.Next(), `42["echo",1]`)
	other.Send(`42["echo",2]`)
	c.Want("another socket", other.Next(), `42["echo",2]`)
	w.Send(`40/secret,{"token":"panic"}`)
	c.Want("OnConnect", w.Next(), `44/secret,{"message":"internal error"}`)
	w.Send(`40/secret,{"token":"broken"}`)
	c.Want("OnConnect error", w.Next(), `44/secret,{"message":"internal error"}`)
}

func eventsBlockedHandler(c *env) {
	w := c.Join("")
	w.Send(`42["block"]`)
	c.Want("blocked", w.Next(), `42["blocked"]`)
	for i := range 500 {
		w.Send(fmt.Sprintf(`42["n",%d]`, i))
	}
	c.Alive()
	time.Sleep(1600 * time.Millisecond) // longer than the heartbeat would wait
	c.Want("nothing handled meanwhile", len(c.handled()), 0)
	c.Want("nobody disconnected", len(c.own().ended()), 1) // c.Alive's
	close(c.own().release)
	c.Eventually("all events", func() bool { return len(c.handled()) == 500 })
	for i, n := range c.handled() {
		if i != n {
			c.T.Fatalf("event %d came as number %d", n, i)
		}
	}
}

func eventsEmitBeforeSleep(c *env) {
	w := c.Join("")
	var late int64
	for range 10 { // a busy machine is late now and then, a server that is slow always
		w.Send(`42["emit-then-sleep",200]`)
		w.Next()
		came := time.Now().UnixMicro()
		var woke int64
		if _, err := fmt.Sscanf(w.Next(), `42["after",%d]`, &woke); err != nil {
			c.T.Fatal(err)
		}
		if late = came - woke; late < 0 {
			return
		}
	}
	c.T.Errorf("the event came %d us after the sleep had ended", late)
}

func roomsUnion(c *env) {
	both, one, not := c.Join(""), c.Join(""), c.Join("")
	for _, row := range []struct {
		w    *wire.WS
		room string
	}{{both, "r"}, {both, "s"}, {one, "s"}, {not, "s"}, {not, "x"}} {
		row.w.Send(`420["join","` + row.room + `"]`)
		c.Want("join", row.w.Next(), "430[]")
	}
	c.settle()
	if err := c.of("/").To("r", "s").Except("x").Emit("once"); err != nil {
		c.T.Fatal(err)
	}
	for what, w := range map[string]*wire.WS{"both": both, "one": one} {
		c.Want(what, w.Next(), `42["once"]`)
		w.Send(`42["echo","end"]`)
		c.Want(what+": and nothing else", w.Next(), `42["echo","end"]`)
	}
	not.Send(`42["echo","end"]`)
	c.Want("excepted", not.Next(), `42["echo","end"]`)
}

func roomsBinaryBroadcast(c *env) {
	w := c.Join("")
	s := c.Polling()
	s.Join("")
	c.settle()
	w.Send(`452-["shout",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
	w.SendBinary([]byte{1})
	w.SendBinary([]byte{2})
	want := `452-["shouted",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	c.Want("websocket", []string{w.Next(), w.Next(), w.Next()}, []string{want, "bAg==", "bAQ=="})
	c.Want("polling", s.Packets(3), []string{want, "bAg==", "bAQ=="})
}

func orderWhileWaiting(c *env) {
	w := c.Join("")
	other := c.Join("")
	w.Send(`42["ask","x"]`)
	id := c.question(w)
	for i := range 1000 {
		w.Send(fmt.Sprintf(`42["n",%d]`, i))
	}
	other.Send(`42["echo",1]`)
	c.Want("another socket", other.Next(), `42["echo",1]`)
	c.holds() // until the events of the first have been read
	c.Want("handled before the ack", len(c.handled()), 0)
	w.Send(`43` + id + `["y"]`) // behind a thousand events, as a client would
	c.Want("answer", w.Next(), `42["answer","y"]`)
	c.Eventually("all events", func() bool { return len(c.handled()) == 1000 })
	for i, n := range c.handled() {
		if i != n {
			c.T.Fatalf("event %d came as number %d", n, i)
		}
	}
	w.Send(`42["echo","end"]`)
	c.Want("then", w.Next(), `42["echo","end"]`)
}

func rooms(c *env) {
	a, b, o := c.Join(""), c.Join(""), c.Join("")
	for _, w := range []*wire.WS{a, b} {
		w.Send(`420["join","r"]`)
		c.Want("join", w.Next(), "430[]")
	}
	p := c.Polling()
	p.Join("")
	p.Post(`420["join","r"]`)
	c.Want("join", p.Packets(1)[0], "430[]")
	c.settle()
	a.Send(`42["say","r","all"]`)
	c.Want("sender", a.Next(), `42["said","r","all"]`)
	c.Want("member", b.Next(), `42["said","r","all"]`)
	c.Want("polling member", p.Packets(1)[0], `42["said","r","all"]`)
	a.Send(`42["say-others","r","others"]`, `42["echo","mark"]`)
	c.Want("sender is left out", a.Next(), `42["echo","mark"]`)
	c.Want("member", b.Next(), `42["said","r","others"]`)
	b.Send(`421["leave","r"]`)
	c.Want("leave", b.Next(), "431[]")
	a.Send(`42["say","r","rest"]`, `42["shout","everyone"]`, `42["shout-others","the others"]`, `42["say","no such room","x"]`)
	c.Want("sender", []string{a.Next(), a.Next()}, []string{`42["said","r","rest"]`, `42["shouted","everyone"]`})
	c.Want("left", []string{b.Next(), b.Next()}, []string{`42["shouted","everyone"]`, `42["shouted","the others"]`})
	c.Want("never joined", []string{o.Next(), o.Next()}, []string{`42["shouted","everyone"]`, `42["shouted","the others"]`})
}

func snapshot(c *env) {
	first := c.Polling("user=alice")
	ws, a := c.Upgrade(w4+"&user=alice", "", "X-User", "alice")
	if ws == nil {
		c.T.Fatal(a)
	}
	ws.Next()
	ws.Send("40")
	ws.Next()
	first.Join("")
	for i := range 1000 {
		c.Must("GET", q4+"&user=mallo&sid=xxxxxxxxxxxxxxxxxxxx", "", "X-User", "mallo", "X-N", fmt.Sprint(i))
	}
	_, host, _ := strings.Cut(c.Host.URL, "://")
	ws.Send(`420["request","X-User"]`)
	c.Want("websocket", ws.Next(), fmt.Sprintf(`430[["GET","%s&user=alice","alice","%s"]]`, w4, host))
	first.Post(`420["request","X-User"]`)
	c.Want("polling", first.Packets(1)[0], fmt.Sprintf(`430[["GET","%s&user=alice","","%s"]]`, q4, host))
}
