package conformance

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

const head09 = "<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>"

func init() {
	register(
		Case{Name: "sio1/handshake", Rule: "0.9: session, heartbeat timeout, close timeout and transports between colons", Spec: "legacy A3.1, A3.2; reliability V02", all: true, run: func(c *Context) {
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
		}},
		Case{Name: "sio1/handshake-index", all: true, Rule: "0.9: what is not the number of a callback is refused", Spec: "reliability J02", run: func(c *Context) {
			for _, n := range []string{"alert(1)", "-1", "", "1&jsonp=2", "٣"} {
				c.Want("J02 "+n, c.At(mount+"/1/").Must("GET", "jsonp="+n, "").Status, 400)
			}
		}},
		Case{Name: "sio1/handshake-origin", all: true, Rule: "0.9: a foreign page is refused in the form of the handshake", Spec: "legacy A3.1; reliability O", run: func(c *Context) {
			x := c.At(mount + "/1/")
			c.Want("bad origin", x.Must("GET", "", "", "Origin", "https://evil.example"), "403 handshake bad origin")
			c.Want("bad origin, jsonp", x.Must("GET", "jsonp=1", "", "Origin", "https://evil.example"), `200 io.j[1](new Error("handshake bad origin"));`)
		}},
		Case{Name: "sio1/strangers", Rule: "0.9 and Engine.IO do not take each other's requests", Spec: "reliability V14", run: func(c *Context) {
			c.Want("V14 version 4 on this path", c.At(mount+"/1/").Must("GET", q4, "").Status, 400)
			c.Want("V14 this path's session on version 4", c.Must("GET", q4+"&sid="+c.Handshake1(""), "").Status, 400)
		}},
		Case{Name: "sio1/expiry", slow: true, Rule: "0.9: a handshake that is never followed by anything is forgotten", Spec: "legacy A3.2; reliability V01", opts: short, run: func(c *Context) {
			c.Handshake1("")
			c.Want("sessions", c.server().Stats().Sessions, 1)
			for range 20 {
				c.Handshake1("")
			}
			c.Eventually("all forgotten", func() bool { return c.server().Stats().Sessions == 0 })
		}},
		Case{Name: "sio1/xhr-polling", slow: true, Rule: "0.9: the captured exchange of a poll and a POST", Spec: "legacy A4.2", run: func(c *Context) {
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
		}},
		Case{Name: "sio1/too-large", slow: true, Rule: "0.9: a body over the limit is refused, and nobody else notices", Spec: "reliability V04, P10", run: func(c *Context) {
			s := c.Polling1()
			c.Want("too large", s.Must("POST", "", strings.Repeat("x", 3<<20)).Status, 413)
			other := c.Polling1()
			other.Send(`5:1+::{"name":"echo","args":[1]}`)
			c.Want("another client", other.Next(), "6:::1+[1]")
		}},
		Case{Name: "sio1/poll-duration", slow: true, Rule: "0.9: a poll ends with a noop; the session, when no further poll comes", Spec: "legacy A3.6, A4.2", opts: short, run: func(c *Context) {
			s := c.Polling1()
			for range 8 { // longer than the close timeout
				c.Want("poll", s.Must("GET", "", ""), "200 8::")
			}
			s.Send(`5:1+::{"name":"echo"}`)
			c.Want("alive, and no heartbeats", s.Next(), "6:::1")
			c.reason(sio.PingTimeout)
			c.Want("later", s.Must("GET", "", ""), "200 7:::1+0")
		}},
		Case{Name: "sio1/heartbeat", slow: true, Rule: "0.9: the server sends heartbeats on websocket and htmlfile and gives a silent client up", Spec: "legacy A3.6; reliability V09", opts: short, run: func(c *Context) {
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
		}},
		Case{Name: "sio1/websocket", Rule: "0.9: one packet a message, a framed payload is accepted, binary is not", Spec: "legacy A4.1, A2.3", run: func(c *Context) {
			w := c.ws1(c.Handshake1(""))
			w.Send(`5:::{"name":"echo","args":[1]}`, wire.Frame1(`5:::{"name":"echo","args":[2]}`, `5:::{"name":"echo","args":["é😀"]}`))
			for _, want := range []string{"1", "2", `"é😀"`} {
				c.Want("echo", w.Next(), `5:::{"name":"echo","args":[`+want+`]}`)
			}
			c.Want("GET on the websocket", c.At(mount+"/1/websocket/"+c.Handshake1("")).Must("GET", "", "").Status, 400)
			w.SendBinary([]byte{1})
			w.End()
			c.Alive()
		}},
		Case{Name: "sio1/jsonp-polling", Rule: "0.9: io.j[i] called with a string, a JSON string in the field d", Spec: "legacy A4.3; reliability J02, J07", all: true, run: func(c *Context) {
			x := c.At(mount + "/1/jsonp-polling/" + c.Handshake1(""))
			a := x.Must("GET", "t=1&i=2", "")
			c.Want("open", a, `200 io.j[2]("1::");`)
			c.Want("type", a.Header.Get("Content-Type"), "text/javascript; charset=UTF-8")
			form := []string{"Content-Type", "application/x-www-form-urlencoded"}
			c.Want("post", x.Must("POST", "t=2&i=2", "d=%225%3A%3A%3A%7B%5C%22name%5C%22%3A%5C%22echo%5C%22%2C%5C%22args%5C%22%3A%5B%5C%22%3C%2Fscript%3E%E2%80%A8%5C%22%5D%7D%22", form...), "200 1")
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
		}},
		Case{Name: "sio1/htmlfile", Rule: "0.9: the bytes of a forever iframe", Spec: "legacy A4.4; reliability J05, J12", all: true, run: func(c *Context) {
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
			before := len(c.own().ended())
			gone.Close()
			c.Eventually("a client that leaves is noticed, at the latest by what is sent to it", func() bool {
				_ = c.server().Of("/").Emit("x", strings.Repeat("x", 4096))
				return len(c.own().ended()) > before
			})
		}},
		Case{Name: "sio1/xhr-multipart", Rule: "0.9: parts, the session id first; the boundary is not to be guessed", Spec: "legacy A4.5; reliability J10", all: true, run: func(c *Context) {
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
		}},
		Case{Name: "sio1/flashsocket", Rule: "a flashsocket is a websocket under another name", Spec: "legacy A4.6", all: true, run: func(c *Context) {
			w, a := c.At(mount+"/1/flashsocket/"+c.Handshake1("")).Upgrade("", "")
			if w == nil {
				c.T.Fatalf("%v", a)
			}
			c.Want("open", w.Next(), "1::")
		}},
		Case{Name: "sio1/dead-session", Rule: "0.9: who has no session is told so in the form of the transport, and connects again", Spec: "legacy A3.3", all: true, run: func(c *Context) {
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
		}},
		Case{Name: "sio1/post-first", Rule: "0.9: a POST before the first GET is handled, and the connect packet is not lost", Spec: "legacy A3.4, A10", run: func(c *Context) {
			s := &wire.Session1{Client: c.At(mount + "/1/xhr-polling/" + c.Handshake1(""))}
			s.Send(`5:1+::{"name":"echo","args":["early"]}`)
			c.Want("connect", s.Next(), "1::")
			c.Want("ack", s.Next(), `6:::1+["early"]`)
		}},
		Case{Name: "sio1/overlap", need: []Capability{ClientGone}, Rule: "0.9: a newer poll replaces the one that waits, which gets a noop; a poll given up loses nothing", Spec: "legacy A4.2, A10", opts: func(o *sio.Options) {
			o.PollDuration = 2 * time.Second
		}, run: func(c *Context) {
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
		}},
		Case{Name: "sio1/other-transport", Rule: "0.9: the newest transport wins; no message comes twice", Spec: "reliability V10", run: func(c *Context) {
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
		}},
		Case{Name: "sio1/disconnect", Rule: "0.9: leaving by packet, by request, and being thrown out", Spec: "legacy A3.1, A3.3, A5; reliability V12", run: func(c *Context) {
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
			s = c.Polling1()
			c.forget()
			s.Send(`5:::{"name":"drop"}`)
			c.ends()
			c.Want("and so does the next one", s.Must("GET", "", "").Status, 503)
		}},
		Case{Name: "sio1/namespaces", Rule: "0.9: endpoints, query, refusal; nothing reaches a namespace that is not joined", Spec: "legacy A2.1, A5; reliability V07", run: func(c *Context) {
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
		}},
		Case{Name: "sio1/acks", Rule: "0.9: a plain id is acked on arrival, one with a plus sign by the handler; the server asks with a plus sign", Spec: "legacy A2.1, A5", run: func(c *Context) {
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
		}},
		Case{Name: "sio1/malformed", Rule: "0.9: malformed packets and payloads end the session and nobody else's", Spec: "legacy A2.2; reliability V03, V04, V06, V08", run: func(c *Context) {
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
		}},
	)
}

// ws1 attaches a websocket to a session of 0.9; the connect packet has come.
func (c *Context) ws1(sid string) *wire.WS {
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
