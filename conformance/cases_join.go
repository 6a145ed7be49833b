package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// How a client learns that it may not join a namespace, and how often it may ask.

// kick is a way to disconnect a client while OnConnect runs.
type kick struct {
	name string
	ends bool // the connection
	kick func(s *sio.Socket)
}

var kicks = []kick{
	{"disconnect", false, func(s *sio.Socket) { s.Disconnect(false) }},
	{"disconnect-all", true, func(s *sio.Socket) { s.Disconnect(true) }},
	{"drop", true, func(s *sio.Socket) { s.Drop() }},
	{"target", false, func(s *sio.Socket) {
		s.Join("banned")
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Namespace().To("banned").Disconnect(false)
		}()
		<-done
	}},
}

// kickedOut has the clients whose handshake or namespace says so disconnected while
// they connect.
func kickedOut(srv *sio.Server, kick func(s *sio.Socket)) {
	onConnect := func(_ context.Context, s *sio.Socket) error {
		if s.Namespace().Path() == "/kick" || s.Request().Header.Get("X-Kick") != "" {
			kick(s)
		}
		return nil
	}
	srv.Of("/kick").OnConnect(onConnect)
	srv.Of("/").OnConnect(onConnect)
}

func connectKickedCases() (cases []testCase) {
	for _, k := range kicks {
		cases = append(cases, testCase{
			name:  "connect/kicked/" + k.name,
			rule:  "a client that is disconnected while OnConnect runs is refused",
			spec:  "docs/protocol.md 6.1",
			local: true,
			run:   func(c *env) { connectKicked(c, k) },
		}, testCase{
			name:  "eio3/kicked/" + k.name,
			rule:  "2.x: the same, also in the namespace that the server connects",
			spec:  "docs/protocol.md 6.1",
			local: true, need: []Capability{eio3},
			run: func(c *env) { eio3Kicked(c, k) },
		}, testCase{
			name:  "sio1/kicked/" + k.name,
			rule:  "0.9: the same; out of the first namespace the connection ends, for good",
			spec:  "docs/protocol.md 6.1; docs/protocol.md 10.6",
			local: true, need: []Capability{sio1},
			run: func(c *env) { sio1Kicked(c, k) },
		})
	}
	return cases
}

func connectKicked(c *env, k kick) {
	kickedOut(c.server(), k.kick)
	w := c.Join("")
	w.Send("40/kick,")
	c.Want("websocket", w.Next(), `44/kick,{"message":"Disconnected"}`)
	if k.name == "disconnect-all" {
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
	want := []string{`44/kick,{"message":"Disconnected"}`}
	if k.name == "disconnect-all" {
		want = append(want, "41")
	}
	c.Want("polling", s.Packets(len(want)), want)
	c.Alive()
}

func eio3Kicked(c *env, k kick) {
	kickedOut(c.server(), k.kick)
	s := c.Polling3()
	c.Want("connect", s.Next(), "40")
	s.Post("40/kick")
	c.Want("a namespace", s.Next(), `44/kick,"Disconnected"`)
	c.Head.Set("X-Kick", "1")
	s = c.Polling3()
	c.Want("the first namespace", s.Next(), `44"Disconnected"`)
	c.Want("and its end", s.Next(), "41")
	c.Head.Del("X-Kick")
	c.Alive()
}

func sio1Kicked(c *env, k kick) {
	kickedOut(c.server(), k.kick)
	w := c.ws1(c.Handshake1(""))
	w.Send("1::/kick")
	c.Want("a namespace", w.Next(), "7::/kick:2")
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
		opts: func(o *sio.Options) { o.ConnectTimeout = 300 * time.Millisecond },
		run:  connectRefusedTimeout,
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
		local: true, need: []Capability{sio1},
		run: sio1EndpointWithoutSlash,
	},
	{
		name:  "limits/connecting",
		rule:  "what is sent to a client while OnConnect runs is bounded as its queue is",
		spec:  "docs/protocol.md 8.4",
		local: true,
		opts:  func(o *sio.Options) { o.MaxQueue = 16 },
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
	kickedOut(c.server(), func(s *sio.Socket) { s.Disconnect(false) })
	w, _ := c.WebSocket()
	w.Send("40/kick,")
	w.Next()
	c.Closed(w, 1008)
	c.server().Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		if s.Dialect() != "eio4" {
			return sio.Errorf("no", "no")
		}
		return nil
	})
	s := c.Polling3()
	c.Want("2.x", []string{s.Next(), s.Next()}, []string{`44"no"`, "41"})
}

func connectTooOften(c *env) {
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
	if asked < 7 || asked > 20 {
		c.T.Errorf("%d of %d guesses were looked at", asked, tries)
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
	c.server().OfPattern("/room/{id}")
	c.server().OfFunc(func(path string, _ *sio.Request) bool { return strings.HasPrefix(path, "/func/") })
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
	n := c.server().OfPattern("/room/{id}")
	w := c.ws1(c.Handshake1(""))
	w.Send("1::room/1")
	c.Want("joined", w.Next(), "1::/room/1")
	four := c.Join("/room/1")
	c.Want("sockets", c.server().Of("/room/1").Len(), 2)
	_ = n.Emit("hi")
	c.Want("0.9", w.Next(), `5::/room/1:{"name":"hi"}`)
	c.Want("4.x", four.Next(), `42/room/1,["hi"]`)
}

func limitsConnecting(c *env) {
	asks, goes := make(chan struct{}), make(chan struct{})
	n := c.server().Of("/slow")
	n.OnConnect(func(ctx context.Context, s *sio.Socket) error {
		s.Join("news")
		close(asks)
		<-goes
		return nil
	})
	w, _ := c.WebSocket()
	w.Send("40/slow,")
	<-asks
	for i := range 100 {
		_ = n.To("news").Emit("n", i)
	}
	w.End()
	close(goes)
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
