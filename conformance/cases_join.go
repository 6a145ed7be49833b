package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// How a client learns that it may not join a namespace, and how often it may ask.

// kick is a way to disconnect a client while OnConnect runs.
type kick struct {
	name string
	ends bool // the connection
	all  bool // the other namespaces are told, too
	kick func(s *sio.Socket)
}

var kicks = []kick{
	{"disconnect", false, false, func(s *sio.Socket) { s.Disconnect() }},
	{"disconnect-all", true, true, func(s *sio.Socket) { s.Conn().Close() }},
	{"drop", true, false, func(s *sio.Socket) { s.CloseTransport() }},
	{"drop-connection", true, false, func(s *sio.Socket) { elsewhere(s.Conn().CloseTransport) }},
	{"target", false, false, func(s *sio.Socket) {
		s.Join("banned")
		elsewhere(func() { s.Namespace().To("banned").Disconnect() })
	}},
}

// elsewhere calls f on another goroutine and waits for it.
func elsewhere(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// kickedOut has the clients whose handshake or namespace says so disconnected while
// they connect.
func kickedOut(c *env, kick func(s *sio.Socket)) {
	onConnect := func(_ context.Context, s *sio.Socket) error {
		if s.Namespace().Path() == "/kick" || s.Request().Header.Get("X-Kick") != "" {
			kick(s)
		}
		return nil
	}
	c.of("/kick").OnConnect(onConnect)
	c.of("/").OnConnect(onConnect)
}

func connectKickedCases() (cases []testCase) {
	for _, k := range kicks {
		cases = append(cases, testCase{
			name:  "connect/kicked/" + k.name,
			rule:  "a client that is disconnected or dropped while OnConnect runs is refused, and not to come back",
			spec:  "docs/protocol.md 6.1",
			local: true, slow: k.ends, // the server waits a second for the client to leave by itself
			run: func(c *env) { connectKicked(c, k) },
		}, testCase{
			name:  "eio3/kicked/" + k.name,
			rule:  "2.x: the same, also in the namespace that the server connects",
			spec:  "docs/protocol.md 6.1",
			local: true, need: []string{eio3},
			run: func(c *env) { eio3Kicked(c, k) },
		}, testCase{
			name:  "sio1/kicked/" + k.name,
			rule:  "0.9: the same; out of the first namespace the connection ends, for good",
			spec:  "docs/protocol.md 6.1; docs/protocol.md 10.6",
			local: true, need: []string{sio1},
			run: func(c *env) { sio1Kicked(c, k) },
		})
	}
	return cases
}

func connectKicked(c *env, k kick) {
	kickedOut(c, k.kick)
	w := c.Join("")
	w.Send("40/kick,")
	c.Want("websocket", w.Next(), `44/kick,{"message":"Disconnected"}`)
	c.Want("which is not to come back", w.Next(), "41/kick,")
	if k.all {
		c.Want("the other namespace", w.Next(), "41")
	}
	if k.ends {
		w.End()
	} else {
		w.Send(`42["echo",1]`)
		c.Want("the connection", w.Next(), `42["echo",1]`)
	}
	s := c.Polling()
	s.Join("")
	s.Post("40/kick,")
	want := []string{`44/kick,{"message":"Disconnected"}`, "41/kick,"}
	if k.all {
		want = append(want, "41")
	}
	c.Want("polling", s.Packets(len(want)), want)
	connectKickedAlone(c, k)
	c.Alive()
}

// connectKickedAlone is about a client that has joined no other namespace: it may leave by
// itself, and can do nothing else.
func connectKickedAlone(c *env, k kick) {
	w, _ := c.WebSocket()
	w.Send("40/kick,")
	want := []string{`44/kick,{"message":"Disconnected"}`, "41/kick,"}
	c.Want("alone", []string{w.Next(), w.Next()}, want)
	w.Send("40", `42["echo",1]`)
	switch {
	case k.all:
		c.Want("another namespace", []string{w.Next(), w.Next()}, []string{`44{"message":"Disconnected"}`, "41"})
	case !k.ends:
		c.Want("another namespace", strings.HasPrefix(w.Next(), `40{"sid"`), true)
		c.Want("and an event", w.Next(), `42["echo",1]`)
	}
	if k.ends {
		got, err := w.Read()
		var end *wire.CloseError
		if !errors.As(err, &end) {
			c.T.Errorf("instead of the end came %q, %v", got, err)
		}
	}
	s := c.Polling()
	s.Post("40/kick,")
	c.Want("alone, polling", s.Packets(len(want)), want)
}

func eio3Kicked(c *env, k kick) {
	kickedOut(c, k.kick)
	s := c.Polling3()
	c.Want("connect", s.Next(), "40")
	s.Post("40/kick")
	c.Want("a namespace", s.Next(), `44/kick,"Disconnected"`)
	c.Want("which is not to come back", s.Next(), "41/kick,")
	if k.all {
		c.Want("the other namespace", s.Next(), "41")
	}
	c.Head.Set("X-Kick", "1")
	s = c.Polling3()
	c.Want("the first namespace", s.Next(), `44"Disconnected"`)
	c.Want("and its end", s.Next(), "41")
	c.Head.Del("X-Kick")
	s.Post("40/chat")
	switch {
	case k.all:
		c.Want("another namespace", []string{s.Next(), s.Next()}, []string{`44/chat,"Disconnected"`, "41/chat,"})
	case k.ends:
		c.Want("another namespace", s.Next(), `44/chat,"Disconnected"`)
	default:
		c.Want("another namespace", s.Next(), "40/chat,")
	}
	c.Alive()
}

func sio1Kicked(c *env, k kick) {
	kickedOut(c, k.kick)
	w := c.ws1(c.Handshake1(""))
	w.Send("1::/kick")
	c.Want("a namespace", w.Next(), "7::/kick:2")
	c.Want("which has ended", w.Next(), "0::/kick")
	if k.ends { // its client would join the namespace again with the next connection
		c.Want("and everything else", w.Next(), "0::")
		w.End()
	}
	c.Head.Set("X-Kick", "1")
	s := c.Polling1()
	c.Want("the first namespace", s.Next(), "7:::2")
	c.Want("and its end", s.Next(), "0::")
	c.Head.Del("X-Kick")
	c.Alive()
}

// joinCases are about how often a client may ask.
var joinCases = []testCase{
	{
		name: "connect/refused-timeout",
		rule: "a join that was refused does not count for the connect timeout; where the server " +
			"connects the first namespace the client is told to stay away",
		spec: "docs/protocol.md 6.1",
		slow: true, local: true,
		opts: func(o *sio.Options) { o.ConnectTimeout = 700 * time.Millisecond },
		run:  connectRefusedTimeout,
	},
	{
		name: "eio3/dropped-timeout",
		rule: "2.x: a client that is dropped while the server connects the first namespace is told, and " +
			"has until the connect timeout to leave by itself",
		spec: "docs/protocol.md 6.1",
		slow: true, local: true, need: []string{eio3},
		opts: func(o *sio.Options) { o.ConnectTimeout = 1500 * time.Millisecond },
		run:  eio3DroppedTimeout,
	},
	{
		name: "connect/too-often",
		rule: "attempts to join are bounded for each connection, and grow back with the time",
		spec: "docs/protocol.md 6.2",
		opts: func(o *sio.Options) { o.JoinBurst, o.JoinRate = 8, 20 },
		run:  connectTooOften,
	},
	{
		name: "connect/join-and-leave",
		rule: "joining and leaving again and again is bounded: others may be told of each",
		spec: "docs/protocol.md 6.2",
		opts: func(o *sio.Options) { o.JoinBurst, o.JoinRate = 8, 0.001 },
		run:  connectJoinAndLeave,
	},
	{
		name: "connect/dynamic-bound",
		rule: "namespaces of a pattern are bounded in all; one more is refused as if there were none, " +
			"and there is room again when one is empty",
		spec:  "docs/protocol.md 6.2",
		local: true,
		opts:  func(o *sio.Options) { o.MaxDynamicNamespaces = 3 },
		run:   connectDynamicBound,
	},
	{
		name:  "sio1/endpoint-without-slash",
		rule:  "0.9: an endpoint without a slash is the namespace with one",
		spec:  "docs/protocol.md 10.6",
		local: true, need: []string{sio1},
		run: sio1EndpointWithoutSlash,
	},
	{
		name:  "limits/connecting",
		rule:  "what is sent to a client while OnConnect runs is bounded as its queue is",
		spec:  "docs/protocol.md 8.4",
		local: true,
		opts:  func(o *sio.Options) { o.MaxQueueMessages = 16 },
		run:   limitsConnecting,
	},
	{
		name: "limits/one-limit",
		rule: "setting one of the limits leaves the others as they are",
		spec: "docs/protocol.md 8.3",
		opts: func(o *sio.Options) { o.Limits.Attachments = 2 },
		run:  limitsOneLimit,
	},
}

func connectRefusedTimeout(c *env) {
	kickedOut(c, func(s *sio.Socket) { s.Disconnect() })
	w, _ := c.WebSocket()
	w.Send("40/kick,")
	w.Next()
	w.Next()
	c.Closed(w, 1008)
	c.of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		if s.Dialect() != "eio4" {
			return sio.Errorf("no", "no")
		}
		return nil
	})
	s := c.Polling3()
	c.Want("2.x", []string{s.Next(), s.Next()}, []string{`44"no"`, "41"})
}

func eio3DroppedTimeout(c *env) {
	kickedOut(c, (*sio.Socket).CloseTransport)
	c.Head.Set("X-Kick", "1")
	w, _ := c.Upgrade(w3, "")
	w.NoPong = true
	w.Next()
	c.Want("2.x", []string{w.Next(), w.Next()}, []string{`44"Disconnected"`, "41"})
	told := time.Now()
	w.End() // a client of 1.0 stays until then, and comes back
	if d := time.Since(told); d < 1300*time.Millisecond {
		c.T.Errorf("the connection has ended after %v", d)
	}
}

func connectTooOften(c *env) {
	from := time.Now()
	w := c.Join("")
	const tries = 40
	go func() {
		for i := range tries {
			w.Send(fmt.Sprintf(`40/secret,{"token":"%d"}`, i))
		}
	}()
	asked := 0
	for range tries {
		switch got := w.Next(); {
		case strings.HasPrefix(got, `44/secret,{"message":"unauthorized"`):
			asked++
		case got != `44/secret,{"message":"Too many joins"}`:
			c.T.Fatal(got)
		}
	}
	took := time.Since(from)
	if most := 8 + int(20*took.Seconds()) + 1; asked < 7 || asked > most {
		c.T.Errorf("%d of %d guesses were looked at in %v; more than 6 should be and no more than %d", asked, tries, took, most)
	}
	c.Eventually("joining later", func() bool {
		w.Send(`40/secret,{"token":"letmein"}`)
		return strings.HasPrefix(w.Next(), `40/secret,{"sid"`)
	})
}

func connectJoinAndLeave(c *env) {
	w := c.Join("")
	joined := 0
	for range 20 {
		w.Send("40/chat,")
		if strings.HasPrefix(w.Next(), "40/chat,") {
			joined++
			w.Send("41/chat,")
		}
	}
	c.Want("joins", joined, 7)
}

func connectDynamicBound(c *env) {
	c.each(func(srv *sio.Server) {
		srv.OfPattern("/room/{id}")
		srv.OfFunc(func(path string, _ *sio.Request) bool { return strings.HasPrefix(path, "/func/") })
	})
	w := c.Join("")
	w.Send("40/room/1,", "40/room/2,", "40/func/3,", "40/room/4,", "40/func/5,", "40/room/1,")
	for _, want := range []string{
		"40/room/1,", "40/room/2,", "40/func/3,", `44/room/4,{"message":"Invalid namespace"}`,
		`44/func/5,{"message":"Invalid namespace"}`,
	} {
		if got := w.Next(); !strings.HasPrefix(got, want) {
			c.T.Errorf("got %s, want %s", got, want)
		}
	}
	w.End() // joining twice
	other := c.Join("")
	c.Eventually("room again", func() bool {
		other.Send("40/room/4,")
		return strings.HasPrefix(other.Next(), "40/room/4,")
	})
}

func sio1EndpointWithoutSlash(c *env) {
	rooms := map[*sio.Server]*sio.Namespace{}
	c.each(func(srv *sio.Server) { rooms[srv] = srv.OfPattern("/room/{id}") })
	w := c.ws1(c.Handshake1(""))
	w.Send("1::room/1")
	c.Want("joined", w.Next(), "1::/room/1")
	four := c.Join("/room/1")
	c.settle()
	sockets, err := rooms[c.Server].All().Count(context.Background())
	c.Want("sockets", fmt.Sprint(sockets, err), "2 <nil>")
	_ = rooms[c.Server].Emit("hi")
	c.Want("0.9", w.Next(), `5::/room/1:{"name":"hi"}`)
	c.Want("4.x", four.Next(), `42/room/1,["hi"]`)
}

func limitsConnecting(c *env) {
	asks, goes := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(goes) })
	defer goOn()
	n := c.of("/slow")
	n.OnConnect(func(ctx context.Context, s *sio.Socket) error {
		s.Join("news")
		close(asks)
		<-goes
		return nil
	})
	w, _ := c.WebSocket()
	w.Send("40/slow,")
	<-asks
	c.settle()
	for i := range 100 {
		_ = n.To("news").Emit("n", i)
	}
	w.End()
	goOn()
	c.Alive()
}

func limitsOneLimit(c *env) {
	w := c.Join("")
	w.Send(`40/chat,{"token":{"deep":[1]}}`)
	c.Want("auth", w.Next()[:8], "40/chat,")
	w.Send(`40/secret,{"a":"` + strings.Repeat("x", 20<<10) + `"}`)
	c.Closed(w, 1002)
	w = c.Join("")
	w.Send(`453-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`)
	w.End()
	nine := c.Polling1()
	nine.Send(`5:::{"name":"echo","args":[[1]]}`)
	c.Want("0.9", nine.Next(), `5:::{"name":"echo","args":[[1]]}`)
}
