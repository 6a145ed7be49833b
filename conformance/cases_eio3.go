package conformance

import (
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

const w3 = "EIO=3&transport=websocket"

// everything enables what is off by default.
func everything(o *sio.Options) {
	o.Transports = []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"}
	o.Dialects = []string{"eio4", "eio3", "sio1", "sio06"}
}

// short gives the older protocols a clock that a case can wait for.
func short(o *sio.Options) {
	everything(o)
	o.PingInterval, o.PingTimeout = 200*time.Millisecond, 200*time.Millisecond
	o.Legacy.CloseTimeout, o.Legacy.PollDuration = 300*time.Millisecond, 100*time.Millisecond
}

// eio3Cases are about Engine.IO 3, the protocol of clients 1.x and 2.x.
var eio3Cases = []testCase{
	{
		name: "eio3/handshake",
		rule: "Engine.IO 3: the connect of the default namespace follows the open packet without request",
		spec: "Socket.IO 4: Connection to the default namespace; docs/protocol.md 6.1",
		run:  eio3Handshake,
	},
	{
		name: "eio3/heartbeat",
		rule: "Engine.IO 3: the client pings, is answered without its data, and is given up an " +
			"interval and a timeout after its last ping",
		spec: "Engine.IO 3: Timeouts; docs/protocol.md 4.4",
		slow: true,
		// Of the timeout's second, a ping of a busy machine may be late for more than half.
		opts: func(o *sio.Options) { short(o); o.PingTimeout = time.Second },
		run:  eio3Heartbeat,
	},
	{
		name: "eio3/polling",
		rule: "Engine.IO 3: lengths in UTF-16 units both ways, several packets in a payload, ok to a POST",
		spec: "Engine.IO 3: Payload; docs/protocol.md 3.1",
		run:  eio3Polling,
	},
	{
		name: "eio3/overlap",
		rule: "Engine.IO 3: a second poll ends the session; the waiting one gets a close packet",
		spec: "docs/protocol.md 3.3",
		run:  eio3Overlap,
	},
	{
		name: "eio3/binary",
		rule: "Engine.IO 3: binary payloads both ways, base64 for those who cannot, a type in front of " +
			"binary frames",
		spec: "Engine.IO 3: Payload; docs/protocol.md 3.5",
		run:  eio3Binary,
	},
	{
		name: "eio3/namespaces",
		rule: "revision 4: query behind the namespace, bare answers, errors as values; a second " +
			"connect is ignored",
		spec: "Socket.IO 4: Exchange protocol; docs/protocol.md 6.4",
		run:  eio3Namespaces,
	},
	{
		name: "eio3/malformed",
		rule: "Engine.IO 3: malformed payloads and packets end the session and nobody else's",
		spec: "Engine.IO 3: Payload; docs/protocol.md 3.2; docs/protocol.md 5.2",
		run:  eio3Malformed,
	},
	{
		name: "eio3/upgrade",
		rule: "Engine.IO 3: probe, noop for the waiting poll, upgrade; nothing is lost",
		spec: "Engine.IO 3: Transport upgrading",
		run:  eio3Upgrade,
	},
	{
		name: "eio3/text-of-1.x",
		rule: "text that a 1.x client has encoded twice is read right; a client that has shown that it " +
			"encodes once is left alone",
		spec: "docs/protocol.md 3.6",
		run:  eio3TextOf1X,
	},
	{
		name: "eio3/off",
		rule: "a refused version gets its own error at once, with a text that names the option, before " +
			"any upgrade",
		spec: "docs/protocol.md 2.3",
		opts: func(o *sio.Options) { o.Dialects = []string{"eio4"} },
		run:  eio3Off,
	},
}

func eio3Handshake(c *env) {
	s := c.Polling3()
	c.Want("upgrades", s.Open.Upgrades, []string{"websocket"})
	c.Want("connect", s.Next(), "40")
	w := c.ws3()
	w.Send(`42["echo",1]`)
	c.Want("websocket", w.Next(), `42["echo",1]`)
	c.settle()
	_ = c.of("/").Emit("x", "é€😀\u2028")
	c.Want("ASCII on websocket", w.Next(), `42["x","\u00e9\u20ac\ud83d\ude00\u2028"]`)
	c.Want("ASCII on polling", s.Next(), `42["x","\u00e9\u20ac\ud83d\ude00\u2028"]`)
	c.Want("a version 2 bundle of 1.0", c.Must("GET", "EIO=2&transport=polling", "").Status, 200)
}

func eio3Heartbeat(c *env) {
	from := time.Now()
	c.ws3().End()
	if d := time.Since(from); d < 1190*time.Millisecond {
		c.T.Errorf("a silent client was given up after %v", d)
	}
	c.reason(sio.PingTimeout)
	w := c.ws3()
	for _, ping := range []string{"2", "2abc", "2", "2"} {
		time.Sleep(350 * time.Millisecond) // the client's ping interval
		w.Send(ping)
		c.Want("pong", w.Next(), "3")
	}
	w.Send("3")
	c.Closed(w, 1002)
	c.reason(sio.TransportError)
}

func eio3Polling(c *env) {
	s := c.Polling3()
	c.Want("connect", s.Next(), "40")
	a := s.Post(`42["echo","😀"]`, "2", `42["n",1]`)
	c.Want("post", a, "200 ok")
	c.Want("post type", a.Header.Get("Content-Type"), "text/html")
	c.Want("echo", s.Next(), `42["echo","\ud83d\ude00"]`)
	c.Eventually("second event", func() bool { return len(c.handled()) == 1 })
	c.Want("close", s.Post("1"), "200 ok")
	c.reason(sio.TransportClose)
	c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
}

func eio3Overlap(c *env) {
	s := c.Polling3()
	c.Want("connect", s.Next(), "40")
	held := s.Hold()
	c.holds()
	c.Want("second", s.Get().Status, 400)
	c.Want("first", <-held, "200 1:1")
}

func eio3Binary(c *env) {
	s := c.Polling3()
	c.Want("connect", s.Next(), "40")
	const event = `451-["echo",{"_placeholder":true,"num":0}]`
	c.Want("base64 to the server", s.Post(event, "b4AQIDBA=="), "200 ok")
	a := s.Get()
	c.Want("type", a.Header.Get("Content-Type"), "application/octet-stream")
	want := "\x00\x04\x02\xff" + event + "\x01\x05\xff\x04\x01\x02\x03\x04"
	c.Want("binary payload", a.Body, want)
	c.Want("binary to the server", s.Must("POST", s.Query(), want, "Content-Type", "application/octet-stream"), "200 ok")
	c.Want("and back", s.Get().Body, want)

	b := c.Polling3("b64=1")
	c.Want("connect", b.Next(), "40")
	b.Post(event, "b4AQIDBA==")
	c.Want("text payload", b.Get().Body, wire.Frame3(event, "b4AQIDBA=="))

	text, _ := c.Upgrade(w3+"&b64=1", "")
	text.NoPong = true
	text.Next()
	c.Want("connect", text.Next(), "40")
	text.Send(event, "b4AQIDBA==")
	c.Want("event", text.Next(), event)
	c.Want("base64 from the server on a websocket", text.Next(), "b4AQIDBA==")

	w := c.ws3()
	w.Send(event)
	w.SendBinary([]byte{4, 1, 2, 3, 4})
	c.Want("event", w.Next(), event)
	c.Want("attachment", w.Next(), "bBAECAwQ=")
	w.Send(event, "b4AQIDBA==")
	c.Want("event", w.Next(), event)
	c.Want("base64 on a websocket", w.Next(), "bBAECAwQ=")
	w.Send("bAQID", `42["echo",2]`)
	c.Want("b and an unknown digit is ignored", w.Next(), `42["echo",2]`)
}

func eio3Namespaces(c *env) {
	w := c.ws3()
	for _, row := range [][2]string{
		{"40/chat", "40/chat,"},
		{"41/chat", ""},
		{"40/chat,", "40/chat,"},
		{`42/chat,5["echo","x"]`, `43/chat,5["x"]`},
		{"41/chat,", ""},
		{`40/chat,{"t":1}`, "40/chat,"},
		{"40/secret?token=no,", `44/secret,{"code":401}`},
		{"40/secret?token=broken,", `44/secret,"internal error"`},
		{"40/nope,", `44/nope,{"message":"Invalid namespace"}`},
		{`42["fail","public"]`, `44{"code":"nope","message":"not today","data":7}`},
		{`427["fail","public"]`, `437[{"error":{"code":"nope","message":"not today","data":7}}]`},
		{"40/secret?a=b&token=letmein,", "40/secret,"},
	} {
		w.Send(row[0])
		if row[1] != "" {
			c.Want(row[0], w.Next(), row[1])
		}
	}
	if got := w.Next(); !strings.HasPrefix(got, `42/secret,["welcome"`) {
		c.T.Errorf("welcome: %s", got)
	}
	w.Send("40", "40/chat,", `42["echo","still here"]`)
	c.Want("after a second connect", w.Next(), `42["echo","still here"]`)
}

func eio3Malformed(c *env) {
	for _, body := range []string{"5:4x", "-1:4x", "99999999999:4x", "1e3:4x", "0x5:4x", "4hello", ":", "", "2:9x", "4:4€"} {
		s := c.Polling3()
		c.Want(body, s.Must("POST", s.Query(), body).Status, 400)
		c.Want(body+" later", c.Must("POST", s.Query(), "1:2").Status, 400)
	}
	for _, body := range []string{
		"\x00\x01\x02\x03", strings.Repeat("\x00", 400), "\x00" + strings.Repeat("\x09", 310) + "\xff4x",
		"\x00\x09\xff4x",
	} {
		s := c.Polling3()
		c.Want("binary", s.Must("POST", s.Query(), body, "Content-Type", "application/octet-stream").Status, 400)
	}
	for _, frame := range []string{
		"x", "7", "3", "4", "42[]", `42["connect"]`, "47", "41{}", "44{}", `42/admin,["x"]`,
		"40/chat?%zz,",
	} {
		w := c.ws3()
		w.Send(frame)
		w.End()
	}
	c.Alive()
}

func eio3Upgrade(c *env) {
	s := c.Polling3()
	c.Want("connect", s.Next(), "40")
	held := s.Hold()
	w, a := c.Upgrade(w3+"&sid="+s.Open.SID, "")
	if w == nil {
		c.T.Fatalf("probe: %v", a)
	}
	w.Send("2probe")
	c.Want("probe", w.Next(), "3probe")
	c.Want("poll", <-held, "200 1:6")
	w.Send("5", `42["echo",1]`)
	c.Want("echo", w.Next(), `42["echo",1]`)
	c.Want("poll after the upgrade", s.Get().Status, 400)
	c.Want("another protocol", c.Must("GET", q4+"&sid="+s.Open.SID, "").Status, 400)
}

func eio3TextOf1X(c *env) {
	twice := func(s string) string {
		var r []rune
		for _, b := range []byte(s) {
			r = append(r, rune(b))
		}
		return string(r)
	}
	old := c.Polling3()
	c.Want("connect", old.Next(), "40")
	old.Post(twice(`421["echo","café €"]`))
	c.Want("1.x", old.Next(), `431["caf\u00e9 \u20ac"]`)
	now := c.Polling3()
	c.Want("connect", now.Next(), "40")
	now.Post(`421["echo","café €"]`, `422["echo","Ã©"]`)
	c.Want("2.x", now.Next(), `431["caf\u00e9 \u20ac"]`)
	c.Want("2.x, what looks encoded twice", now.Next(), `432["\u00c3\u00a9"]`)
}

func eio3Off(c *env) {
	const want = `400 {"code":5,"message":"Unsupported protocol version: eio3 is not among Options.Dialects"}`
	c.Want("polling", c.Must("GET", "EIO=3&transport=polling", ""), want)
	w, a := c.Upgrade(w3, "")
	if w != nil {
		c.T.Fatal("upgraded")
	}
	c.Want("websocket", a, want)
	c.Want("0.9", c.At(mount+"/1/").Must("GET", "", ""), "400 Unsupported protocol version: sio1 is not among Options.Dialects")
	c.Want("0.6", c.At(mount+"/xhr-polling").Must("GET", "", ""),
		"400 Unsupported protocol version: sio06 is not among Options.Dialects")
}

// ws3 opens an Engine.IO 3 session on a websocket; open and connect have come.
func (c *env) ws3() *wire.WS {
	c.T.Helper()
	w, a := c.Upgrade(w3, "")
	if w == nil {
		c.T.Fatalf("websocket: %v", a)
	}
	w.NoPong = true
	if got := w.Next(); !strings.HasPrefix(got, "0{") {
		c.T.Fatalf("open: %s", got)
	}
	if got := w.Next(); got != "40" {
		c.T.Fatalf("connect: %s", got)
	}
	return w
}
