package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// generationsCases are about 0.6, about clients of several generations together, and about
// streams.
var generationsCases = []testCase{
	{
		name: "sio06/websocket",
		rule: "0.6: the session id first, texts and json, heartbeats with a number",
		spec: "docs/protocol.md 10.7",
		slow: true, need: []string{sio06},
		opts: short,
		run:  sio06Websocket,
	},
	{
		name: "sio06/requests",
		rule: "0.6: polling, jsonp, htmlfile and multipart",
		spec: "docs/protocol.md 10.7",
		all:  true, need: []string{sio06},
		run: sio06Requests,
	},
	{
		name: "generations/one-room",
		rule: "clients of every generation hear each other in one room, and answer each other's server",
		spec: "docs/protocol.md 10.8",
		run:  generationsOneRoom,
	},
	{
		name: "streams/flush",
		rule: "what is written to a stream arrives while it goes on; a host that holds it back is " +
			"named with its writers",
		spec: "docs/protocol.md 11.1",
		opts: everything,
		run:  streamsFlush,
	},
	{
		name: "streams/order",
		rule: "what is written to a stream arrives in order and whole, however much",
		spec: "docs/protocol.md 11.1",
		all:  true,
		run:  streamsOrder,
	},
	{
		name: "streams/heartbeats",
		rule: "a stream goes on for as long as its heartbeats are answered, and ends with the client",
		spec: "docs/protocol.md 10.4",
		slow: true,
		opts: streamsHeartbeatsOptions,
		run:  streamsHeartbeats,
	},
	{
		name: "streams/slow-reader",
		rule: "a client that does not read its stream is disconnected with its own reason",
		spec: "docs/protocol.md 8.1",
		all:  true,
		run:  streamsSlowReader,
	},
	{
		name: "generations/shutdown",
		rule: "when the server shuts down every generation is let go, so that it connects again",
		spec: "docs/protocol.md 7.2",
		all:  true, local: true,
		run: generationsShutdown,
	},
}

func sio06Websocket(c *env) {
	c.echoMessages()
	w, a := c.At(mount+"/websocket").Upgrade("", "")
	if w == nil {
		c.T.Fatalf("%v", a)
	}
	if got := w.Next(); !strings.HasPrefix(got, "~m~27~m~") {
		c.T.Errorf("session id: %s", got)
	}
	w.Send("~m~9~m~~j~{\"a\":1")
	w.End() // the json was cut off
	w, _ = c.At(mount+"/websocket").Upgrade("", "")
	w.Next()
	beats := 0
	next := func() string { // heartbeats may come in between
		for {
			m := w.Next()
			if m != "~m~4~m~~h~1" || beats == 3 {
				return m
			}
			beats++
			w.Send(m)
		}
	}
	w.Send(`~m~5~m~hello~m~13~m~~j~{"a":"bé"}~m~2~m~😀`)
	c.Want("text", next(), "~m~5~m~hello")
	c.Want("json", next(), `~m~13~m~~j~{"a":"bé"}`)
	c.Want("emoji", next(), "~m~2~m~😀")
	_ = c.theirs().Emit("x", 1)
	c.Want("an event is an object", next(), `~m~26~m~~j~{"name":"x","args":[1]}`)
	c.Want("a fourth heartbeat", next(), "~m~4~m~~h~1")
	w.End()
	c.Alive()
}

func sio06Requests(c *env) {
	c.echoMessages()
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	open := func(answer string) string { // the session id in the first message
		_, id, ok := strings.Cut(answer, "~m~27~m~")
		if !ok || len(id) < 27 {
			c.T.Fatalf("open: %q", answer)
		}
		return id[:27]
	}
	sid := open(c.At(mount+"/xhr-polling/1234").Must("GET", "", "").Body)
	x := c.At(mount + "/xhr-polling/" + sid + "/1235")
	post := c.At(mount + "/xhr-polling/" + sid + "/send")
	c.Want("post", post.Must("POST", "", "data=~m~5~m~a%2Bb%20c", form...), "200 ok")
	c.Want("poll", x.Must("GET", "", ""), "200 ~m~5~m~a+b c")
	c.Want("bad length", post.Must("POST", "", "data=~m~5~m~hi", form...).Status, 400)
	c.Want("later", x.Must("GET", "", "").Status, 503)

	sid = open(c.At(mount+"/jsonp-polling/1234/3").Must("GET", "", "").Body)
	c.At(mount+"/jsonp-polling/"+sid+"/1235/3").Must("POST", "", "data=~m~1~m~<", form...)
	c.Want("jsonp", c.At(mount+"/jsonp-polling/"+sid+"/1235/3").Must("GET", "", ""), `200 io.JSONP[3]._("~m~1~m~\u003c");`)
	c.Want("bad index", c.At(mount+"/jsonp-polling/"+sid+"/1235/x").Must("GET", "", "").Status, 400)

	s := c.At(mount + "/htmlfile").Stream("")
	c.Want("head", s.Until(strings.Repeat(" ", 244)), "<html><body>"+strings.Repeat(" ", 244))
	sid = open(s.Until(");</script>"))
	c.At(mount+"/htmlfile/"+sid+"/send").Must("POST", "", "data=~m~1~m~/", form...)
	c.Want("htmlfile", s.Until("</script>"), `<script>parent.s._("~m~1~m~\/", document);</script>`)
	s.Close()

	s = c.At(mount + "/xhr-multipart").Stream("")
	s.Until("\r\n\r\n")
	sid = open(s.Until("\r\n"))
	c.At(mount+"/xhr-multipart/"+sid+"/send").Must("POST", "", "data=~m~1~m~x", form...)
	s.Until("\r\n\r\n")
	c.Want("multipart", s.Until("\r\n"), "~m~1~m~x\r\n")
	s.Close()
	c.Want("unknown session", c.At(mount+"/xhr-polling/xxxxxxxxxxxxxxxxxxxx/1").Must("GET", "", ""), "400 Session ID unknown")
}

func generationsOneRoom(c *env) {
	new4 := c.Join("")
	two := c.ws3()
	poll := c.Polling3()
	c.Want("connect", poll.Next(), "40")
	nine := c.ws1(c.Handshake1(""))
	nineP := c.Polling1()
	const join, say = `["join","r"]`, `["say","r","é"]`
	event1 := func(name, args string) string { return `5:::{"name":"` + name + `","args":[` + args + `]}` }
	new4.Send("42" + join)
	two.Send("42" + join)
	poll.Post("42" + join)
	nine.Send(event1("join", `"r"`))
	nineP.Send(event1("join", `"r"`))
	for _, w := range []*wire.WS{new4, two} { // joined: what they have sent was handled
		w.Send(`421["echo"]`)
		c.Want("joined", w.Next(), "431[]")
	}
	poll.Post(`421["echo"]`)
	c.Want("joined", poll.Next(), "431[]")
	nine.Send(`5:1+::{"name":"echo"}`)
	c.Want("joined", nine.Next(), "6:::1")
	nineP.Send(`5:1+::{"name":"echo"}`)
	c.Want("joined", nineP.Next(), "6:::1")
	c.settle()
	for _, speak := range []func(){
		func() { new4.Send("42" + say) },
		func() { two.Send("42" + say) },
		func() { poll.Post("42" + say) },
		func() { nine.Send(event1("say", `"r","é"`)) },
		func() { nineP.Send(event1("say", `"r","é"`)) },
	} {
		speak()
		c.Want("4.x", new4.Next(), `42["said","r","é"]`)
		c.Want("2.x", two.Next(), `42["said","r","\u00e9"]`)
		c.Want("2.x, polling", poll.Next(), `42["said","r","\u00e9"]`)
		c.Want("0.9", nine.Next(), event1("said", `"r","é"`))
		c.Want("0.9, polling", nineP.Next(), event1("said", `"r","é"`))
	}
}

// streamRefusal asks the host for a stream, by a request that never reaches the server. It
// is "" when the host can stream, else what the host says about that.
func streamRefusal(c *env) string {
	useExchange(c, func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) {
			err := x.Stream(200, func(s host.Stream) { _, _ = s.Write([]byte("x")) })
			if errors.Is(err, host.ErrNoStream) {
				_ = x.Reply(501, []byte(err.Error()))
			} else if err != nil {
				c.T.Errorf("Stream: %v, which does not wrap host.ErrNoStream", err)
			}
		})
	})
	a := c.Must("GET", "", "")
	if a.Status != 501 {
		return ""
	}
	c.Want("the error of Stream names the writers", len(a.Body) > len(host.ErrNoStream.Error()), true)
	return a.Body
}

func streamsFlush(c *env) {
	refusal := streamRefusal(c)
	c.Stop()
	c.Start("")
	x := c.At(mount + "/1/htmlfile/" + c.Handshake1(""))
	if declared := c.run.lacks[streaming] != ""; declared != (refusal != "") {
		c.T.Errorf("the host can stream: %t; it is declared to lack that: %t (the host says: %q)", refusal == "", declared, refusal)
	}
	if refusal != "" {
		a := x.Must("GET", "", "")
		c.Want("status", a.Status, 501)
		c.Want("names the writers", strings.Contains(a.Body, refusal), true)
		return
	}
	s := x.Stream("")
	s.Until("1::")
	c.settle()
	from := time.Now()
	for i := range 3 {
		_ = c.of("/").Emit("x", i)
		s.Until("</script>")
	}
	if d := time.Since(from); d > 2*time.Second {
		c.T.Errorf("three messages took %v: a writer of the host holds streamed bytes back (middleware that compresses or collects answers?)", d)
	}
	s.Close()
}

func streamsOrder(c *env) {
	s := c.At(mount + "/1/htmlfile/" + c.Handshake1("")).Stream("")
	s.Until("1::")
	s.Until("</script>")
	pad := strings.Repeat("y", 2000)
	c.settle()
	for i := range 300 {
		if err := c.of("/").Emit("x", i, pad); err != nil {
			c.T.Fatal(err)
		}
	}
	for i := range 300 {
		if got := s.Until("</script>"); !strings.Contains(got, fmt.Sprintf(`\"args\":[%d,\"%s\"]`, i, pad)) {
			c.T.Fatalf("message %d is %.80s", i, got)
		}
	}
	s.Close()
}

func streamsHeartbeatsOptions(o *sio.Options) {
	everything(o)
	o.PingInterval, o.PingTimeout = 300*time.Millisecond, time.Second
}

func streamsHeartbeats(c *env) {
	sid := c.Handshake1("")
	s := c.At(mount + "/1/htmlfile/" + sid).Stream("")
	s.Until("1::")
	post := c.At(mount + "/1/htmlfile/" + sid)
	for range 6 { // longer than interval and timeout
		s.Until("2::")
		c.Want("heartbeat", post.Must("POST", "", "2::").Status, 200)
	}
	post.Must("POST", "", `5:::{"name":"echo","args":["still here"]}`)
	s.Until("still here")
	c.Want("nobody ended", len(c.own().ended()), 0)
	s.Close()
	c.ends(1)
}

func streamsSlowReader(c *env) {
	s := c.At(mount + "/1/htmlfile/" + c.Handshake1("")).Stream("")
	s.Until("1::")
	pad := strings.Repeat("x", 256<<10)
	theirs := c.theirs()
	for i := 0; i < 256 && len(c.own().ended()) == 0; i++ {
		if i%8 == 0 {
			c.settle() // what was emitted has come
		}
		_ = theirs.Emit("x", pad)
	}
	c.reason(sio.SlowClient)
	c.Alive()
	s.Close()
	c.Eventually("the session is gone", func() bool { return c.stats().Sessions <= 1 })
}

func generationsShutdown(c *env) {
	two := c.ws3()
	nine := c.ws1(c.Handshake1(""))
	poll := c.Polling1()
	held := poll.Hold()
	stream := c.At(mount + "/1/htmlfile/" + c.Handshake1("")).Stream("")
	stream.Until("1::")
	c.Handshake1("") // never used
	c.holds()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.shutdown(context.Background()); err != nil {
			c.T.Errorf("Shutdown: %v", err)
		}
	}()
	c.Want("2.x", two.End().Code, 1001)
	c.Want("0.9", nine.End().Code, 1001)
	c.Want("0.9, polling", (<-held).Status, 503)
	if rest := stream.End(); strings.Contains(rest, "0::") {
		c.T.Errorf("0.9, htmlfile: %q", rest)
	}
	<-done
	for _, r := range c.own().ended() {
		c.Want("reason", r, sio.ServerShutdown)
	}
}
