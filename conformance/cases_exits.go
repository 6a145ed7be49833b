package conformance

import (
	"context"
	"runtime"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// Application code may end the goroutine that it runs in: runtime.Goexit, which the
// FailNow of package testing calls. There is no panic then, so nothing recovers it, and
// nobody goes on where the call would have returned. It must stay with the one request
// or event all the same.

// goer is a value that ends the goroutine which encodes it.
type goer struct{}

func (goer) MarshalJSON() ([]byte, error) { runtime.Goexit(); return nil, nil }

// exitsRows are the places where a server calls the application.
var exitsRows = []codeRow{
	{
		place: "handler",
		rule:  "the event is answered as internal, and the next ones are handled",
		serve: exitsHandlerServe,
		run:   exitsOfHandlers,
	},
	{
		place: "Guard",
		rule:  "a policy refuses to join, and an event is answered as internal",
		serve: exitsGuardServe,
		talk: steps{
			{"40/p,", "40/p,"},
			{`42/p,1["x"]`, "43/p,1" + internalAck},
			{`42/p,2["x"]`, "43/p,2" + internalAck},
			{"40/q,", `44/q,{"message":"Invalid namespace"}`},
			{"40/q,", "44/q,"},
		},
	},
	{
		place: "OnConnect",
		rule:  "the client is refused",
		serve: exitsOnConnectServe,
		talk: steps{
			{"40/p,", "44/p," + internalRefusal},
			{"40/p,", "44/p," + internalRefusal},
			{`421["echo","x"]`, `431["x"]`},
		},
	},
	{
		place: "OnConnected",
		rule:  "the client stays connected",
		serve: exitsOnConnectedServe,
		talk:  steps{{"40/p,", "40/p,"}, {`42/p,1["x"]`, "43/p,1[]"}},
	},
	{
		place: "OnDisconnect",
		rule:  "the socket leaves, and may come again",
		serve: exitsOnDisconnectServe,
		talk:  steps{{"40/p,", "40/p,"}, {"41/p,", ""}, {"40/p,", "40/p,"}},
	},
	{
		place: "OnAny",
		rule:  "the event is answered as internal, and the next ones are handled",
		serve: exitsOnIncomingServe,
		talk:  steps{{`421["echo","exit"]`, "431" + internalAck}, {`422["echo","x"]`, `432["x"]`}},
	},
	{
		place: "OnAck",
		rule:  "the answer leaves",
		serve: exitsOnAckServe,
		talk:  steps{{`421["echo","x"]`, `431["x"]`}, {`422["boom"]`, "432" + internalAck}},
	},
	{
		place: "Loop",
		rule:  "the socket is told and disconnected",
		serve: exitsLoopServe,
		talk:  steps{{"40/p,", "40/p,"}, {`42/p,["x"]`, "42/p," + internalEvent}, {"", "41/p,"}},
	},
	{
		place: "OfFunc",
		rule:  "the namespace is refused",
		serve: exitsOfFuncServe,
		talk:  steps{{"40/p,", "44/p," + internalRefusal}},
	},
	{
		place: "OnError",
		rule:  "the event is answered",
		opts:  exitsOnErrorOpts,
		talk: steps{
			{`421["boom"]`, "431" + internalAck},
			{`42["no such event"]`, ""},
			{`422["echo","x"]`, `432["x"]`},
		},
	},
	{
		place: "OnHandshake",
		rule:  "the handshake is answered with 500",
		opts:  exitsOnHandshakeOpts,
		run:   exitsOnHandshake,
	},
	{
		place: "OnExchange",
		rule:  "the request is answered with 500",
		opts:  exitsOnExchangeOpts,
		run:   exitsOnExchange,
	},
	{
		place: "AllowOrigin",
		rule:  "the origin is refused, the peer and RepairText count",
		opts:  exitsAllowOriginOpts,
		run:   exitsAllowOrigin,
	},
	{
		place: "UseExchange",
		rule:  "the connection ends before its answer",
		serve: exitsUseExchangeServe,
		run:   exitsUseExchange,
	},
}

func exitsHandlerServe(srv *sio.Server) {
	n := srv.Of("/")
	exit := sio.Handle(func(context.Context, *sio.Socket, sio.None) error { runtime.Goexit(); return nil })
	n.On("exit", exit)
	n.On("concurrent", exit, sio.Concurrent(1))
	n.On("encode", sio.Reply(func(context.Context, *sio.Socket, sio.None) (any, error) { return goer{}, nil }))
	n.On("late", sio.Handle(func(context.Context, *sio.Socket, sio.None) error {
		time.Sleep(80 * time.Millisecond)
		runtime.Goexit()
		return nil
	}))
}

func exitsGuardServe(srv *sio.Server) {
	srv.Of("/p").Guard(policy(func(a acl.Action) error {
		if a.Kind == acl.Event {
			runtime.Goexit()
		}
		return nil
	}))
	srv.Of("/q").Guard(policy(func(acl.Action) error { runtime.Goexit(); return nil }))
}

func exitsOnConnectServe(srv *sio.Server) {
	srv.Of("/p").OnConnect(func(context.Context, *sio.Socket) error { runtime.Goexit(); return nil })
}

func exitsOnConnectedServe(srv *sio.Server) {
	n := srv.Of("/p")
	n.OnConnected(func(context.Context, *sio.Socket) { runtime.Goexit() })
	n.On("x", sio.Handle(func(context.Context, *sio.Socket, sio.None) error { return nil }))
}

func exitsOnDisconnectServe(srv *sio.Server) {
	srv.Of("/p").OnDisconnect(func(context.Context, *sio.Socket, sio.Reason) { runtime.Goexit() })
}

func exitsOnIncomingServe(srv *sio.Server) {
	srv.Of("/").OnAny(func(_ context.Context, ev *sio.Event) {
		var text string
		if ev.Args.Bind(&text) == nil && text == "exit" {
			runtime.Goexit()
		}
	})
}

func exitsOnAckServe(srv *sio.Server) {
	srv.Of("/").Use(func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			ev.OnAck(func(sio.Args) { runtime.Goexit() })
			return next.ServeEvent(ctx, ev)
		})
	})
}

func exitsLoopServe(srv *sio.Server) {
	srv.Of("/p").Loop(func(ctx context.Context, s *sio.Socket) error {
		if _, err := s.Recv(ctx); err != nil {
			return err
		}
		runtime.Goexit()
		return nil
	})
}

func exitsOfFuncServe(srv *sio.Server) {
	srv.OfFunc(func(string, *sio.Request) bool { runtime.Goexit(); return false })
}

func exitsOnErrorOpts(o *sio.Options) {
	o.OnError = func(sio.Failure) { runtime.Goexit() }
}

func exitsOnHandshakeOpts(o *sio.Options) {
	o.OnHandshake = func(_ context.Context, r *sio.Request, _ host.Exchange) error {
		if r.Query().Has("p") {
			runtime.Goexit()
		}
		return nil
	}
}

func exitsOnHandshake(c *env) {
	c.Want("polling", c.Must("GET", q4+"&p=1", "").Status, 500)
	_, a := c.Upgrade(w4+"&p=1", "")
	c.Want("websocket", a.Status, 500)
}

func exitsOnExchangeOpts(o *sio.Options) {
	o.OnHandshake = func(ctx context.Context, r *sio.Request, _ host.Exchange) error {
		if r.Query().Has("p") {
			sio.ConnFromContext(ctx).OnExchange(func(host.Exchange) error { runtime.Goexit(); return nil })
		}
		return nil
	}
}

func exitsOnExchange(c *env) {
	s := c.Polling("p=1")
	c.Want("the next request", s.Post("40").Status, 500)
}

func exitsAllowOriginOpts(o *sio.Options) {
	o.AllowOrigin = func(string) bool { runtime.Goexit(); return true }
	o.Address = func(host.Exchange) string { runtime.Goexit(); return "" }
	o.Legacy.RepairTextOf = func(host.Exchange) string { runtime.Goexit(); return "" }
}

func exitsAllowOrigin(c *env) {
	c.Want("origin", c.Must("GET", q4, "", "Origin", "https://elsewhere.example").Status, 403)
	c.Want("handshake", c.Must("GET", q4, "").Status, 200)
}

func exitsUseExchangeServe(srv *sio.Server) {
	srv.UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) {
			if x.Query("p") != "" {
				runtime.Goexit()
			}
			next.ServeExchange(x)
		})
	})
}

func exitsUseExchange(c *env) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := c.Do(ctx, "GET", q4+"&p=1", "")
	c.Want("no answer, and not after a long time", err != nil && ctx.Err() == nil || a.Status == 500, true)
}

// exitsOfHandlers has handlers end the goroutine that reads a websocket, one that
// another has taken over from, one of sio.Concurrent, and those that polls and old
// clients are served by.
func exitsOfHandlers(c *env) {
	w := c.Join("")
	w.Send(`421["exit"]`, `422["echo","behind"]`) // both in one read
	c.Want("ack", w.Next(), "431"+internalAck)
	c.Want("what came in the same read", w.Next(), `432["behind"]`)
	conversation(c, w, steps{
		{`423["concurrent"]`, "433" + internalAck}, {`424["concurrent"]`, "434" + internalAck},
		{`425["encode"]`, "435" + internalAck}, {`42["exit"]`, "42" + internalEvent},
	})
	w.Send(`426["late"]`)
	w.Send(`427["echo","waits"]`)
	c.Want("a handler that the reader has left", w.Next(), "436"+internalAck)
	c.Want("what waited behind", w.Next(), `437["waits"]`)

	s := c.Polling("")
	s.Post("40")
	s.Get()
	s.Post(`421["exit"]` + "\x1e" + `422["echo","x"]`)
	got := s.Get().Body
	if got == "431"+internalAck {
		got += "\x1e" + s.Get().Body
	}
	c.Want("polling", got, "431"+internalAck+"\x1e"+`432["x"]`)
}

// brokenExchange panics where a request is read or answered.
type brokenExchange struct {
	host.Exchange
	at string
}

func (x brokenExchange) Unwrap() host.Exchange { return x.Exchange }

func (x brokenExchange) Reply(status int, body []byte) error {
	if x.at == "reply" {
		panic("Reply")
	}
	return x.Exchange.Reply(status, body)
}

func (x brokenExchange) Gone() <-chan struct{} {
	if x.at == "gone" {
		panic("Gone")
	}
	return x.Exchange.Gone()
}

func (x brokenExchange) Body(limit int64) ([]byte, error) {
	if x.at == "body" {
		panic("Body")
	}
	return x.Exchange.Body(limit)
}

// exitsCases has an exchange of the application that panics.
var exitsCases = []testCase{
	{
		name: "panics/exchange",
		rule: "an exchange of the application's own that panics during a poll ends the session, during " +
			"a POST that request alone: nothing waits for it",
		spec:  "docs/protocol.md 7.1",
		local: true,
		run:   panicsExchange,
	},
}

func panicsExchange(c *env) {
	useExchange(c, func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) { next.ServeExchange(brokenExchange{x, x.Query("p")}) })
	})
	for _, at := range []string{"reply", "gone"} {
		s := c.Polling("")
		s.Join("")
		if at == "reply" {
			s.Post(`42["echo","x"]`)
		}
		c.Want(at, c.Must("GET", s.Query()+"&p="+at, "").Status, 500)
		next := s.Get().Status
		if c.group != nil && next == 200 { // it was quicker than the word from one server to the other
			next = s.Get().Status
		}
		c.Want(at+": the next poll", next, 400)
	}
	s := c.Polling("")
	s.Join("")
	c.Want("a POST", c.Must("POST", s.Query()+"&p=body", `42["echo","lost"]`).Status, 500)
	w := s.Probe()
	w.Send("2probe")
	c.Want("pong", w.Next(), "3probe")
	w.Send("5", `42["echo","x"]`)
	c.Want("the upgrade does not wait for that POST", w.Next(), `42["echo","x"]`)
	c.Eventually("the sessions to end", func() bool { return c.stats().Sessions == 1 })
	_ = w.Conn.Close()
	c.Alive()
}
