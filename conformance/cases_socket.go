package conformance

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

func init() {
	register(
		Case{Name: "packets/attachments", Rule: "placeholders in any order, attachments as base64 in a text frame", Spec: "protocol 3.2, 5", run: func(c *Context) {
			w := c.Join("")
			w.Send(`452-["echo",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
			w.SendBinary([]byte{0})
			w.SendBinary([]byte{1})
			w.Next()
			c.Want("placeholders in reverse", []string{w.Next(), w.Next()}, []string{"bAQ==", "bAA=="})
			w.Send(`451-["echo",{"_placeholder":true,"num":0}]`, "bAQIDBA==")
			w.Next()
			c.Want("base64 in a text frame", w.Next(), "bAQIDBA==")
		}},
		Case{Name: "connect/without-comma", Rule: "a CONNECT without the comma behind the namespace is one", Spec: "protocol 5", run: func(c *Context) {
			w := c.Join("")
			w.Send("40/chat")
			c.Want("answer", w.Next()[:8], "40/chat,")
		}},
		Case{Name: "connect/event-before", Rule: "an event before CONNECT ends the connection", Spec: "protocol 5, reliability S23", run: func(c *Context) {
			w, _ := c.WebSocket()
			w.Send(`42["echo",1]`)
			c.Closed(w, 1008)
			c.Alive()
		}},
		Case{Name: "connect/answers", Rule: "CONNECT is answered with an id or CONNECT_ERROR, and the connection stays", Spec: "protocol 4.1, 5", run: connectAnswers},
		Case{Name: "connect/answer-first", Rule: "what OnConnect emits arrives behind the answer", Spec: "reliability N08", run: func(c *Context) {
			w, _ := c.WebSocket()
			w.Send(`40/secret,{"token":"letmein"}`)
			if got := w.Next(); !strings.HasPrefix(got, `40/secret,{"sid":`) {
				c.T.Errorf("first %s", got)
			}
			if got := w.Next(); !strings.HasPrefix(got, `42/secret,["welcome",`) {
				c.T.Errorf("second %s", got)
			}
		}},
		Case{Name: "connect/too-many", Rule: "one client joins a bounded number of namespaces", Spec: "reliability S21",
			opts: func(o *sio.Options) { o.MaxNamespaces = 2 }, run: func(c *Context) {
				w := c.Join("")
				w.Send("40/chat", `40/secret,{"token":"letmein"}`)
				w.Next()
				c.Want("third", w.Next(), `44/secret,{"message":"Too many namespaces"}`)
			}},
		Case{Name: "disconnect/one-namespace", Rule: "leaving one namespace leaves the others alive", Spec: "protocol 4.4", run: func(c *Context) {
			w := c.Join("")
			w.Send("40/chat,")
			w.Next()
			w.Send("41/chat,", `42["echo",1]`)
			c.Want("the other", w.Next(), `42["echo",1]`)
			c.reason(sio.ClientNamespace)
			w.Send("40/chat,")
			if got := w.Next(); !strings.HasPrefix(got, "40/chat,") {
				c.T.Errorf("again: %s", got)
			}
			w.Send(`42/chat,["kick",false]`)
			c.Want("kick", w.Next(), "41/chat,")
			w.Send(`42/chat,["echo","late"]`, `42["echo",2]`)
			c.Want("a packet that crossed the kick is ignored", w.Next(), `42["echo",2]`)
			c.reason(sio.ServerNamespace)
		}},
		Case{Name: "disconnect/drop", Rule: "CloseTransport ends the transport without a disconnect packet", Spec: "protocol 4.4", run: func(c *Context) {
			w := c.Join("")
			w.Send(`42["drop"]`)
			s, err := w.Read()
			if ended := new(wire.CloseError); !errors.As(err, &ended) {
				c.T.Errorf("got %q, %v", s, err)
			}
			c.reason(sio.ServerTransport)
		}},
		Case{Name: "acks/both-ways", Rule: "the server acks with the arguments, a client's ack reaches the handler", Spec: "protocol 4.3", run: func(c *Context) {
			w := c.Join("")
			w.Send(`427["echo",1,{"a":"é"}]`)
			c.Want("ack", w.Next(), `437[1,{"a":"é"}]`)
			w.Send(`42["ask","x"]`)
			id := c.question(w)
			w.Send(`4399999["unknown"]`, `43`+id+`["y",2]`, `43`+id+`["again"]`)
			c.Want("answer", w.Next(), `42["answer","y",2]`)
		}},
		Case{Name: "acks/binary", Rule: "binary acks both ways", Spec: "protocol 3.2", run: func(c *Context) {
			w := c.Join("")
			w.Send(`451-3["echo",{"_placeholder":true,"num":0}]`)
			w.SendBinary([]byte{9})
			c.Want("ack", w.Next(), `461-3[{"_placeholder":true,"num":0}]`)
			c.Want("attachment", w.Next(), "bCQ==")
			w.Send(`42["ask","x"]`)
			w.Send(`461-` + c.question(w) + `[{"_placeholder":true,"num":0}]`)
			w.SendBinary([]byte{1, 2})
			c.Want("answer", w.Next(), `451-["answer",{"_placeholder":true,"num":0}]`)
			c.Want("attachment", w.Next(), "bAQI=")
		}},
		Case{Name: "events/errors", Rule: "a handler's error reaches the client as code, an internal one without its text", Spec: "DESIGN 3", run: func(c *Context) {
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
		}},
		Case{Name: "events/panic", Rule: "a panicking handler is answered as internal and kills nothing", Spec: "reliability R05", run: func(c *Context) {
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
		}},
		Case{Name: "events/order-while-waiting", Rule: "1 000 events of one socket are handled in order while a handler awaits the client's ack; another socket is not delayed", Spec: "DESIGN 3", run: orderWhileWaiting},
		Case{Name: "events/blocked-handler", slow: true, Rule: "behind a blocked handler reading stops, other sockets go on, the heartbeat is suspended", Spec: "DESIGN 3, reliability F07",
			opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = 200*time.Millisecond, 400*time.Millisecond }, run: func(c *Context) {
				w := c.Join("")
				w.Send(`42["block"]`)
				c.Want("blocked", w.Next(), `42["blocked"]`)
				for i := range 500 {
					w.Send(fmt.Sprintf(`42["n",%d]`, i))
				}
				c.Alive()
				time.Sleep(time.Second) // longer than the heartbeat would wait
				c.Want("nothing handled meanwhile", len(c.handled()), 0)
				c.Want("nobody disconnected", len(c.own().ended()), 1) // c.Alive's
				close(c.own().release)
				c.Eventually("all events", func() bool { return len(c.handled()) == 500 })
				for i, n := range c.handled() {
					if i != n {
						c.T.Fatalf("event %d came as number %d", n, i)
					}
				}
			}},
		Case{Name: "events/emit-before-sleep", Rule: "what a handler emits leaves before its sleep ends", Spec: "DESIGN 3", run: func(c *Context) {
			w := c.Join("")
			w.Send(`42["emit-then-sleep",200]`)
			w.Next()
			came := time.Now().UnixMicro()
			var woke int64
			if _, err := fmt.Sscanf(w.Next(), `42["after",%d]`, &woke); err != nil {
				c.T.Fatal(err)
			}
			if came >= woke {
				c.T.Errorf("the event came %d us after the sleep had ended", came-woke)
			}
		}},
		Case{Name: "rooms/say", Rule: "rooms reach their members once, with or without the sender", Spec: "protocol 4.5", run: rooms},
		Case{Name: "rooms/union", local: true, Rule: "whoever is in several of the rooms addressed gets one message; those in a room that is excepted get none", Spec: "protocol 4.5", run: func(c *Context) {
			both, one, not := c.Join(""), c.Join(""), c.Join("")
			for _, row := range []struct {
				w    *wire.WS
				room string
			}{{both, "r"}, {both, "s"}, {one, "s"}, {not, "s"}, {not, "x"}} {
				row.w.Send(`420["join","` + row.room + `"]`)
				c.Want("join", row.w.Next(), "430[]")
			}
			if err := c.server().Of("/").To("r", "s").Except("x").Emit("once"); err != nil {
				c.T.Fatal(err)
			}
			for what, w := range map[string]*wire.WS{"both": both, "one": one} {
				w.Send(`42["echo","end"]`)
				c.Want(what, []string{w.Next(), w.Next()}, []string{`42["once"]`, `42["echo","end"]`})
			}
			not.Send(`42["echo","end"]`)
			c.Want("excepted", not.Next(), `42["echo","end"]`)
		}},
		Case{Name: "rooms/binary-broadcast", Rule: "a broadcast carries binary to websocket and polling alike", Spec: "protocol 3.2", run: func(c *Context) {
			w := c.Join("")
			s := c.Polling()
			s.Join("")
			w.Send(`452-["shout",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
			w.SendBinary([]byte{1})
			w.SendBinary([]byte{2})
			want := `452-["shouted",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
			c.Want("websocket", []string{w.Next(), w.Next(), w.Next()}, []string{want, "bAg==", "bAQ=="})
			c.Want("polling", s.Packets(3), []string{want, "bAg==", "bAQ=="})
		}},
		Case{Name: "request/snapshot", Rule: "the handshake's request never changes, whatever comes on the same connections", Spec: "bridge 2.4", run: snapshot},
	)
}

func connectAnswers(c *Context) {
	w := c.Join("")
	for _, row := range []struct{ in, want string }{
		{"40/nope,", `44/nope,{"message":"Invalid namespace"}`},
		{"40/nope", `44/nope,{"message":"Invalid namespace"}`},
		{"40/chat?token=1,", `44/chat?token=1,{"message":"Invalid namespace"}`},
		{"40/../chat,", `44/../chat,{"message":"Invalid namespace"}`},
		{"40/secret,", `44/secret,{"message":"unauthorized","data":{"code":401}}`},
		{`40/secret,{"token":"wrong"}`, `44/secret,{"message":"unauthorized","data":{"code":401}}`},
		{`40/secret,{"token":7}`, `44/secret,{"message":"internal error"}`},
		{`40/chat,{"t":1}`, `40/chat,{"sid":`},
	} {
		w.Send(row.in)
		if got := w.Next(); !strings.HasPrefix(got, row.want) {
			c.T.Errorf("%s\n got  %s\n want %s", row.in, got, row.want)
		}
	}
	w.Send(`42["echo","still here"]`)
	c.Want("the connection", w.Next(), `42["echo","still here"]`)
}

// question reads the question that the event "ask" with "x" leads to, and returns
// its id. Ids count in a namespace, which may have seen other cases.
func (c *Context) question(w *wire.WS) (id string) {
	c.T.Helper()
	got := w.Next()
	id = strings.TrimSuffix(strings.TrimPrefix(got, "42"), `["question","x"]`)
	if _, err := strconv.Atoi(id); err != nil {
		c.T.Fatalf("the question\n got  %s\n want 42ID[\"question\",\"x\"]", got)
	}
	return id
}

func orderWhileWaiting(c *Context) {
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

func rooms(c *Context) {
	a, b, o := c.Join(""), c.Join(""), c.Join("")
	for _, w := range []*wire.WS{a, b} {
		w.Send(`420["join","r"]`)
		c.Want("join", w.Next(), "430[]")
	}
	p := c.Polling()
	p.Join("")
	p.Post(`420["join","r"]`)
	c.Want("join", p.Packets(1)[0], "430[]")
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

func snapshot(c *Context) {
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
