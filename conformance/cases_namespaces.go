package conformance

import (
	"context"
	"fmt"
	"strings"

	"github.com/siokit/siokit/core/sio"
)

// The sockets that one client has in several namespaces do not wait for each other.

// twoNamespaces is a client in "/" and "/chat", of any generation and transport.
type twoNamespaces struct {
	send func(packets ...string)
	next func() string
	// The forms of the generation.
	event func(ns, name, arg string) string
}

// beside has a handler block in "/", and expects that "/chat" is served meanwhile, and
// that "/" keeps its order.
func (two twoNamespaces) beside(c *env) {
	two.send(two.event("/", "block", ""))
	c.Want("in the handler", two.next(), two.event("/", "blocked", ""))
	two.send(two.event("/", "n", "1"), two.event("/chat", "n", "2"), two.event("/", "n", "3"))
	two.send(two.event("/chat", "echo", `"x"`))
	c.Want("beside the handler", two.next(), two.event("/chat", "echo", `"x"`))
	c.Want("what was handled beside it", fmt.Sprint(c.handled()), "[2]")
	close(c.own().release)
	c.Eventually("the events behind the handler", func() bool { return fmt.Sprint(c.handled()) == "[2 1 3]" })
}

// event4 is an event of Socket.IO 3 and later, and of 1 and 2.
func event4(ns, name, arg string) string {
	path := strings.TrimPrefix(ns, "/")
	if path != "" {
		path = "/" + path + ","
	}
	if arg != "" {
		arg = "," + arg
	}
	return fmt.Sprintf(`42%s["%s"%s]`, path, name, arg)
}

// event1 is an event of Socket.IO 0.9.
func event1(ns, name, arg string) string {
	if ns == "/" {
		ns = ""
	}
	if arg != "" {
		arg = fmt.Sprintf(`,"args":[%s]`, arg)
	}
	return fmt.Sprintf(`5::%s:{"name":"%s"%s}`, ns, name, arg)
}

// besideRow is a client with something that takes long in one namespace.
type besideRow struct {
	name, rule string
	need       []string
	run        func(c *env)
}

var besideRows = []besideRow{
	{"websocket", "over a websocket", []string{eio4, webSocket}, besideWebsocket},
	{"polling", "over polling", []string{eio4}, besidePolling},
	{"eio3", "a client of 2.x", []string{eio3}, besideEio3},
	{"sio1", "a client of 0.9", []string{sio1}, besideSio1},
	{"connecting", "while OnConnect runs", []string{eio4, webSocket}, besideConnecting},
	{"goodbye", "OnDisconnect beside a handler", []string{eio4, webSocket}, besideGoodbye},
}

func besideCases() (cases []testCase) {
	for _, row := range besideRows {
		cases = append(cases, testCase{
			name: "beside/" + row.name,
			rule: "what takes long in one namespace does not keep its client out of another; in its own " +
				"namespace the order stays: " + row.rule,
			spec:  "docs/protocol.md 6.5",
			local: true,
			need:  row.need,
			run:   row.run,
		})
	}
	return cases
}

func besideWebsocket(c *env) {
	w := c.Join("")
	w.Send("40/chat,")
	c.Want("joined", w.Next()[:8], "40/chat,")
	twoNamespaces{func(packets ...string) { w.Send(packets...) }, w.Next, event4}.beside(c)
}

func besidePolling(c *env) {
	s := c.Polling()
	s.Join("")
	s.Join("/chat,")
	post := func(packets ...string) { c.Want("post", s.Post(strings.Join(packets, "\x1e")), "200 ok") }
	twoNamespaces{post, func() string { return s.Packets(1)[0] }, event4}.beside(c)
}

func besideEio3(c *env) {
	s := c.Polling3()
	s.Next()
	post := func(packets ...string) { c.Want("post", s.Post(packets...), "200 ok") }
	post("40/chat")
	c.Want("joined", s.Next(), "40/chat,")
	twoNamespaces{post, s.Next, event4}.beside(c)
}

func besideSio1(c *env) {
	s := c.Polling1()
	s.Send("1::/chat")
	c.Want("joined", s.Next(), "1::/chat")
	twoNamespaces{s.Send, s.Next, event1}.beside(c)
}

func besideConnecting(c *env) {
	release := make(chan struct{})
	c.of("/gate").OnConnect(func(ctx context.Context, _ *sio.Socket) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	w := c.Join("")
	w.Send("40/gate,", `42["echo","x"]`, "40/chat,")
	c.Want("an event beside it", w.Next(), `42["echo","x"]`)
	c.Want("another namespace beside it", w.Next()[:8], "40/chat,")
	close(release)
	c.Want("joined", w.Next()[:8], "40/gate,")
}

func besideGoodbye(c *env) {
	release := make(chan struct{})
	defer close(release)
	c.of("/hold").On("hold", sio.Handle(func(_ context.Context, s *sio.Socket, _ sio.None) error {
		defer func() { <-release }()
		return s.Emit("held")
	}))
	w := c.Join("/chat,")
	w.Send("40/hold,")
	c.Want("joined", w.Next()[:8], "40/hold,")
	w.Send(`42/hold,["hold"]`)
	c.Want("in the handler", w.Next(), `42/hold,["held"]`)
	w.Send(`42/chat,["n",1]`)
	w.Reset()
	c.Eventually("the disconnect", func() bool { return len(c.own().ended()) == 1 })
	c.Want("what was handled before it", fmt.Sprint(c.handled()), "[1]")
}
