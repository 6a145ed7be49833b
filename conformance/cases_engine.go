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
		Case{Name: "routing/prefix", local: true, prepare: func(c *Context) { c.mount = "/api/v1/socket.io" }, Rule: "the server is mounted where it was told to, and nowhere else", Spec: "bridge 1.1, 6", run: func(c *Context) {
			c.Join("")
			s := c.Polling()
			s.Join("")
			c.Want("a handshake of 0.9", c.At("/api/v1/socket.io/1/").Must("GET", "", "").Status, 200)
			c.Want("elsewhere", c.At(mount+"/").Must("GET", q4, "").Status, 404)
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
		Case{Name: "errors/firefox", Rule: "a list of connection options that contains upgrade is an upgrade", Spec: "reliability H31", run: func(c *Context) {
			if w, a := c.Upgrade(w4, "", "Connection", "keep-alive, Upgrade"); w == nil {
				c.T.Errorf("%v", a)
			}
		}},
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
			c.holds()
			c.Want("second", s.Get().Status, 400)
			c.Want("first", <-held, "200 1")
			c.Want("later", s.Get(), `400 {"code":1,"message":"Session ID unknown"}`)
			c.reason(sio.TransportError)
		}},
		Case{Name: "polling/abort", need: []Capability{ClientGone}, Rule: "a poll that its client gives up ends the session", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = s.Do(ctx, "GET", s.Query(), "")
			}()
			c.holds()
			cancel()
			<-done
			c.reason(sio.TransportError)
			c.Want("later", s.Get().Status, 400)
		}},
		Case{Name: "polling/close-by-client", Rule: "a close packet ends the waiting poll with noop and the session", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			held := s.Hold()
			c.holds()
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
			for _, n := range c.handled() {
				if n == 3 {
					c.T.Error("a packet behind the close was handled")
				}
			}
		}},
		Case{Name: "polling/kick-while-waiting", Rule: "disconnect(true) while a poll waits: 41, then noop and close, then unknown", Spec: "protocol 2.5", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			held := s.Hold()
			c.holds()
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
			c.reason(sio.MalformedPacket)
			c.Want("post", s.Post("3"), `400 {"code":1,"message":"Session ID unknown"}`)
			c.Want("next", s.Get(), "200 6\x1e1")
			c.Want("later", s.Get().Status, 400)
		}},
		Case{Name: "polling/overlapping-post", need: []Capability{PartialBody}, Rule: "a second POST while one is being read gets 400 and ends the session", Spec: "protocol 2.5, reliability P15", run: func(c *Context) {
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
		}},
		Case{Name: "polling/aborted-post", need: []Capability{PartialBody}, Rule: "a POST that ends early delivers nothing and ends the session", Spec: "protocol 2.5, reliability P14", run: func(c *Context) {
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
		}},
		Case{Name: "polling/too-large", Rule: "a body over the limit gets 413 and ends the session", Spec: "reliability P10, P11, (g) 413", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			a := s.Post("4" + strings.Repeat("x", 2<<20))
			c.Want("status", a.Status, 413)
			c.reason(sio.TransportError)
			c.Alive()
		}},
		Case{Name: "polling/announced-too-large", slow: true, need: []Capability{PartialBody}, Rule: "a body that is announced too large is refused before it comes", Spec: "reliability P10, P11", run: func(c *Context) {
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
			defer time.AfterFunc(c.patience(), func() { _ = pw.CloseWithError(io.ErrUnexpectedEOF) }).Stop()
			resp, err := c.HTTP.Do(req)
			if err != nil {
				c.T.Fatal(err)
			}
			_ = resp.Body.Close()
			c.Want("status", resp.StatusCode, 413)
			c.reason(sio.TransportError)
		}},
		Case{Name: "polling/ignored-packets", Rule: "packets that mean nothing here are ignored", Spec: "reliability P07", run: func(c *Context) {
			s := c.Polling()
			s.Join("")
			c.Want("ignored", s.Post("0{}\x1e5\x1e6\x1e3"), "200 ok")
			s.Post(`42["echo",1]`)
			c.Want("still served", s.Packets(1)[0], `42["echo",1]`)
		}},
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
		Case{Name: "heartbeat/ping-pong", slow: true, Rule: "the server pings after the interval, a pong keeps the session", Spec: "protocol 2.10",
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
		Case{Name: "heartbeat/timeout", slow: true, Rule: "a client that does not answer is disconnected", Spec: "protocol 2.10",
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
		Case{Name: "heartbeat/connect-timeout", slow: true, Rule: "a client that joins no namespace is disconnected", Spec: "protocol 2.1",
			opts: func(o *sio.Options) { o.ConnectTimeout = 500 * time.Millisecond }, run: func(c *Context) {
				w, _ := c.WebSocket()
				w.End()
				s := c.Polling()
				c.Want("poll", s.Get(), "200 1")
			}},
	)
}

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
	c.Want("length", a.Header.Get("Content-Length"), fmt.Sprint(len(a.Body)))
	c.Want("cors", a.Header.Get("Access-Control-Allow-Origin"), "")
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
	c.Want("a sibling's page with cookies and without Origin", c.Must("GET", q4, "", "Cookie", "a=b", "Sec-Fetch-Site", "same-site").Status, 403)
	c.Want("nothing handled", len(c.handled()), 0)
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
