package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

const (
	q4 = "EIO=4&transport=polling"
	w4 = "EIO=4&transport=websocket"
)

func init() {
	register(
		Case{Name: "routing/slash", Rule: "the mount point with a trailing slash is served", Spec: "bridge 1.1", run: func(c *Context) {
			c.Want("status", c.Must("GET", q4, "").Status, 200)
		}},
		Case{Name: "routing/no-slash", Rule: "the mount point without a trailing slash is served, and upgraded, without a redirect", Spec: "bridge 1.1", run: func(c *Context) {
			c.Client.Path = mount
			c.Want("status", c.Must("GET", q4, "").Status, 200)
			c.Join("")
		}},
		Case{Name: "routing/below", Rule: "paths below the mount point are served", Spec: "protocol 2.1", run: func(c *Context) {
			c.Client.Path = mount + "/1/"
			c.Want("status", c.Must("GET", q4, "").Status, 200)
		}},
		Case{Name: "routing/sibling", Rule: "a path that merely begins alike is not captured", Spec: "bridge 1.1", run: func(c *Context) {
			c.Client.Path = mount + "x/"
			c.Want("status", c.Must("GET", q4, "").Status, 404)
		}},
		Case{Name: "routing/other-routes", Rule: "the host's other routes still work", Spec: "bridge 6", run: func(c *Context) {
			c.Client.Path = "/plain"
			c.Want("answer", c.Must("GET", "", ""), "200 ok")
		}},
		Case{Name: "handshake/open-packet", Rule: "status, headers and the fields of the open packet in their order", Spec: "protocol 2.2", run: openPacket},
		Case{Name: "handshake/websocket", Rule: "over a websocket the open packet is the first frame and offers no upgrade", Spec: "protocol 2.2", run: func(c *Context) {
			w, o := c.WebSocket()
			c.Want("upgrades", o.Upgrades, []string{})
			c.Want("maxPayload", o.MaxPayload, 2<<20)
			w.Send("40")
			if got := w.Next(); !strings.HasPrefix(got, `40{"sid":"`) {
				c.T.Errorf("connect: %s", got)
			}
		}},
		Case{Name: "handshake/sid-is-secret", Rule: "session and socket ids are different, random and 160 bits", Spec: "reliability E19, N18", run: func(c *Context) {
			seen := map[string]bool{}
			for range 50 {
				s := c.Polling()
				id := s.Join("")
				if len(s.Open.SID) < 27 || seen[s.Open.SID] || strings.Contains(id, s.Open.SID) {
					c.T.Fatalf("sid %q, socket %q", s.Open.SID, id)
				}
				seen[s.Open.SID] = true
			}
		}},
		Case{Name: "errors/table", Rule: "every refused request gets its code", Spec: "protocol 2.11, reliability a1", run: errorTable},
		Case{Name: "errors/upgrade-table", Rule: "every refused upgrade gets an HTTP answer, never a 101", Spec: "reliability a1, RFC 6455 4.2", run: upgradeTable},
		Case{Name: "origin/same", Rule: "pages of the same origin are served, all others refused alike on GET, POST and upgrade", Spec: "reliability a9", run: origins},
		Case{Name: "origin/listed", Rule: "a listed origin is echoed with Vary, a foreign preflight gets no header", Spec: "reliability H15, O05, O07",
			opts: func(o *sio.Options) { o.Origins = []string{"https://app.example.com", "https://*.example.org"} }, run: listedOrigins},
		Case{Name: "origin/any", Rule: "the star admits every page without credentials", Spec: "protocol 2.12, reliability O06",
			opts: func(o *sio.Options) { o.Origins = []string{"*"} }, run: func(c *Context) {
				a := c.Must("GET", q4, "", "Origin", "https://elsewhere.example")
				c.Want("status", a.Status, 200)
				c.Want("origin", a.Header.Get("Access-Control-Allow-Origin"), "*")
				c.Want("credentials", a.Header.Get("Access-Control-Allow-Credentials"), "")
				a = c.Must("GET", q4+"&sid=unknown", "", "Origin", "https://elsewhere.example")
				c.Want("on an error too", a.Header.Get("Access-Control-Allow-Origin"), "*")
			}},
		Case{Name: "polling/held", Rule: "a poll waits and is answered by an emit", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			held := s.Hold()
			s.Post(`42["echo",1,"é€😀"]`)
			c.Want("poll", <-held, `200 42["echo",1,"é€😀"]`)
		}},
		Case{Name: "polling/post", Rule: "a POST is answered ok as text/html", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			a := s.Post("40")
			c.Want("answer", a, "200 ok")
			c.Want("content type", strings.Split(a.Header.Get("Content-Type"), ";")[0], "text/html")
			c.Want("length", a.Header.Get("Content-Length"), "2")
		}},
		Case{Name: "polling/batch", Rule: "packets of one payload are separated by 0x1e, binary is base64 without a digit", Spec: "protocol 2.4", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			s.Post("42[\"echo\",1]\x1e42[\"echo\",2]\x1e451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebAQIDBA==")
			c.Want("packets", fmt.Sprintf("%q", s.Packets(4)), fmt.Sprintf("%q", []string{`42["echo",1]`, `42["echo",2]`, `451-["echo",{"_placeholder":true,"num":0}]`, "bAQIDBA=="}))
		}},
		Case{Name: "polling/order", Rule: "1 000 messages arrive in order", Spec: "bridge 6", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			s.Post(`42["burst",1000]`)
			for i, p := range s.Packets(1000) {
				if want := fmt.Sprintf(`42["item",%d]`, i); p != want {
					c.T.Fatalf("packet %d is %s", i, p)
				}
			}
		}},
		Case{Name: "polling/overlapping-get", Rule: "a second poll gets 400 and closes the session, the first gets close", Spec: "protocol 2.5, reliability P16", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			held := s.Hold()
			c.holds(s)
			c.Want("second", s.Get().Status, 400)
			c.Want("first", <-held, "200 1")
			c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
			c.reason(sio.TransportError)
		}},
		Case{Name: "polling/abort", Rule: "a poll that its client gives up ends the session", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = s.Do(ctx, "GET", s.Query(), "")
			}()
			c.holds(s)
			cancel()
			<-done
			c.reason(sio.TransportError)
			c.Want("later", s.Get().Status, 400)
		}},
		Case{Name: "polling/close-by-client", Rule: "a close packet ends the waiting poll with noop and the session", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			held := s.Hold()
			c.holds(s)
			c.Want("post", s.Post("1"), "200 ok")
			c.Want("poll", <-held, "200 6")
			c.reason(sio.TransportClose)
			c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
		}},
		Case{Name: "polling/close-after-units", Rule: "packets before a close packet are handled, those behind it are not", Spec: "reliability P25", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			s.Post("42[\"n\",1]\x1e42[\"n\",2]\x1e1\x1e42[\"n\",3]")
			c.reason(sio.TransportClose)
			for _, n := range c.app.handled() {
				if n == 3 {
					c.T.Error("a packet behind the close was handled")
				}
			}
		}},
		Case{Name: "polling/kick-while-waiting", Rule: "disconnect(true) while a poll waits: 41, then noop and close, then unknown", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			held := s.Hold()
			c.holds(s)
			s.Post(`42["kick",true]`)
			c.Want("waiting", <-held, "200 41")
			c.Want("next", s.Get(), "200 6\x1e1")
			c.Want("later", s.Get().Status, 400)
			c.reason(sio.ServerNamespace)
		}},
		Case{Name: "polling/kick-without-poll", Rule: "disconnect(true) while no poll waits: the next gets 41, the one after noop and close", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			s.Post(`42["kick",true]`)
			c.reason(sio.ServerNamespace)
			c.Want("next", s.Get(), "200 41")
			c.Want("after", s.Get(), "200 6\x1e1")
			c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
		}},
		Case{Name: "polling/closed-without-poll", Rule: "a close with nothing to send is told to the next poll", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			s.Post("41{}")
			c.reason(sio.ForcedClose)
			c.Want("post", s.Post("3"), `400 {"code":1,"message":"Session ID unknown"}`)
			c.Want("next", s.Get(), "200 6\x1e1")
			c.Want("later", s.Get().Status, 400)
		}},
		Case{Name: "polling/overlapping-post", Rule: "a second POST while one is being read gets 400 and ends the session", Spec: "protocol 2.5, reliability P15", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			pr, pw := io.Pipe()
			first := c.slowPost(s, context.Background(), pr)
			_, _ = pw.Write([]byte(`42["n",1]`))
			c.holds(s)
			c.Want("second", s.Post(`42["n",2]`).Status, 400)
			_ = pw.Close()
			<-first
			c.reason(sio.TransportError)
			c.Want("nothing handled", len(c.app.handled()), 0)
		}},
		Case{Name: "polling/aborted-post", Rule: "a POST that ends early delivers nothing and ends the session", Spec: "protocol 2.5, reliability P14", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			ctx, cancel := context.WithCancel(context.Background())
			pr, pw := io.Pipe()
			first := c.slowPost(s, ctx, pr)
			_, _ = pw.Write([]byte(`42["n",1]`))
			c.holds(s)
			cancel()
			_ = pw.CloseWithError(context.Canceled)
			<-first
			c.reason(sio.TransportError)
			c.Want("nothing handled", len(c.app.handled()), 0)
		}},
		Case{Name: "polling/too-large", Rule: "a body over the limit gets 413 and ends the session", Spec: "reliability P10, P11, (g) 413", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			a := s.Post("4" + strings.Repeat("x", 2<<20))
			c.Want("status", a.Status, 413)
			c.reason(sio.TransportError)
			c.Alive()
		}},
		Case{Name: "polling/bad-payload", Rule: "a malformed payload gets 400 and ends the session", Spec: "reliability P01-P09, (g) malformed polling body", run: badPayloads},
		Case{Name: "polling/other-methods", Rule: "other methods get 405 with Allow and change nothing", Spec: "reliability H14, H16, (g) DELETE", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			for _, m := range []string{"PUT", "DELETE", "PATCH", "HEAD"} {
				a := c.Must(m, s.Query(), "")
				c.Want(m, a.Status, 405)
				c.Want(m+" Allow", a.Header.Get("Allow"), "GET, POST")
			}
			s.Post(`42["echo",1]`)
			c.Want("still served", s.Packets(1)[0], `42["echo",1]`)
		}},
		Case{Name: "heartbeat/ping-pong", Rule: "the server pings after the interval, a pong keeps the session", Spec: "protocol 2.10",
			opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = 200*time.Millisecond, 2*time.Second }, run: func(c *Context) {
				w := c.Join("")
				w.NoPong = true
				for range 3 {
					c.Want("ping", w.Next(), "2")
					w.Send("3")
				}
				s := c.Polling()
				c.Want("poll", s.Get(), "200 2")
			}},
		Case{Name: "heartbeat/timeout", Rule: "a client that does not answer is disconnected", Spec: "protocol 2.10",
			opts: func(o *sio.Options) { o.PingInterval, o.PingTimeout = 200*time.Millisecond, 200*time.Millisecond }, run: func(c *Context) {
				w := c.Join("")
				w.NoPong = true
				from := time.Now()
				w.End()
				if d := time.Since(from); d < 390*time.Millisecond {
					c.T.Errorf("closed after %v", d)
				}
				c.reason(sio.PingTimeout)
			}},
		Case{Name: "heartbeat/connect-timeout", Rule: "a client that joins no namespace is disconnected", Spec: "protocol 2.1",
			opts: func(o *sio.Options) { o.ConnectTimeout = 200 * time.Millisecond }, run: func(c *Context) {
				w, _ := c.WebSocket()
				w.End()
				s := c.Polling()
				c.Want("poll", s.Get(), "200 1")
			}},
		Case{Name: "websocket/big", Rule: "a message of 1 MB in either direction", Spec: "bridge 6", run: func(c *Context) {
			w := c.Join("")
			big := `42["echo","` + strings.Repeat("x", 1<<20) + `"]`
			w.Send(big)
			if got := w.Next(); got != big {
				c.T.Errorf("got %d bytes", len(got))
			}
			w.Send(`42["echo",1]`)
			c.Want("then", w.Next(), `42["echo",1]`)
		}},
		Case{Name: "websocket/early-bytes", Rule: "frames in the same segment as the handshake are handled", Spec: "reliability W23", run: func(c *Context) {
			w, a := c.Upgrade(w4, string(wire.Frame(0x81, []byte("40"))))
			if w == nil {
				c.T.Fatal(a)
			}
			w.Next()
			if got := w.Next(); !strings.HasPrefix(got, `40{"sid"`) {
				c.T.Errorf("connect: %s", got)
			}
		}},
		Case{Name: "websocket/frames", Rule: "fragments, pings, byte by byte: all legal forms of a message", Spec: "RFC 6455 5", run: legalFrames},
		Case{Name: "websocket/bad-frames", Rule: "a frame against the rules closes with its code, and nobody else notices", Spec: "reliability W01-W11", run: badFrames},
		Case{Name: "websocket/reset", Rule: "a reset, also in the middle of a frame, delivers no half message", Spec: "reliability W17, W18", run: func(c *Context) {
			w := c.Join("")
			_ = w.Raw(wire.Frame(0x81, []byte(`42["n",1]`)))
			_ = w.Raw(wire.Frame(0x01, []byte(`42["n",2]`))) // unfinished
			f := wire.Frame(0x80, []byte(`,3`))
			_ = w.Raw(f[:len(f)-1])
			c.Eventually("the first message", func() bool { return len(c.app.handled()) == 1 })
			w.Reset()
			c.Eventually("the end", func() bool { return len(c.app.ended()) == 1 })
			c.Want("handled", c.app.handled(), []int{1})
		}},
		Case{Name: "websocket/close-codes", Rule: "the client's close is answered, the server's kick closes 1000", Spec: "RFC 6455 5.5.1", run: func(c *Context) {
			w := c.Join("")
			_ = w.Raw(wire.Frame(0x88, []byte{0x03, 0xe8}))
			c.Want("answer", w.End().Code, 1000)
			c.reason(sio.TransportClose)
			w = c.Join("")
			w.Send(`42["kick",true]`)
			c.Want("kick", w.Next(), "41")
			c.Want("close", w.End().Code, 1000)
		}},
		Case{Name: "websocket/cookies-on-101", Rule: "headers of the host survive on the 101", Spec: "bridge 1.3", run: func(c *Context) {
			w, a := c.Upgrade(w4, "")
			if w == nil {
				c.T.Fatal(a)
			}
			c.Want("cookie", w.Head.Get("Set-Cookie"), "host=1")
		}},
	)
}

// reason waits for the end of one socket and checks why it ended.
func (c *Context) reason(want sio.Reason) {
	c.T.Helper()
	c.Eventually("the disconnect", func() bool { return len(c.app.ended()) > 0 })
	got := c.app.ended()
	c.Want("reasons", got, []sio.Reason{want})
	c.app.mu.Lock()
	c.app.reasons = nil
	c.app.mu.Unlock()
}

// holds gives a request that was just sent the time to arrive and be held:
// nothing tells that from outside. A case that is too early for it fails, it
// does not pass.
func (c *Context) holds(*wire.Session) { time.Sleep(50 * time.Millisecond) }

// slowPost sends a POST whose body comes piece by piece.
func (c *Context) slowPost(s *wire.Session, ctx context.Context, body io.Reader) <-chan struct{} {
	done := make(chan struct{})
	req, err := http.NewRequestWithContext(ctx, "POST", c.Base+c.Path+"?"+s.Query(), body)
	if err != nil {
		c.T.Fatal(err)
	}
	go func() {
		defer close(done)
		if resp, err := c.HTTP.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	return done
}

func openPacket(c *Context) {
	a := c.Must("GET", q4, "")
	sid, rest, _ := strings.Cut(strings.TrimPrefix(a.Body, `0{"sid":"`), `"`)
	if len(sid) != 27 {
		c.T.Errorf("sid %q", sid)
	}
	c.Want("fields", rest, `,"upgrades":["websocket"],"pingInterval":10000,"pingTimeout":10000,"maxPayload":2097152}`)
	c.Want("status", a.Status, 200)
	c.Want("content type", strings.ToLower(a.Header.Get("Content-Type")), "text/plain; charset=utf-8")
	c.Want("cache", a.Header.Get("Cache-Control"), "no-store")
	c.Want("length", a.Header.Get("Content-Length"), len(a.Body))
	c.Want("cors", a.Header.Get("Access-Control-Allow-Origin"), "")
}

func errorTable(c *Context) {
	s := c.Polling()
	unknown := "xxxxxxxxxxxxxxxxxxxx"
	for _, row := range []struct{ id, method, query, want string }{
		{"H01 no transport", "GET", "EIO=4", `400 {"code":0,"message":"Transport unknown"}`},
		{"H02 inherited name", "GET", "EIO=4&transport=constructor", `400 {"code":0,"message":"Transport unknown"}`},
		{"H03 proto", "GET", "EIO=4&transport=__proto__", `400 {"code":0,"message":"Transport unknown"}`},
		{"H05 websocket without upgrade", "GET", w4, `400 {"code":3,"message":"Bad request"}`},
		{"H06 poll of websocket transport", "GET", w4 + "&sid=" + s.Open.SID, `400 {"code":3,"message":"Bad request"}`},
		{"H07 array", "GET", "EIO=4&transport[]=polling", `400 {"code":0,"message":"Transport unknown"}`},
		{"H07 empty", "GET", "EIO=4&transport=", `400 {"code":0,"message":"Transport unknown"}`},
		{"H08 transport twice", "GET", "EIO=4&transport=websocket&transport=polling", `400 {"code":3,"message":"Bad request"}`},
		{"H08 sid twice", "GET", q4 + "&sid=a&sid=b", `400 {"code":3,"message":"Bad request"}`},
		{"H09 version 5", "GET", "EIO=5&transport=polling", `400 {"code":5,"message":"Unsupported protocol version"}`},
		{"H09 version -1", "GET", "EIO=-1&transport=polling", `400 {"code":5,"message":"Unsupported protocol version"}`},
		{"H09 no version", "GET", "transport=polling", `400 {"code":5,"message":"Unsupported protocol version"}`},
		{"H09 nothing", "GET", "", `400 {"code":0,"message":"Transport unknown"}`},
		{"H11 unknown sid, GET", "GET", q4 + "&sid=" + unknown, `400 {"code":1,"message":"Session ID unknown"}`},
		{"H11 unknown sid, POST", "POST", q4 + "&sid=" + unknown, `400 {"code":1,"message":"Session ID unknown"}`},
		{"H12 proto", "GET", q4 + "&sid=__proto__", `400 {"code":1,"message":"Session ID unknown"}`},
		{"H12 script", "GET", q4 + "&sid=%3Cscript%3E", `400 {"code":1,"message":"Session ID unknown"}`},
		{"H12 not UTF-8", "GET", q4 + "&sid=%ff%fe", `400 {"code":1,"message":"Session ID unknown"}`},
		{"H12 header injection", "GET", q4 + "&sid=a%0d%0aX:1", `400 {"code":1,"message":"Session ID unknown"}`},
		{"H12 empty", "GET", q4 + "&sid=", `400 {"code":1,"message":"Session ID unknown"}`},
		{"H12 long", "GET", q4 + "&sid=" + strings.Repeat("a", 2000), `400 {"code":1,"message":"Session ID unknown"}`},
		{"H13 POST without sid", "POST", q4, `400 {"code":2,"message":"Bad handshake method"}`},
		{"H13 PUT without sid", "PUT", q4, `400 {"code":2,"message":"Bad handshake method"}`},
		{"H15 OPTIONS without CORS", "OPTIONS", q4, `400 {"code":2,"message":"Bad handshake method"}`},
	} {
		a := c.Must(row.method, row.query, "")
		c.Want(row.id, a, row.want)
		c.Want(row.id+" type", strings.Split(a.Header.Get("Content-Type"), ";")[0], "application/json")
	}
	c.Want("the session between them", s.Join("")[:3], "40{")
}

func upgradeTable(c *Context) {
	s := c.Polling()
	for _, row := range []struct {
		id, query string
		status    int
		head      []string
	}{
		{"H04 polling", q4, 400, nil},
		{"H03 proto", "EIO=4&transport=__proto__", 400, nil},
		{"H09 version 3", "EIO=3&transport=websocket", 400, nil},
		{"H11 unknown sid", w4 + "&sid=xxxxxxxxxxxxxxxxxxxx", 400, nil},
		{"H31 no key", w4, 400, []string{"Sec-Websocket-Key", ""}},
		{"H31 short key", w4, 400, []string{"Sec-Websocket-Key", "c2hvcnQ="}},
		{"H31 version 8", w4, 426, []string{"Sec-Websocket-Version", "8"}},
		{"H31 no version", w4, 400, []string{"Sec-Websocket-Version", ""}},
		{"polling session, polling transport", q4 + "&sid=" + s.Open.SID, 400, nil},
	} {
		w, a := c.Upgrade(row.query, "", row.head...)
		if w != nil {
			c.T.Errorf("%s: upgraded", row.id)
			continue
		}
		c.Want(row.id, a.Status, row.status)
	}
	w, a := c.Upgrade(w4, "", "Connection", "keep-alive, Upgrade")
	if w == nil {
		c.T.Errorf("H31 Firefox: %v", a)
	}
	c.Want("the session between them", s.Join("")[:3], "40{")
}

func origins(c *Context) {
	self := c.Host.URL
	for origin, want := range map[string]int{
		self: 200, "https://evil.example": 403, "null": 403, "file://": 403, self + ".evil.io": 403,
		strings.Replace(self, "//", "//x@", 1): 403, "http://127.0.0.1:1": 403, "http://a\x01b": 0,
	} {
		if want == 0 {
			continue
		}
		a := c.Must("GET", q4, "", "Origin", origin)
		c.Want("GET from "+origin, a.Status, want)
		c.Want("header for "+origin, a.Header.Get("Access-Control-Allow-Origin"), "")
	}
	s := c.Polling()
	s.Join("")
	c.Want("POST", c.Must("POST", s.Query(), `42["n",1]`, "Origin", "https://evil.example").Status, 403)
	w, a := c.Upgrade(w4, "", "Origin", "https://evil.example", "Cookie", "sid=1")
	if w != nil {
		c.T.Fatal("upgraded")
	}
	c.Want("upgrade", a, `403 {"code":4,"message":"Forbidden"}`)
	w, a = c.Upgrade(w4, "", "Origin", self)
	if w == nil {
		c.T.Errorf("own origin: %v", a)
	}
	c.Want("cross-site with cookies and without Origin", c.Must("GET", q4, "", "Cookie", "a=b", "Sec-Fetch-Site", "cross-site").Status, 403)
	c.Want("nothing handled", len(c.app.handled()), 0)
}

func listedOrigins(c *Context) {
	for _, origin := range []string{"https://app.example.com", "https://a.example.org"} {
		a := c.Must("GET", q4, "", "Origin", origin)
		c.Want("status", a.Status, 200)
		c.Want("origin", a.Header.Get("Access-Control-Allow-Origin"), origin)
		c.Want("credentials", a.Header.Get("Access-Control-Allow-Credentials"), "true")
		c.Want("vary", slices.Contains(a.Header.Values("Vary"), "Origin"), true)
	}
	for _, origin := range []string{"https://app.example.com.evil.io", "https://evilexample.org", "http://app.example.com", "https://a.b.example.org", "https://example.org"} {
		a := c.Must("GET", q4, "", "Origin", origin)
		c.Want("status for "+origin, a.Status, 403)
		c.Want("origin", a.Header.Get("Access-Control-Allow-Origin"), "")
	}
	a := c.Must("OPTIONS", q4, "", "Origin", "https://app.example.com", "Access-Control-Request-Headers", "x-a")
	c.Want("preflight", a.Status, 204)
	c.Want("preflight origin", a.Header.Get("Access-Control-Allow-Origin"), "https://app.example.com")
	a = c.Must("OPTIONS", q4, "", "Origin", "https://evil.example")
	c.Want("foreign preflight", a.Status, 204)
	c.Want("foreign preflight origin", a.Header.Get("Access-Control-Allow-Origin"), "")
}

func badPayloads(c *Context) {
	for _, row := range []struct {
		id, body string
		head     []string
		status   int
		reason   sio.Reason
	}{
		{"P01 empty", "", nil, 400, sio.ParseError},
		{"P02 separators", strings.Repeat("\x1e", 1<<20), nil, 400, sio.ParseError},
		{"P02 10 001 packets", strings.Repeat("3\x1e", 10_000) + "3", nil, 400, sio.ParseError},
		{"P03 unknown type", "9hello", nil, 400, sio.ParseError},
		{"P03 letter", "ahello", nil, 400, sio.ParseError},
		{"P03 colon", ":", nil, 400, sio.ParseError},
		{"P03 trailing separator", "3\x1e", nil, 400, sio.ParseError},
		{"P04 base64", "b!!!!", nil, 400, sio.ParseError},
		{"P04 length", "bAQI", nil, 400, sio.ParseError},
		{"P04 padding", "b" + strings.Repeat("=", 1000), nil, 400, sio.ParseError},
		{"P04 line end", "bAQ\nIDBA==", nil, 400, sio.ParseError},
		{"P05 ping", "2", nil, 200, sio.TransportError},
		{"P08 garbage", "4garbage", nil, 200, sio.ForcedClose},
		{"P09 octet-stream", "40", []string{"Content-Type", "application/octet-stream"}, 400, sio.ParseError},
		{"P12 compressed", "40", []string{"Content-Encoding", "gzip"}, 415, sio.TransportError},
		{"P21 not UTF-8", "42[\"n\",\"\xff\"]", nil, 400, sio.ParseError},
	} {
		s := c.Polling()
		s.Join("")
		held := s.Hold()
		c.holds(s)
		a := c.Must("POST", s.Query(), row.body, row.head...)
		c.Want(row.id, a.Status, row.status)
		if h := <-held; h.String() != "200 1" {
			c.T.Errorf("%s: the waiting poll got %v", row.id, h)
		}
		c.reason(row.reason)
		c.Want(row.id+" later", s.Get().Status, 400)
	}
	s := c.Polling()
	s.Join("")
	c.Want("P07 ignored packets", s.Post("0{}\x1e5\x1e6\x1e3"), "200 ok")
	s.Post(`42["echo",1]`)
	c.Want("still served", s.Packets(1)[0], `42["echo",1]`)
}

func legalFrames(c *Context) {
	w := c.Join("")
	msg := []byte(`42["echo","é€😀"]`)
	for i := 1; i < len(msg); i++ { // split at every byte, inside code points too
		_ = w.Raw(append(wire.Frame(0x01, msg[:i]), wire.Frame(0x80, msg[i:])...))
		c.Want("split", w.Next(), string(msg))
	}
	for _, b := range wire.Frame(0x81, msg) {
		_ = w.Raw([]byte{b})
	}
	c.Want("byte by byte", w.Next(), string(msg))
	_ = w.Raw(append(append(wire.Frame(0x01, msg[:5]), wire.Frame(0x89, []byte("hi"))...), wire.Frame(0x80, msg[5:])...))
	c.Want("ping inside", w.Next(), "control 8a hi")
	c.Want("message around", w.Next(), string(msg))
	var batch bytes.Buffer
	for i := range 300 {
		batch.Write(wire.Frame(0x81, fmt.Appendf(nil, `42["echo",%d]`, i)))
	}
	_ = w.Raw(batch.Bytes())
	for i := range 300 {
		c.Want("batch", w.Next(), fmt.Sprintf(`42["echo",%d]`, i))
	}
	for _, n := range []int{0, 1, 125, 126, 4096, 65535, 65536, 70000, 200_000} {
		text := `42["echo","` + strings.Repeat("y", n) + `"]`
		w.Send(text, `42["echo",0]`)
		if got := w.Next(); got != text {
			c.T.Fatalf("%d: got %d bytes", n, len(got))
		}
		c.Want("behind it", w.Next(), `42["echo",0]`)
	}
	w.Send(`451-["echo",{"_placeholder":true,"num":0}]`)
	w.SendBinary([]byte{1, 2, 3, 4})
	c.Want("binary header", w.Next(), `451-["echo",{"_placeholder":true,"num":0}]`)
	c.Want("binary", w.Next(), "bAQIDBA==")
	for _, ignored := range []string{"0", "5", "6", "1", "3"} {
		w.Send(ignored)
	}
	w.Send(`42["echo",1]`)
	c.Want("after ignored packets", w.Next(), `42["echo",1]`)
}

func badFrames(c *Context) {
	frag := wire.Frame(0x01, nil)
	cont := wire.Frame(0x00, nil)
	for _, row := range []struct {
		id   string
		raw  []byte
		code int
	}{
		{"W01 unmasked", []byte{0x81, 0x02, '4', '1'}, 1002},
		{"W02 RSV1", wire.Frame(0xc1, []byte("40")), 1002},
		{"W02 RSV2", wire.Frame(0xa1, []byte("40")), 1002},
		{"W02 RSV3", wire.Frame(0x91, []byte("40")), 1002},
		{"W03 opcode 3", wire.Frame(0x83, nil), 1002},
		{"W03 opcode 11", wire.Frame(0x8b, nil), 1002},
		{"W04 continuation of nothing", wire.Frame(0x80, []byte("x")), 1002},
		{"W04 text inside", append(wire.Frame(0x01, []byte("4")), wire.Frame(0x81, []byte("2"))...), 1002},
		{"W05 fragmented ping", wire.Frame(0x09, nil), 1002},
		{"W05 ping of 126 bytes", wire.Frame(0x89, make([]byte, 126)), 1002},
		{"W06 close of 1 byte", wire.Frame(0x88, []byte{3}), 1002},
		{"W06 code 1005", wire.Frame(0x88, []byte{0x03, 0xed}), 1002},
		{"W06 code 999", wire.Frame(0x88, []byte{0x03, 0xe7}), 1002},
		{"W06 reason not UTF-8", wire.Frame(0x88, []byte{0x03, 0xe8, 0xff}), 1007},
		{"W07 text ff", wire.Frame(0x81, []byte{0xff}), 1007},
		{"W07 overlong", wire.Frame(0x81, []byte{'4', 0xc0, 0xaf}), 1007},
		{"W07 surrogate", wire.Frame(0x81, []byte{'4', 0xed, 0xa0, 0x80}), 1007},
		{"W08 length 2^63", []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002},
		{"W08 length 2^62", []byte{0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
		{"W09 too big", []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 1, 1, 2, 3, 4}, 1009},
		{"W09 too big in two", append(wire.Frame(0x01, make([]byte, 1<<20)), wire.Frame(0x80, make([]byte, 1<<20+1))...), 1009},
		{"W11 empty continuations", append(bytes.Clone(frag), bytes.Repeat(cont, 1100)...), 1008},
		{"E01 unknown packet", wire.Frame(0x81, []byte("x")), 1002},
		{"E01 type 7", wire.Frame(0x81, []byte("7")), 1002},
		{"E01 empty", wire.Frame(0x81, nil), 1002},
		{"E02 ping", wire.Frame(0x81, []byte("2")), 1002},
		{"E03 probe", wire.Frame(0x81, []byte("2probe")), 1002},
	} {
		w := c.Join("")
		_ = w.Raw(row.raw)
		c.Want(row.id, w.End().Code, row.code)
		c.Eventually(row.id+": the end", func() bool { return len(c.app.ended()) > 0 })
		c.app.mu.Lock()
		c.app.reasons = nil
		c.app.mu.Unlock()
	}
	c.Alive()
}
