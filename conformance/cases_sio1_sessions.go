package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// sio1SessionCases are about sessions and packets of 0.9.
var sio1SessionCases = []testCase{
	{
		name: "sio1/dead-session",
		rule: "0.9: who has no session is told so in the form of the transport, and connects again",
		spec: "docs/protocol.md 10.3",
		all:  true,
		run:  sio1DeadSession,
	},
	{
		name: "sio1/post-first",
		rule: "0.9: a POST before the first GET is handled, and the connect packet is not lost",
		spec: "docs/protocol.md 10.5",
		run:  sio1PostFirst,
	},
	{
		name: "sio1/overlap",
		rule: "0.9: a newer poll replaces the one that waits, which gets a noop; a poll given up loses " +
			"nothing",
		spec: "docs/protocol.md 10.5",
		need: []string{clientGone},
		opts: sio1OverlapOptions,
		run:  sio1Overlap,
	},
	{
		name: "sio1/other-transport",
		rule: "0.9: the newest transport wins; no message comes twice",
		spec: "docs/protocol.md 10.5",
		run:  sio1OtherTransport,
	},
	{
		name: "sio1/disconnect",
		rule: "0.9: leaving by packet, by request, and being thrown out",
		spec: "Socket.IO 0.9: Forced socket disconnection; docs/protocol.md 10.6",
		run:  sio1Disconnect,
	},
	{
		name: "sio1/namespaces",
		rule: "0.9: endpoints, query, refusal; nothing reaches a namespace that is not joined",
		spec: "Socket.IO 0.9: (1) Connect; docs/protocol.md 10.6",
		run:  sio1Namespaces,
	},
	{
		name: "sio1/acks",
		rule: "0.9: a plain id is acked on arrival, one with a plus sign by the handler; the server " +
			"asks with a plus sign",
		spec: "Socket.IO 0.9: (6) ACK; docs/protocol.md 10.6",
		run:  sio1Acks,
	},
	{
		name: "sio1/malformed",
		rule: "0.9: malformed packets and payloads end the session and nobody else's",
		spec: "docs/protocol.md 10.6",
		run:  sio1Malformed,
	},
}

func sio1DeadSession(c *env) {
	dead := func(name string) *wire.Client { return c.At(mount + "/1/" + name + "/xxxxxxxxxxxxxxxxxxxx") }
	c.Want("xhr-polling", dead("xhr-polling").Must("GET", "", ""), "200 7:::1+0")
	c.Want("POST", dead("xhr-polling").Must("POST", "", `5:::{"name":"n","args":[1]}`), "200 1")
	c.Want("jsonp-polling", dead("jsonp-polling").Must("GET", "i=4", ""), `200 io.j[4]("7:::1+0");`)
	c.Want("htmlfile", dead("htmlfile").Must("GET", "", ""), "200 "+head09+strings.Repeat(" ", 173)+`<script>_("7:::1+0");</script>`)
	w, a := dead("websocket").Upgrade("", "")
	if w == nil {
		c.T.Fatalf("websocket: %v", a)
	}
	c.Want("websocket", w.Next(), "7:::1+0")
	w.End()
	c.Want("a session of another protocol", c.At(mount+"/1/xhr-polling/"+c.Polling().Open.SID).Must("GET", "", ""), "200 7:::1+0")
	c.Want("unknown transport", dead("carrier-pigeon").Must("GET", "", ""), "400 Transport unknown")
	c.Want("end of nothing", dead("xhr-polling").Must("GET", "disconnect=1", ""), "200 ")
	c.Want("nothing handled", len(c.handled()), 0)
}

func sio1PostFirst(c *env) {
	s := &wire.Session1{Client: c.At(mount + "/1/xhr-polling/" + c.Handshake1(""))}
	s.Send(`5:1+::{"name":"echo","args":["early"]}`)
	c.Want("connect", s.Next(), "1::")
	c.Want("ack", s.Next(), `6:::1+["early"]`)
}

func sio1OverlapOptions(o *sio.Options) {
	o.Legacy.PollDuration = 2 * time.Second
}

func sio1Overlap(c *env) {
	s := c.Polling1()
	older := s.Hold()
	c.holds()
	newer := s.Hold()
	c.Want("older", <-older, "200 8::")
	s.Send(`5:1+::{"name":"echo"}`)
	c.Want("newer", <-newer, "200 6:::1")
	// An answer that is on its way to somebody who leaves is lost with him; it
	// must not happen to one that had nothing to say yet.
	arrives := func(id int) bool {
		s.Abandon("")
		c.holds()
		s.Send(fmt.Sprintf(`5:%d+::{"name":"echo"}`, id))
		for range 2 {
			if a := s.Must("GET", "", ""); strings.Contains(a.Body, fmt.Sprintf("6:::%d", id)) {
				return true
			}
		}
		return false
	}
	if !arrives(2) && !arrives(3) && !arrives(4) {
		c.T.Error("what is sent after a poll was given up does not come to the next one")
	}
}

func sio1OtherTransport(c *env) {
	s := c.Polling1()
	held := s.Hold()
	c.holds()
	w, a := c.At(mount+"/1/websocket/"+s.SID).Upgrade("", "")
	if w == nil {
		c.T.Fatalf("%v", a)
	}
	c.Want("the poll", <-held, "200 8::")
	w.Send(`5:1+::{"name":"echo","args":["ws"]}`)
	c.Want("websocket", w.Next(), `6:::1+["ws"]`)
	newer, a := c.At(mount+"/1/websocket/"+s.SID).Upgrade("", "")
	if newer == nil {
		c.T.Fatalf("%v", a)
	}
	w.End()
	newer.Send(`5:2+::{"name":"echo","args":["newer"]}`)
	c.Want("newer websocket", newer.Next(), `6:::2+["newer"]`)
	c.Want("a POST does not take it back", s.Must("POST", "", "2::").Status, 400)
	held = s.Hold()
	newer.End()
	s.Must("POST", "", `5:3+::{"name":"echo","args":["poll"]}`)
	c.Want("polling again", <-held, `200 6:::3+["poll"]`)
	if c.Server != nil {
		c.Want("nobody ended", len(c.own().ended()), 0)
	}
}

func sio1Disconnect(c *env) {
	for i, path := range []string{"/1//%s/", "/1/xhr-polling/%s/", "/1/xhr-polling/%s"} {
		s := c.Polling1()
		held := s.Hold()
		c.holds()
		x := c.At(mount + fmt.Sprintf(path, s.SID))
		if i == 0 && x.Must("OPTIONS", "", "").Status/100 == 3 { // a router that makes one slash of two: clients follow
			x = c.At(mount + "/1/" + s.SID + "/")
		}
		c.Want("foreign page", x.Must("GET", "disconnect=1", "", "Origin", "https://evil.example").Status, 403)
		c.Want(path, x.Must("GET", "disconnect=1", ""), "200 ")
		c.Want("poll", <-held, "200 0::")
		c.reason(sio.ClientNamespace)
	}
	w := c.ws1(c.Handshake1(""))
	w.Send("0::")
	w.End()
	c.reason(sio.ClientNamespace)
	s := c.Polling1()
	s.Send(`5:::{"name":"kick","args":[true]}`)
	c.Want("thrown out", s.Next(), "0::")
	c.reason(sio.ServerNamespace)
	w = c.ws1(c.Handshake1(""))
	w.Send("1::/chat", `5:::{"name":"kick","args":[false]}`)
	c.Want("joined", w.Next(), "1::/chat")
	c.Want("thrown out of the default namespace", w.Next(), "0::")
	w.End() // and of everything
	s = c.Polling1()
	held := s.Hold()
	c.holds()
	s.Send(`5:::{"name":"drop"}`)
	c.Want("a poll of a session that the server drops fails", (<-held).Status, 503)
	c.ends(3) // with those of the websocket
	s = c.Polling1()
	s.Send(`5:::{"name":"drop"}`)
	c.ends(1)
	c.Want("and so does the next one", s.Must("GET", "", "").Status, 503)
}

func sio1Namespaces(c *env) {
	w := c.ws1(c.Handshake1(""))
	for _, row := range [][2]string{
		{"1::/chat", "1::/chat"},
		{`5:7+:/chat:{"name":"echo","args":["é"]}`, `6::/chat:7+["é"]`},
		{"1::/secret:?token=no", "7::/secret:2"},
		{`5:1+:/secret:{"name":"echo"}`, "7::/secret:1"},
		{`6::/secret:1`, "7::/secret:1"},
		{`5::/admin:{"name":"echo"}`, "7::/admin:1"},
		{"1::/nope", "7::/nope:2"},
		{"1::/secret:?a=b&token=letmein", "1::/secret"},
	} {
		w.Send(row[0])
		c.Want(row[0], w.Next(), row[1])
	}
	if got := w.Next(); !strings.HasPrefix(got, `5::/secret:{"name":"welcome"`) {
		c.T.Errorf("welcome: %s", got)
	}
	w.Send("0::/chat", `5::/chat:{"name":"echo"}`, `5:1+::{"name":"echo"}`)
	c.reason(sio.ClientNamespace)
	got := w.Next()
	if got == "7::/chat:1" { // whether it is told depends on who was quicker; handled it is not
		got = w.Next()
	}
	c.Want("the others live", got, "6:::1")
	w.Send(`5::/secret:{"name":"kick","args":[false]}`)
	c.Want("thrown out of one", w.Next(), "0::/secret")
	w.Send(`5:2+::{"name":"echo"}`)
	c.Want("the others live", w.Next(), "6:::2")
}

func sio1Acks(c *env) {
	w := c.ws1(c.Handshake1(""))
	w.Send(`5:1::{"name":"echo","args":["x"]}`)
	c.Want("plain", w.Next(), "6:::1")
	c.Want("then the handler", w.Next(), `5:::{"name":"echo","args":["x"]}`)
	w.Send("3:2::hello")
	c.Want("message", w.Next(), "6:::2")
	w.Send(`5:3+::{"name":"no such event"}`)
	c.Want("unknown event", w.Next(), `6:::3+[{"error":{"code":"refused","message":"event refused"}}]`)
	w.Send(`5:::{"name":"ask","args":["?"]}`)
	question := w.Next()
	id, ok := strings.CutSuffix(strings.TrimPrefix(question, "5:"), `+::{"name":"question","args":["?"]}`)
	c.Want("question "+question, ok, true)
	w.Send("6:::999999+[1]", `6:::`+id+`+["a+b",1]`)
	c.Want("answer", w.Next(), `5:::{"name":"answer","args":["a+b",1]}`)
	w.Send(`5:::{"name":"fail","args":["public"]}`)
	c.Want("an error without an ack", w.Next(), `5:::{"name":"error","args":["nope","not today"]}`)
}

func sio1Malformed(c *env) {
	for _, p := range []string{"9:::x", ":::", "5", "5:::", "5:1+", "5:99999999999999999999::{}", "99::", "4:::{", `5:::{"name":1}`, `5:::{"args":[]}`,
		`5:::{"name":"disconnect"}`, "6:::1+{}", "6:::x", "7:::1+0", "\ufffd5\ufffd3:::ab", "\ufffd-1\ufffd", "\ufffd5"} {
		w := c.ws1(c.Handshake1(""))
		w.Send(p)
		w.End()
	}
	s := c.Polling1()
	c.Want("payload", s.Must("POST", "", "\ufffd9\ufffd3:::a").Status, 400)
	c.Want("later", s.Must("GET", "", "").Status, 503)
	c.Alive()
}
