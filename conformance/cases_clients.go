package conformance

import (
	"encoding/json"
	"strings"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// Clients that the Node servers serve although the protocol's text does not
// describe them.

var clientsCases = []testCase{
	{
		name: "clients/no-probe",
		rule: "an upgrade packet without a probe completes the upgrade: what was queued follows on the " +
			"websocket, a waiting poll ends with noop",
		spec: "docs/protocol.md 4.3",
		need: []string{webSocket},
		run:  noProbe,
	},
	{
		name: "clients/no-version",
		rule: "a client that names no version and asks for b64 is one of Engine.IO 3; a request with a " +
			"session is of the session's protocol",
		spec: "docs/protocol.md 2.2",
		need: []string{eio3},
		run:  noVersion,
	},
	{
		name: "clients/assumed",
		rule: "with Options.Legacy.AssumeEIO3 whoever names no version is of Engine.IO 3; whoever names " +
			"another one is refused",
		spec: "docs/protocol.md 2.2",
		need: []string{eio3},
		opts: func(o *sio.Options) { o.Legacy.AssumeEIO3 = true },
		run:  clientsAssumed,
	},
	{
		name: "clients/below-the-path-of-0.9",
		rule: "the query of Engine.IO 3 decides, whatever the path: also below the paths of 0.9",
		spec: "docs/protocol.md 2.2",
		need: []string{eio3},
		run:  belowOldPath,
	},
	{
		name: "clients/empty-sid",
		rule: "an empty sid is none",
		spec: "docs/protocol.md 2.2",
		run:  clientsEmptySid,
	},
	{
		name: "clients/0.9-transport-without-session",
		rule: "0.9: a request without a session is a handshake, whatever transport its path names; an " +
			"upgrade is refused",
		spec: "docs/protocol.md 10.1",
		need: []string{sio1},
		run:  clients09TransportWithoutSession,
	},
	{
		name: "clients/binary-payloads",
		rule: "an Engine.IO 3 client that polls as the official ones do and has not asked for b64 gets " +
			"every payload in the binary form, the only one that clients 1.0 to 1.3 read",
		spec: "Engine.IO 3: Payload; docs/protocol.md 3.5",
		need: []string{eio3},
		run:  binaryPayloads,
	},
	{
		name: "clients/payload-options",
		rule: "Options.Legacy.PollFraming decides about the form of payloads for everybody who has not asked " +
			"for b64",
		spec: "docs/protocol.md 3.5",
		need: []string{eio3},
		opts: func(o *sio.Options) { o.Legacy.PollFraming = "binary" },
		run:  clientsPayloadOptions,
	},
	{
		name: "clients/text-of-1.x-back",
		rule: "a client that has encoded text twice gets text beyond ASCII encoded twice where a " +
			"payload has the text form, and as it is in the binary form; on a websocket, encoded twice " +
			"once it has encoded twice there",
		spec: "docs/protocol.md 3.6",
		need: []string{eio3},
		run:  clientsTextOf1XBack,
	},
	{
		name: "clients/goodbye-crosses-poll",
		rule: "a poll that was sent before the request that says goodbye, and is served after it, ends " +
			"with noop; the session is over when the goodbye is answered",
		spec: "docs/protocol.md 3.3",
		run:  clientsGoodbyeCrossesPoll,
	},
	{
		name: "clients/other-methods",
		rule: "a method that opens no session is refused in the form of the dialect",
		spec: "docs/protocol.md 2.3",
		run:  clientsOtherMethods,
	},
}

func clientsAssumed(c *env) {
	a := c.Must("GET", "transport=polling", "")
	c.Want("polling", strings.Contains(a.Body, `:0{"sid"`), true)
	c.Want("EIO=5", c.Must("GET", "EIO=5&transport=polling", ""), `400 {"code":5,"message":"Unsupported protocol version"}`)
	c.Want("no transport", c.Must("GET", "", ""), `400 {"code":0,"message":"Transport unknown"}`)
	w, a := c.Upgrade("transport=websocket", "")
	if w == nil {
		c.T.Fatalf("websocket: %v", a)
	}
	w.NoPong = true
	c.Want("open", w.Next()[:2], "0{")
	c.Want("connect", w.Next(), "40")
}

func clientsEmptySid(c *env) {
	for _, q := range []string{q4 + "&sid=", "EIO=3&transport=polling&sid=&b64=1"} {
		a := c.Must("GET", q, "")
		c.Want(q, strings.Contains(a.Body, `0{"sid":"`), true)
	}
	c.Want("POST", c.Must("POST", q4+"&sid=", ""), `400 {"code":2,"message":"Bad handshake method"}`)
}

func clients09TransportWithoutSession(c *env) {
	for _, path := range []string{"/1/xhr-polling/", "/1/xhr-polling", "/1/websocket/", "/1/jsonp-polling/"} {
		for _, method := range []string{"GET", "POST"} {
			sid, rest, _ := strings.Cut(c.At(mount+path).Must(method, "t=1", "").Body, ":")
			c.Want(method+" "+path+" offers", strings.HasPrefix(rest, "20:60:"), true)
			c.Want("its session", c.At(mount+"/1/xhr-polling/"+sid).Must("GET", "", ""), "200 1::")
		}
	}
	w, a := c.At(mount+"/1/websocket/").Upgrade("", "")
	c.Want("upgrade", w == nil && a.Status == 400, true)
}

func clientsPayloadOptions(c *env) {
	c.Want("binary", c.Must("GET", "EIO=3&transport=polling", "").Header.Get("Content-Type"), "application/octet-stream")
	c.Want("b64", c.Must("GET", "EIO=3&transport=polling&b64=1", "").Header.Get("Content-Type"), "text/plain; charset=UTF-8")
	c.Want("Engine.IO 4", c.Must("GET", q4+"&t=1", "").Header.Get("Content-Type"), "text/plain; charset=UTF-8")
}

func clientsTextOf1XBack(c *env) {
	const say = `40/é€,` // comes back in an answer that is not JSON
	const back = `44/é€,{"message":"Invalid namespace"}`
	old := c.Polling3("b64=1")
	c.Want("connect", old.Next(), "40")
	old.Post(twice(say))
	c.Want("encoded twice", old.Get().Body, wire.Frame3(twice(back)))
	old.Post(say)
	c.Want("after proof that the client encodes once", old.Get().Body, wire.Frame3(back))
	now := c.Polling3("b64=1")
	c.Want("connect", now.Next(), "40")
	now.Post(say)
	c.Want("encoded once", now.Get().Body, wire.Frame3(back))
	bin := c.Must("GET", "EIO=3&transport=polling&t=1", "")
	q := "EIO=3&transport=polling&sid=" + open3(c, bin.Body).SID
	if !strings.HasSuffix(bin.Body, binary3("40")) {
		c.Want("connect", c.Must("GET", q, "").Body, binary3("40"))
	}
	c.Must("POST", q, wire.Frame3(twice(say)))
	c.Want("binary form", c.Must("GET", q, "").Body, binary3(back))
	for _, row := range []struct{ what, say, back string }{
		{"websocket, encoded twice", twice(say), twice(back)},
		{"websocket, encoded once", say, back},
	} {
		w, a := c.Upgrade(w3, "")
		if w == nil {
			c.T.Fatalf("websocket: %v", a)
		}
		w.NoPong = true
		c.Want("open", w.Next()[:2], "0{")
		c.Want("connect", w.Next(), "40")
		w.Send(row.say)
		c.Want(row.what, w.Next(), row.back)
	}
	up := c.Polling3("b64=1") // clients of 1.1 and later encode twice while they poll alone
	c.Want("connect", up.Next(), "40")
	up.Post(twice(say))
	c.Want("before the upgrade", up.Next(), twice(back))
	w, a := c.Upgrade(w3+"&sid="+up.Open.SID, "")
	if w == nil {
		c.T.Fatalf("upgrade: %v", a)
	}
	w.NoPong = true
	w.Send("5", say)
	c.Want("after the upgrade", w.Next(), back)
}

func clientsGoodbyeCrossesPoll(c *env) {
	for range 20 { // which of the two is served first is a matter of luck
		for _, row := range []struct{ query, close, noop string }{
			{c.Polling().Query(), "1", "200 6"}, {c.Polling3("b64=1").Query(), "1:1", "200 1:6"},
		} {
			said := async(func() wire.Answer { return c.Must("POST", row.query, row.close) })
			c.Want("poll", c.Must("GET", row.query, ""), row.noop)
			c.Want("goodbye", <-said, "200 ok")
			c.Want("later", c.Must("GET", row.query, "").Status, 400)
		}
	}
}

func clientsOtherMethods(c *env) {
	for _, method := range []string{"HEAD", "OPTIONS", "DELETE"} {
		body := `{"code":2,"message":"Bad handshake method"}`
		old := "Bad handshake method"
		if method == "HEAD" {
			body, old = "", ""
		}
		c.Want(method+" Engine.IO 4", c.Must(method, q4, ""), "400 "+body)
		c.Want(method+" Engine.IO 3", c.Must(method, "EIO=3&transport=polling", ""), "400 "+body)
		c.Want(method+" 0.9", c.At(mount+"/1/").Must(method, "", ""), "400 "+old)
	}
}

// twice is text as clients of 1.x send it: its UTF-8 bytes as characters.
func twice(s string) string {
	var r []rune
	for _, b := range []byte(s) {
		r = append(r, rune(b))
	}
	return string(r)
}

// binary3 is the binary form of a payload of texts.
func binary3(packets ...string) string {
	var b strings.Builder
	for _, p := range packets {
		b.WriteByte(0)
		for n, d := len(p), 1000; d > 0; d /= 10 {
			if n >= d {
				b.WriteByte(byte(n / d % 10))
			}
		}
		b.WriteString("\xff" + p)
	}
	return b.String()
}

// open3 finds the open packet in a payload of any form.
func open3(c *env, body string) (o wire.Open) {
	c.T.Helper()
	i := strings.IndexByte(body, '{')
	if i < 0 || json.NewDecoder(strings.NewReader(body[i:])).Decode(&o) != nil {
		c.T.Fatalf("no open packet: %q", body)
	}
	return o
}

func noProbe(c *env) {
	for _, held := range []bool{false, true} {
		s := c.Polling()
		s.Join("")
		var wait <-chan wire.Answer
		if held {
			wait = s.Hold()
			c.holds()
		} else {
			s.Post(`42["echo","queued"]`)
		}
		w := s.Probe()
		w.Send("5", `42["echo","after"]`)
		if held {
			c.Want("the poll that waits", <-wait, "200 6")
		} else {
			c.Want("queued before", w.Next(), `42["echo","queued"]`)
		}
		c.Want("on the websocket", w.Next(), `42["echo","after"]`)
		c.Want("polling afterwards", s.Get().Status, 400)
	}
	if c.run.lacks[eio3] != "" {
		return
	}
	s := c.Polling3()
	c.Want("connect", s.Next(), "40")
	s.Post(`42["echo","queued"]`)
	w, a := c.Upgrade(w3+"&sid="+s.Open.SID, "")
	if w == nil {
		c.T.Fatalf("websocket: %v", a)
	}
	w.NoPong = true
	w.Send("5", `42["echo","after"]`)
	c.Want("Engine.IO 3, queued before", w.Next(), `42["echo","queued"]`)
	c.Want("Engine.IO 3", w.Next(), `42["echo","after"]`)
}

func noVersion(c *env) {
	const wrong = `400 {"code":5,"message":"Unsupported protocol version"}`
	a := c.Must("GET", "transport=polling&b64=1", "")
	sid := open3(c, a.Body).SID
	if !strings.Contains(a.Body, `:0{"sid"`) {
		c.T.Fatalf("handshake: %v", a)
	}
	if !strings.HasSuffix(a.Body, "2:40") {
		c.Want("connect", c.Must("GET", "transport=polling&sid="+sid, ""), "200 2:40")
	}
	c.Want("POST", c.Must("POST", "transport=polling&b64=1&sid="+sid, wire.Frame3(`42["echo",1]`)), "200 ok")
	c.Want("poll", c.Must("GET", "transport=polling&b64=1&sid="+sid, ""), "200 "+wire.Frame3(`42["echo",1]`))
	s := c.Polling()
	s.Join("")
	c.Want("a session of Engine.IO 4", c.Must("POST", "transport=polling&sid="+s.Open.SID, `42["echo",1]`), "200 ok")
	c.Want("its poll", c.Must("GET", "transport=polling&b64=1&sid="+s.Open.SID, ""), `200 42["echo",1]`)
	c.Want("the wrong version with its session", c.Must("GET", "EIO=3&transport=polling&sid="+s.Open.SID, "").Status, 400)
	c.Want("an unknown session", c.Must("GET", "transport=polling&sid=xxxxxxxxxxxxxxxxxxxx", ""),
		`400 {"code":1,"message":"Session ID unknown"}`)
	c.Want("neither", c.Must("GET", "transport=polling", ""), wrong)
	c.Want("a session of 0.9", c.Must("GET", "transport=polling&sid="+c.Handshake1(""), "").Status, 400)
	if c.run.lacks[webSocket] != "" {
		return
	}
	w, a := c.Upgrade("transport=websocket", "")
	c.Want("websocket", w == nil && a.String() == wrong, true)
	w, a = c.Upgrade("transport=websocket&sid="+sid, "")
	if w == nil {
		c.T.Fatalf("upgrade: %v", a)
	}
	w.NoPong = true
	w.Send("2probe")
	c.Want("probe", w.Next(), "3probe")
	w.Send("5", `42["echo",2]`)
	c.Want("upgraded", w.Next(), `42["echo",2]`)
}

func belowOldPath(c *env) {
	a0 := c.At(mount+"/1/").Must("GET", "EIO=2&transport=polling&b64=true", "")
	sid := open3(c, a0.Body).SID
	c.Want("0.9 without the query", c.At(mount+"/1/").Must("GET", "", "").Body[:2] != "0{", true)
	c.Want("POST", c.At(mount+"/1/").Must("POST", "EIO=2&transport=polling&sid="+sid, wire.Frame3(`42["echo",1]`)), "200 ok")
	if c.run.lacks[webSocket] != "" {
		return
	}
	w, a := c.At(mount+"/1/websocket/").Upgrade("EIO=2&transport=websocket&sid="+sid, "")
	if w == nil {
		c.T.Fatalf("websocket: %v", a)
	}
	w.NoPong = true
	w.Send("5", "40", `42["echo",2]`)
	if !strings.HasSuffix(a0.Body, "2:40") {
		c.Want("connect", w.Next(), "40")
	}
	c.Want("queued before", w.Next(), `42["echo",1]`)
	c.Want("on the websocket", w.Next(), `42["echo",2]`)
}

func binaryPayloads(c *env) {
	for _, q := range []string{"EIO=3&transport=polling&t=1463-0", "EIO=2&transport=polling&t=1463-1"} {
		get := func(more string) wire.Answer { return c.Must("GET", q+more, "") }
		a := get("")
		c.Want("type of the handshake", a.Header.Get("Content-Type"), "application/octet-stream")
		c.Want("a text", a.Body[:1], "\x00")
		o := open3(c, a.Body)
		if !strings.HasSuffix(a.Body, binary3("40")) {
			c.Want("connect", get("&sid="+o.SID).Body, binary3("40"))
		}
		// The text form is read all the same.
		c.Want("POST", c.Must("POST", q+"&sid="+o.SID, wire.Frame3(`42["echo",1]`)), "200 ok")
		c.Want("echo", get("&sid="+o.SID).Body, binary3(`42["echo",1]`))
		// A poll without the parameter is one of the same session.
		c.Want("POST",
			c.Must("POST", "EIO=3&transport=polling&sid="+o.SID, binary3(`42["echo","é"]`), "Content-Type", "application/octet-stream"),
			"200 ok")
		c.Want("binary both ways", c.Must("GET", "EIO=3&transport=polling&sid="+o.SID, "").Body, binary3(`42["echo","\u00e9"]`))
	}
	c.Want("b64", c.Must("GET", "EIO=3&transport=polling&t=1&b64=1", "").Header.Get("Content-Type"), "text/plain; charset=UTF-8")
	c.Want("without t", c.Must("GET", "EIO=3&transport=polling", "").Header.Get("Content-Type"), "text/plain; charset=UTF-8")
}
