package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/siokit/siokit/core/sio"
)

const (
	q4 = "EIO=4&transport=polling"
	w4 = "EIO=4&transport=websocket"
)

// handshakeCases are about where a server is mounted, and how a session begins.
var handshakeCases = []testCase{
	{
		name: "routing/slash",
		rule: "the mount point with a trailing slash is served",
		spec: "docs/protocol.md 2.1",
		run:  routingSlash,
	},
	{
		name: "routing/no-slash",
		rule: "the mount point without a trailing slash is served, and upgraded, without a redirect",
		spec: "docs/protocol.md 2.1",
		run:  routingNoSlash,
	},
	{
		name: "routing/below",
		rule: "paths below the mount point are served",
		spec: "docs/protocol.md 2.1",
		run:  routingBelow,
	},
	{
		name: "routing/sibling",
		rule: "a path that merely begins alike is not captured",
		spec: "docs/protocol.md 2.1",
		run:  routingSibling,
	},
	{
		name:    "routing/prefix",
		rule:    "the server is mounted where it was told to, and nowhere else",
		spec:    "docs/protocol.md 2.1",
		local:   true,
		prepare: func(c *env) { c.mount = "/api/v1/socket.io" },
		run:     routingPrefix,
	},
	{
		name: "routing/other-routes",
		rule: "the host's other routes still work",
		spec: "docs/protocol.md 2.1",
		run:  routingOtherRoutes,
	},
	{
		name: "handshake/open-packet",
		rule: "status, headers and the fields of the open packet in their order",
		spec: "Engine.IO 4: Handshake; docs/protocol.md 2.4",
		run:  openPacket,
	},
	{
		name: "handshake/websocket",
		rule: "over a websocket the open packet is the first frame and offers no upgrade",
		spec: "Engine.IO 4: Handshake; docs/protocol.md 2.4",
		run:  handshakeWebsocket,
	},
	{
		name: "handshake/sid-is-secret",
		rule: "session and socket ids are different, random and 160 bits",
		spec: "docs/protocol.md 2.5",
		run:  handshakeSidIsSecret,
	},
	{
		name: "errors/firefox",
		rule: "a list of connection options that contains upgrade is an upgrade",
		spec: "RFC 6455 4.2.1; docs/protocol.md 2.6",
		run:  errorsFirefox,
	},
	{
		name: "origin/same",
		rule: "pages of the same origin are served, all others refused alike on GET, POST and upgrade",
		spec: "docs/protocol.md 9.1",
		run:  origins,
	},
	{
		name: "origin/listed",
		rule: "a listed origin is echoed with Vary, a foreign preflight gets no header",
		spec: "docs/protocol.md 9.1",
		opts: func(o *sio.Options) { o.Origins = []string{"https://app.example.com", "https://*.example.org"} },
		run:  listedOrigins,
	},
	{
		name: "origin/any",
		rule: "the star admits every page without credentials",
		spec: "docs/protocol.md 9.1",
		opts: func(o *sio.Options) { o.Origins = []string{"*"} },
		run:  originAny,
	},
}

func routingSlash(c *env) {
	c.Want("status", c.Must("GET", q4, "").Status, 200)
}

func routingNoSlash(c *env) {
	c.Client.Path = mount
	c.Want("status", c.Must("GET", q4, "").Status, 200)
	c.Join("")
}

func routingBelow(c *env) {
	c.Client.Path = mount + "/1/"
	c.Want("status", c.Must("GET", "", "").Status, 200)
}

func routingSibling(c *env) {
	c.Client.Path = mount + "x/"
	c.Want("status", c.Must("GET", q4, "").Status, 404)
}

func routingPrefix(c *env) {
	c.Join("")
	s := c.Polling()
	s.Join("")
	c.Want("a handshake of 0.9", c.At("/api/v1/socket.io/1/").Must("GET", "", "").Status, 200)
	c.Want("elsewhere", c.At(mount+"/").Must("GET", q4, "").Status, 404)
}

func routingOtherRoutes(c *env) {
	c.Client.Path = "/plain"
	c.Want("answer", c.Must("GET", "", ""), "200 ok")
}

func handshakeWebsocket(c *env) {
	w, o := c.WebSocket()
	c.Want("upgrades", o.Upgrades, []string{})
	c.Want("maxPayload", o.MaxPayload, 2<<20)
	w.Send("40")
	if got := w.Next(); !strings.HasPrefix(got, `40{"sid":"`) {
		c.T.Errorf("connect: %s", got)
	}
}

func handshakeSidIsSecret(c *env) {
	seen := map[string]bool{}
	for range 50 {
		s := c.Polling()
		id := s.Join("")
		if len(s.Open.SID) < 27 || seen[s.Open.SID] || strings.Contains(id, s.Open.SID) {
			c.T.Fatalf("sid %q, socket %q", s.Open.SID, id)
		}
		seen[s.Open.SID] = true
	}
}

func errorsFirefox(c *env) {
	if w, a := c.Upgrade(w4, "", "Connection", "keep-alive, Upgrade"); w == nil {
		c.T.Errorf("%v", a)
	}
}

func originAny(c *env) {
	a := c.Must("GET", q4, "", "Origin", "https://elsewhere.example")
	c.Want("status", a.Status, 200)
	c.Want("origin", a.Header.Get("Access-Control-Allow-Origin"), "*")
	c.Want("credentials", a.Header.Get("Access-Control-Allow-Credentials"), "")
	a = c.Must("GET", q4+"&sid=unknown", "", "Origin", "https://elsewhere.example")
	c.Want("on an error too", a.Header.Get("Access-Control-Allow-Origin"), "*")
}

func openPacket(c *env) {
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

func origins(c *env) {
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
	c.Want("cross-site with cookies and without Origin",
		c.Must("GET", q4, "", "Cookie", "a=b", "Sec-Fetch-Site", "cross-site").Status, 403)
	c.Want("a sibling's page with cookies and without Origin",
		c.Must("GET", q4, "", "Cookie", "a=b", "Sec-Fetch-Site", "same-site").Status, 403)
	c.Want("nothing handled", len(c.handled()), 0)
}

func listedOrigins(c *env) {
	for _, origin := range []string{"https://app.example.com", "https://a.example.org"} {
		a := c.Must("GET", q4, "", "Origin", origin)
		c.Want("status", a.Status, 200)
		c.Want("origin", a.Header.Get("Access-Control-Allow-Origin"), origin)
		c.Want("credentials", a.Header.Get("Access-Control-Allow-Credentials"), "true")
		c.Want("vary", slices.Contains(a.Header.Values("Vary"), "Origin"), true)
	}
	for _, origin := range []string{
		"https://app.example.com.evil.io", "https://evilexample.org", "http://app.example.com",
		"https://a.b.example.org", "https://example.org",
	} {
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
