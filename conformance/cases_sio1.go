package conformance

import (
	"regexp"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

const head09 = "<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>"

// sio1Cases are about the handshake and the transports of 0.9.
var sio1Cases = []testCase{
	{
		name: "sio1/handshake",
		rule: "0.9: session, heartbeat timeout, close timeout and transports between colons",
		spec: "Socket.IO 0.9: Handshake; docs/protocol.md 10.1",
		all:  true,
		run:  sio1Handshake,
	},
	{
		name: "sio1/handshake-index",
		rule: "0.9: what is not the number of a callback is refused",
		spec: "docs/protocol.md 10.1",
		all:  true,
		run:  sio1HandshakeIndex,
	},
	{
		name: "sio1/handshake-origin",
		rule: "0.9: a foreign page is refused in the form of the handshake",
		spec: "docs/protocol.md 10.1",
		all:  true,
		run:  sio1HandshakeOrigin,
	},
	{
		name: "sio1/strangers",
		rule: "0.9 and Engine.IO do not take each other's requests",
		spec: "docs/protocol.md 10.1",
		run:  sio1Strangers,
	},
	{
		name: "sio1/expiry",
		rule: "0.9: a handshake that is never followed by anything is forgotten",
		spec: "docs/protocol.md 10.1",
		slow: true,
		opts: short,
		run:  sio1Expiry,
	},
	{
		name: "sio1/xhr-polling",
		rule: "0.9: the captured exchange of a poll and a POST",
		spec: "Socket.IO 0.9: Framing; docs/protocol.md 10.2",
		slow: true,
		run:  sio1XhrPolling,
	},
	{
		name: "sio1/too-large",
		rule: "0.9: a body over the limit is refused, and nobody else notices",
		spec: "docs/protocol.md 3.2",
		slow: true,
		run:  sio1TooLarge,
	},
	{
		name: "sio1/poll-duration",
		rule: "0.9: a poll ends with a noop; the session, when no further poll comes",
		spec: "Socket.IO 0.9: (8) Noop; docs/protocol.md 10.4",
		slow: true,
		// Of the second between two polls a busy machine may need more than half.
		opts: func(o *sio.Options) { short(o); o.Legacy.CloseTimeout = time.Second },
		run:  sio1PollDuration,
	},
	{
		name: "sio1/heartbeat",
		rule: "0.9: the server sends heartbeats on websocket and htmlfile and gives a silent client up",
		spec: "Socket.IO 0.9: (2) Heartbeat; docs/protocol.md 10.4",
		slow: true,
		// An answer of a busy machine may come late by a few hundred milliseconds.
		opts: func(o *sio.Options) {
			short(o)
			o.PingTimeout, o.Legacy.CloseTimeout = 600*time.Millisecond, 600*time.Millisecond
		},
		run: sio1Heartbeat,
	},
	{
		name: "sio1/websocket",
		rule: "0.9: one packet a message, a framed payload is accepted, binary is not",
		spec: "Socket.IO 0.9: Framing; docs/protocol.md 10.2",
		run:  sio1Websocket,
	},
	{
		name: "sio1/jsonp-polling",
		rule: "0.9: io.j[i] called with a string, a JSON string in the field d",
		spec: "docs/protocol.md 10.2",
		all:  true,
		run:  sio1JsonpPolling,
	},
	{
		name: "sio1/htmlfile",
		rule: "0.9: the bytes of a forever iframe",
		spec: "docs/protocol.md 10.2",
		all:  true,
		run:  sio1Htmlfile,
	},
	{
		name: "sio1/xhr-multipart",
		rule: "0.9: parts, the session id first; the boundary is not to be guessed",
		spec: "Socket.IO 0.9: Framing; docs/protocol.md 10.2",
		all:  true,
		run:  sio1XhrMultipart,
	},
	{
		name: "sio1/flashsocket",
		rule: "a flashsocket is a websocket under another name",
		spec: "docs/protocol.md 10.2",
		all:  true,
		run:  sio1Flashsocket,
	},
}

func sio1Handshake(c *env) {
	x := c.At(mount + "/1/")
	a := x.Must("GET", "t=1", "")
	form := `^[A-Za-z0-9_-]{27}:20:60:websocket,flashsocket,htmlfile,xhr-multipart,xhr-polling,jsonp-polling$`
	if c.Server == nil { // the length of the id and the choice of transports are the server's
		form = `^[A-Za-z0-9_-]{20,}:20:60:[a-z,-]*xhr-polling[a-z,-]*$`
	}
	if !regexp.MustCompile(form).MatchString(a.Body) {
		c.T.Errorf("%v", a)
	}
	c.Want("type", strings.Split(a.Header.Get("Content-Type"), ";")[0], "text/plain")
	c.Want("no CORS for nobody", a.Header.Get("Access-Control-Allow-Origin"), "")
	c.Want("without a slash", c.At(mount+"/1").Must("GET", "", "").Status, 200)
	c.Want("POST", x.Must("POST", "", "").Status, 200)
	a = x.Must("GET", "t=1&jsonp=3", "")
	line := called(c, a.Body, "io.j[3](", ");")
	c.Want("jsonp", strings.Count(line, ":"), 3)
	c.Want("jsonp type", a.Header.Get("Content-Type"), "application/javascript")
	c.Want("another version", c.At(mount+"/2/").Must("GET", "", ""), "500 Protocol version not supported.")
}

func sio1HandshakeIndex(c *env) {
	for _, n := range []string{"alert(1)", "-1", "", "1&jsonp=2", "٣"} {
		c.Want("J02 "+n, c.At(mount+"/1/").Must("GET", "jsonp="+n, "").Status, 400)
	}
}

func sio1HandshakeOrigin(c *env) {
	x := c.At(mount + "/1/")
	c.Want("bad origin", x.Must("GET", "", "", "Origin", "https://evil.example"), "403 handshake bad origin")
	c.Want("bad origin, jsonp", x.Must("GET", "jsonp=1", "", "Origin", "https://evil.example"),
		`200 io.j[1](new Error("handshake bad origin"));`)
}

func sio1Strangers(c *env) {
	c.Want("V14 this path's session on version 4", c.Must("GET", q4+"&sid="+c.Handshake1(""), "").Status, 400)
	s := c.Polling()
	c.Want("a session of version 4 on this path", c.At(mount+"/1/xhr-polling/"+s.Open.SID).Must("GET", "", ""), "200 7:::1+0")
	c.Want("version 4 below this path", c.At(mount+"/1/").Must("GET", q4, "").Body[:2], "0{")
}

func sio1Expiry(c *env) {
	c.Handshake1("")
	c.Want("sessions", c.stats().Sessions, 1)
	for range 20 {
		c.Handshake1("")
	}
	c.Eventually("all forgotten", func() bool { return c.stats().Sessions == 0 })
}

func sio1XhrPolling(c *env) {
	x := c.At(mount + "/1/xhr-polling/" + c.Handshake1(""))
	a := x.Must("GET", "t=1", "")
	c.Want("open", a, "200 1::")
	c.Want("type", a.Header.Get("Content-Type"), "text/plain; charset=UTF-8")
	c.Want("length", a.Header.Get("Content-Length"), "3")
	a = x.Must("POST", "t=2", `5:::{"name":"echo","args":["café 😀"]}`)
	c.Want("post", a, "200 1")
	c.Want("type", a.Header.Get("Content-Type"), "text/plain; charset=UTF-8")
	c.Want("poll", x.Must("GET", "t=3", ""), `200 5:::{"name":"echo","args":["café 😀"]}`)
	c.Want("payload", x.Must("POST", "", wire.Frame1("1::/chat", `5:1+::{"name":"echo","args":["a+b😀"]}`)), "200 1")
	s := &wire.Session1{Client: x}
	c.Want("one", s.Next(), "1::/chat")
	c.Want("two", s.Next(), `6:::1+["a+b😀"]`)
}

func sio1TooLarge(c *env) {
	s := c.Polling1()
	c.Want("too large", s.Must("POST", "", strings.Repeat("x", 3<<20)).Status, 413)
	other := c.Polling1()
	other.Send(`5:1+::{"name":"echo","args":[1]}`)
	c.Want("another client", other.Next(), "6:::1+[1]")
}

func sio1PollDuration(c *env) {
	s := c.Polling1()
	for range 16 { // longer than the close timeout
		c.Want("poll", s.Must("GET", "", ""), "200 8::")
	}
	s.Send(`5:1+::{"name":"echo"}`)
	c.Want("alive, and no heartbeats", s.Next(), "6:::1")
	c.reason(sio.PingTimeout)
	c.Want("later", s.Must("GET", "", ""), "200 7:::1+0")
}

func sio1Heartbeat(c *env) {
	silent := c.ws1(c.Handshake1(""))
	c.Want("websocket", silent.Next(), "2::")
	silent.End()
	c.reason(sio.PingTimeout)
	w := c.ws1(c.Handshake1(""))
	for range 4 {
		c.Want("heartbeat", w.Next(), "2::")
		w.Send("2::")
	}
	sid := c.Handshake1("")
	x := c.At(mount + "/1/htmlfile/" + sid)
	s := x.Stream("")
	for range 4 {
		s.Until(`<script>_("2::");</script>`)
		c.Want("answer", x.Must("POST", "", "2::"), "200 1")
	}
	s.End() // no answer any more
}

func sio1Websocket(c *env) {
	w := c.ws1(c.Handshake1(""))
	w.Send(`5:::{"name":"echo","args":[1]}`, wire.Frame1(`5:::{"name":"echo","args":[2]}`, `5:::{"name":"echo","args":["é😀"]}`))
	for _, want := range []string{"1", "2", `"é😀"`} {
		c.Want("echo", w.Next(), `5:::{"name":"echo","args":[`+want+`]}`)
	}
	c.Want("GET on the websocket", c.At(mount+"/1/websocket/"+c.Handshake1("")).Must("GET", "", "").Status, 400)
	w.SendBinary([]byte{1})
	w.End()
	c.Alive()
}

func sio1JsonpPolling(c *env) {
	x := c.At(mount + "/1/jsonp-polling/" + c.Handshake1(""))
	a := x.Must("GET", "t=1&i=2", "")
	c.Want("open", a, `200 io.j[2]("1::");`)
	c.Want("type", a.Header.Get("Content-Type"), "text/javascript; charset=UTF-8")
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	c.Want("post",
		x.Must("POST", "t=2&i=2", "d=%225%3A%3A%3A%7B%5C%22name%5C%22%3A%5C%22echo%5C%22%2C%5C%22args%5C%22%3A%5B%5C%22%3C%2Fscript%3E%E2%80%A8%5C%22%5D%7D%22", form...),
		"200 1")
	a = x.Must("GET", "t=3&i=2", "")
	c.Want("echo", called(c, a.Body, "io.j[2](", ");"), "5:::{\"name\":\"echo\",\"args\":[\"</script>\u2028\"]}")
	if strings.ContainsAny(a.Body, "<\u2028") {
		c.T.Errorf("unescaped: %s", a.Body)
	}
	for _, i := range []string{"alert(1)", "-1", "1&i=2", "%0a1"} {
		c.Want("index "+i, x.Must("GET", "i="+i, "").Status, 400)
	}
	for _, body := range []string{"", "e=1", "d=x", "d=%ZZ", `d=%22a%22&d=%22b%22`, "5:::{}"} {
		y := c.At(mount + "/1/jsonp-polling/" + c.Handshake1(""))
		c.Want("body "+body, y.Must("POST", "i=0", body, form...).Status, 400)
	}
}

func sio1Htmlfile(c *env) {
	x := c.At(mount + "/1/htmlfile/" + c.Handshake1(""))
	s := x.Stream("t=1")
	c.Want("head", s.Until("</script>"), head09)
	c.Want("open", s.Until("</script>"), strings.Repeat(" ", 173)+`<script>_("1::");</script>`)
	c.Want("type", s.Header.Get("Content-Type"), "text/html; charset=UTF-8")
	c.Want("post", x.Must("POST", "", `5:::{"name":"echo","args":["</script>/"]}`), "200 1")
	c.Want("echo", s.Until("</script>"), `<script>_("5:::{\"name\":\"echo\",\"args\":[\"\u003c\/script\u003e\/\"]}");</script>`)
	c.Want("kick", x.Must("POST", "", `5:::{"name":"kick","args":[true]}`), "200 1")
	c.Want("goodbye", s.Until("</script>"), `<script>_("0::");</script>`)
	s.End()
	y := c.At(mount + "/1/htmlfile/" + c.Handshake1(""))
	gone := y.Stream("")
	gone.Until("1::")
	c.settle()
	before := len(c.own().ended())
	gone.Close()
	c.Eventually("a client that leaves is noticed, at the latest by what is sent to it", func() bool {
		_ = c.of("/").Emit("x", strings.Repeat("x", 4096))
		return len(c.own().ended()) > before
	})
}

func sio1XhrMultipart(c *env) {
	sid := c.Handshake1("")
	x := c.At(mount + "/1/xhr-multipart/" + sid)
	s := x.Stream("")
	m := regexp.MustCompile(`^multipart/x-mixed-replace;boundary="(socketio[A-Z0-9]{20,})"$`).FindStringSubmatch(s.Header.Get("Content-Type"))
	if m == nil {
		c.T.Fatalf("type %s", s.Header.Get("Content-Type"))
	}
	end := "--" + m[1] + "\r\n"
	part := func(text string) string {
		return "Content-Type: text/plain; charset=UTF-8\r\n\r\n" + text + "\r\n" + end
	}
	c.Want("head", s.Until(end), end)
	c.Want("session", s.Until(end), part(sid))
	c.Want("open", s.Until(end), part("1::"))
	evil := "3:::\r\n--socketio\r\nContent-Type: text/html\r\n\r\n<script>"
	c.Want("post", x.Must("POST", "", `5:::{"name":"echo","args":["`+strings.ReplaceAll(evil, "\r\n", `\r\n`)+`"]}`), "200 1")
	c.Want("echo", strings.Count(s.Until(end), "--"), 2)
	s.Close()
}

func sio1Flashsocket(c *env) {
	w, a := c.At(mount+"/1/flashsocket/"+c.Handshake1("")).Upgrade("", "")
	if w == nil {
		c.T.Fatalf("%v", a)
	}
	c.Want("open", w.Next(), "1::")
}

// ws1 attaches a websocket to a session of 0.9; the connect packet has come.
func (c *env) ws1(sid string) *wire.WS {
	c.T.Helper()
	w, a := c.At(mount+"/1/websocket/"+sid).Upgrade("", "")
	if w == nil {
		c.T.Fatalf("websocket: %v", a)
	}
	if got := w.Next(); got != "1::" {
		c.T.Fatalf("open: %s", got)
	}
	return w
}
