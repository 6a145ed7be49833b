package conformance

import (
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
			c.Want("status", c.Must("GET", "", "").Status, 200)
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
			c.reason(sio.ServerNamespace)
			c.Want("next", s.Get(), "200 6\x1e1")
			c.Want("later", s.Get().Status, 400)
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
				from := time.Now()
				w := c.Join("")
				w.NoPong = true
				w.End()
				if d := time.Since(from); d < 390*time.Millisecond {
					c.T.Errorf("closed after %v", d)
				}
				c.reason(sio.PingTimeout)
			}},
		Case{Name: "heartbeat/connect-timeout", Rule: "a client that joins no namespace is disconnected", Spec: "protocol 2.1",
			opts: func(o *sio.Options) { o.ConnectTimeout = 500 * time.Millisecond }, run: func(c *Context) {
				w, _ := c.WebSocket()
				w.End()
				s := c.Polling()
				c.Want("poll", s.Get(), "200 1")
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
		{"H09 version 5", "EIO=5&transport=websocket", 400, nil},
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
