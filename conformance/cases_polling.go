package conformance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// pollingCases are about Engine.IO 4 over polling, and about its heartbeat.
var pollingCases = []testCase{
	{
		name: "polling/held",
		rule: "a poll waits and is answered by an emit",
		spec: "Engine.IO 4: Receiving data",
		run:  pollingHeld,
	},
	{
		name: "polling/post",
		rule: "a POST is answered ok as text/html",
		spec: "Engine.IO 4: Sending data; docs/protocol.md 3.1",
		run:  pollingPost,
	},
	{
		name: "polling/batch",
		rule: "packets of one payload are separated by 0x1e, binary is base64 without a digit",
		spec: "Engine.IO 4: Packet encoding",
		run:  pollingBatch,
	},
	{
		name: "polling/order",
		rule: "1 000 messages arrive in order",
		spec: "docs/protocol.md 3.1",
		run:  pollingOrder,
	},
	{
		name: "polling/overlapping-get",
		rule: "a second poll gets 400 and closes the session, the first gets close",
		spec: "Engine.IO 4: Receiving data; docs/protocol.md 3.3",
		run:  pollingOverlappingGet,
	},
	{
		name: "polling/abort",
		rule: "a poll that its client gives up ends the session",
		spec: "docs/protocol.md 3.3",
		need: []string{clientGone},
		run:  pollingAbort,
	},
	{
		name: "polling/close-by-client",
		rule: "a close packet ends the waiting poll with noop and the session",
		spec: "docs/protocol.md 3.3",
		run:  pollingCloseByClient,
	},
	{
		name: "polling/close-after-units",
		rule: "packets before a close packet are handled, those behind it are not",
		spec: "docs/protocol.md 3.3",
		run:  pollingCloseAfterUnits,
	},
	{
		name: "polling/kick-while-waiting",
		rule: "disconnect(true) while a poll waits: 41, then noop and close, then unknown",
		spec: "docs/protocol.md 3.3",
		run:  pollingKickWhileWaiting,
	},
	{
		name: "polling/kick-without-poll",
		rule: "disconnect(true) while no poll waits: the next gets 41, the one after noop and close",
		spec: "docs/protocol.md 3.3",
		run:  pollingKickWithoutPoll,
	},
	{
		name: "polling/closed-without-poll",
		rule: "a close with nothing to send is told to the next poll",
		spec: "docs/protocol.md 3.3",
		run:  pollingClosedWithoutPoll,
	},
	{
		name: "polling/overlapping-post",
		rule: "a second POST while one is being read gets 400 and ends the session",
		spec: "Engine.IO 4: Sending data; docs/protocol.md 3.2",
		need: []string{partialBody},
		run:  pollingOverlappingPost,
	},
	{
		name: "polling/aborted-post",
		rule: "a POST that ends early delivers nothing and ends the session",
		spec: "docs/protocol.md 3.3",
		need: []string{partialBody},
		run:  pollingAbortedPost,
	},
	{
		name: "polling/too-large",
		rule: "a body over the limit gets 413 and ends the session",
		spec: "docs/protocol.md 3.2",
		run:  pollingTooLarge,
	},
	{
		name: "polling/announced-too-large",
		rule: "a body that is announced too large is refused before it comes",
		spec: "docs/protocol.md 3.2",
		slow: true, need: []string{partialBody},
		run: pollingAnnouncedTooLarge,
	},
	{
		name: "polling/ignored-packets",
		rule: "packets that mean nothing here are ignored",
		spec: "docs/protocol.md 3.3",
		run:  pollingIgnoredPackets,
	},
	{
		name: "polling/other-methods",
		rule: "other methods get 405 with Allow and change nothing",
		spec: "docs/protocol.md 3.1",
		run:  pollingOtherMethods,
	},
	{
		name: "heartbeat/ping-pong",
		rule: "the server pings after the interval, a pong keeps the session",
		spec: "Engine.IO 4: Heartbeat",
		slow: true,
		opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = 200*time.Millisecond, 2*time.Second },
		run:  heartbeatPingPong,
	},
	{
		name: "heartbeat/timeout",
		rule: "a client that does not answer is disconnected",
		spec: "Engine.IO 4: Heartbeat",
		slow: true,
		opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = 200*time.Millisecond, 200*time.Millisecond },
		run:  heartbeatTimeout,
	},
	{
		name: "heartbeat/connect-timeout",
		rule: "a client that joins no namespace is disconnected",
		spec: "Socket.IO 5: Connection to a namespace; docs/protocol.md 4.4",
		slow: true,
		opts: func(o *sio.Options) { o.ConnectTimeout = 1200 * time.Millisecond },
		run:  heartbeatConnectTimeout,
	},
}

func pollingHeld(c *env) {
	s := c.Polling()
	s.Join("")
	held := s.Hold()
	s.Post(`42["echo",1,"é€😀"]`)
	c.Want("poll", <-held, `200 42["echo",1,"é€😀"]`)
}

func pollingPost(c *env) {
	s := c.Polling()
	a := s.Post("40")
	c.Want("answer", a, "200 ok")
	c.Want("content type", strings.Split(a.Header.Get("Content-Type"), ";")[0], "text/html")
	c.Want("length", a.Header.Get("Content-Length"), "2")
}

func pollingBatch(c *env) {
	s := c.Polling()
	s.Join("")
	s.Post("42[\"echo\",1]\x1e42[\"echo\",2]\x1e451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebAQIDBA==")
	c.Want("packets", fmt.Sprintf("%q", s.Packets(4)),
		fmt.Sprintf("%q", []string{`42["echo",1]`, `42["echo",2]`, `451-["echo",{"_placeholder":true,"num":0}]`, "bAQIDBA=="}))
}

func pollingOrder(c *env) {
	s := c.Polling()
	s.Join("")
	s.Post(`42["burst",1000]`)
	for i, p := range s.Packets(1000) {
		if want := fmt.Sprintf(`42["item",%d]`, i); p != want {
			c.T.Fatalf("packet %d is %s", i, p)
		}
	}
}

func pollingOverlappingGet(c *env) {
	s := c.Polling()
	s.Join("")
	held := s.Hold()
	c.holds()
	c.Want("second", s.Get().Status, 400)
	c.Want("first", <-held, "200 1")
	c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
	c.reason(sio.TransportError)
}

func pollingAbort(c *env) {
	s := c.Polling()
	s.Join("")
	ctx, cancel := context.WithCancel(context.Background())
	done := s.HoldFor(ctx)
	c.holds()
	cancel()
	<-done
	c.reason(sio.TransportError)
	c.Want("later", s.Get().Status, 400)
}

func pollingCloseByClient(c *env) {
	s := c.Polling()
	s.Join("")
	held := s.Hold()
	c.holds()
	c.Want("post", s.Post("1"), "200 ok")
	c.Want("poll", <-held, "200 6")
	c.reason(sio.TransportClose)
	c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
}

func pollingCloseAfterUnits(c *env) {
	s := c.Polling()
	s.Join("")
	s.Post("42[\"n\",1]\x1e42[\"n\",2]\x1e1\x1e42[\"n\",3]")
	c.reason(sio.TransportClose)
	for _, n := range c.handled() {
		if n == 3 {
			c.T.Error("a packet behind the close was handled")
		}
	}
}

func pollingKickWhileWaiting(c *env) {
	s := c.Polling()
	s.Join("")
	held := s.Hold()
	c.holds()
	s.Post(`42["kick",true]`)
	c.Want("waiting", <-held, "200 41")
	c.reason(sio.ServerNamespace)
	c.Want("next", s.Get(), "200 6\x1e1")
	c.Want("later", s.Get().Status, 400)
}

func pollingKickWithoutPoll(c *env) {
	s := c.Polling()
	s.Join("")
	s.Post(`42["kick",true]`)
	c.reason(sio.ServerNamespace)
	c.Want("next", s.Get(), "200 41")
	c.Want("after", s.Get(), "200 6\x1e1")
	c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
}

func pollingClosedWithoutPoll(c *env) {
	s := c.Polling()
	s.Join("")
	s.Post("41{}")
	c.reason(sio.MalformedPacket)
	c.Want("post", s.Post("3"), `400 {"code":1,"message":"Session ID unknown"}`)
	c.Want("next", s.Get(), "200 6\x1e1")
	c.Want("later", s.Get().Status, 400)
}

func pollingOverlappingPost(c *env) {
	s := c.Polling()
	s.Join("")
	pr, pw := io.Pipe()
	first := c.slowPost(s, context.Background(), pr)
	_, _ = pw.Write([]byte(`42["n",1]`))
	c.holds()
	c.Want("second", s.Post(`42["n",2]`).Status, 400)
	_ = pw.Close()
	<-first
	c.reason(sio.TransportError)
	c.Want("nothing handled", len(c.handled()), 0)
}

func pollingAbortedPost(c *env) {
	s := c.Polling()
	s.Join("")
	ctx, cancel := context.WithCancel(context.Background())
	pr, pw := io.Pipe()
	first := c.slowPost(s, ctx, pr)
	_, _ = pw.Write([]byte(`42["n",1]`))
	c.holds()
	cancel()
	_ = pw.CloseWithError(context.Canceled)
	<-first
	c.reason(sio.TransportError)
	c.Want("nothing handled", len(c.handled()), 0)
}

func pollingTooLarge(c *env) {
	s := c.Polling()
	s.Join("")
	a := s.Post("4" + strings.Repeat("x", 2<<20))
	c.Want("status", a.Status, 413)
	c.reason(sio.TransportError)
	c.Alive()
}

func pollingAnnouncedTooLarge(c *env) {
	s := c.Polling()
	s.Join("")
	pr, pw := io.Pipe()
	defer func() { _ = pw.Close() }()
	req, err := http.NewRequest(http.MethodPost, c.Base+c.Path+"?"+s.Query(), pr)
	if err != nil {
		c.T.Fatal(err)
	}
	req.ContentLength = 3 << 20
	// The client waits for its own body before it gives up.
	defer time.AfterFunc(c.run.patience, func() { _ = pw.CloseWithError(io.ErrUnexpectedEOF) }).Stop()
	resp, err := c.HTTP.Do(req)
	if err != nil {
		c.T.Fatal(err)
	}
	_ = resp.Body.Close()
	c.Want("status", resp.StatusCode, 413)
	c.reason(sio.TransportError)
}

func pollingIgnoredPackets(c *env) {
	s := c.Polling()
	s.Join("")
	c.Want("ignored", s.Post("0{}\x1e5\x1e6\x1e3"), "200 ok")
	s.Post(`42["echo",1]`)
	c.Want("still served", s.Packets(1)[0], `42["echo",1]`)
}

func pollingOtherMethods(c *env) {
	s := c.Polling()
	s.Join("")
	for _, m := range []string{"PUT", "DELETE", "PATCH", "HEAD"} {
		a := c.Must(m, s.Query(), "")
		c.Want(m, a.Status, 405)
		c.Want(m+" Allow", a.Header.Get("Allow"), "GET, POST")
	}
	s.Post(`42["echo",1]`)
	c.Want("still served", s.Packets(1)[0], `42["echo",1]`)
}

func heartbeatPingPong(c *env) {
	w := c.Join("")
	w.NoPong = true
	for range 3 {
		c.Want("ping", w.Next(), "2")
		w.Send("3")
	}
	s := c.Polling()
	c.Want("poll", s.Get(), "200 2")
}

func heartbeatTimeout(c *env) {
	from := time.Now()
	w := c.Join("")
	w.NoPong = true
	w.End()
	if d := time.Since(from); d < 390*time.Millisecond {
		c.T.Errorf("closed after %v", d)
	}
	c.reason(sio.PingTimeout)
}

func heartbeatConnectTimeout(c *env) {
	w, _ := c.WebSocket()
	s := c.Polling() // beside: both have the same time
	c.Want("poll", s.Get(), "200 1")
	w.End()
}

// slowPost sends a POST whose body comes piece by piece. It returns when the head is written.
func (c *env) slowPost(s *wire.Session, ctx context.Context, body io.Reader) <-chan struct{} {
	done, written := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(written) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: once})
	req, err := http.NewRequestWithContext(ctx, "POST", c.Base+c.Path+"?"+s.Query(), body)
	if err != nil {
		c.T.Fatal(err)
	}
	go func() {
		defer close(done)
		defer once()
		if resp, err := c.HTTP.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-written
	return done
}
