package conformance

import (
	"context"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// hostsCases are about what a host passes on of a request.
var hostsCases = []testCase{
	{
		name: "request/one-connection",
		rule: "what a socket's request shows is not what the next request on the same connection says",
		spec: "docs/protocol.md 2.7",
		run:  oneConnection,
	},
	{
		name: "websocket/header-forms",
		rule: "an opening handshake may be written in any case and have its lists on several lines",
		spec: "RFC 6455 4.2.1; docs/protocol.md 2.6",
		need: []string{webSocket},
		run:  headerForms,
	},
	{
		name: "websocket/subprotocol",
		rule: "of the subprotocols that a client offers, the first one is chosen; without an offer " +
			"there is none",
		spec: "RFC 6455 4.2.2",
		need: []string{webSocket},
		run:  subprotocols,
	},
	{
		name: "origin/any-cookies",
		rule: "with the star, a page of another origin is served as if its browser had sent no cookies",
		spec: "docs/protocol.md 9.1",
		all:  true,
		opts: func(o *sio.Options) { o.Origins = []string{"*"} },
		run:  anyCookies,
	},
	{
		name: "origin/websocket-scheme",
		rule: "an origin with ws or wss for http or https is the same origin, as is one without a scheme " +
			"or with a path; another host's is not",
		spec: "docs/protocol.md 9.1",
		need: []string{webSocket},
		opts: func(o *sio.Options) { o.Origins = []string{"HTTPS://App.Example.com:443/"} },
		run:  websocketScheme,
	},
	{
		name: "limits/query",
		rule: "a query longer than Options.MaxQuery is refused, one at the bound is served",
		spec: "docs/protocol.md 8.3",
		opts: func(o *sio.Options) { o.MaxQuery = 1 << 10 },
		run:  longQuery,
	},
	{
		name: "limits/headers",
		rule: "headers larger than Options.MaxHeaders, or more than that allows, are refused; a " +
			"request at the bound is served",
		spec: "docs/protocol.md 8.3",
		opts: func(o *sio.Options) { o.MaxHeaders = 2 << 10 },
		run:  largeHeaders,
	},
	{
		name: "limits/announced-body",
		rule: "a body takes memory as it comes, not as it is announced",
		spec: "docs/protocol.md 8.3",
		slow: true, need: []string{partialBody},
		run: announcedBody,
	},
}

// shown is what a request says of itself, in one line.
func shown(r *sio.Request) string {
	cookie, _ := r.Cookie("who")
	var params []string
	for k, v := range r.Params {
		params = append(params, k+"="+v)
	}
	return fmt.Sprint(r.Method, r.Host, r.RawQuery, r.Header.Get("X-Who"), r.Header.Get("User-Agent"), cookie,
		r.URL(), r.RemoteAddr, r.ClientIP, r.RoutePattern, params, r.Values)
}

// oneConnection is a proxy that has one connection for two visitors, whose names
// are of one length.
func oneConnection(c *env) {
	var mu sync.Mutex
	requests := map[string]*sio.Request{}
	c.of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		mu.Lock()
		defer mu.Unlock()
		requests[s.Request().Query().Get("who")] = s.Request()
		return nil
	})
	of := func(who string) *sio.Request {
		mu.Lock()
		defer mu.Unlock()
		return requests[who]
	}
	l := c.Line()
	as := func(who string) []string {
		return []string{"X-Who: " + who, "Cookie: who=" + who, "User-Agent: " + who, "X-Forwarded-For: 192.0.2." + who[len(who)-1:]}
	}
	first := map[string]string{}
	for _, who := range []string{"alice-1", "mallo-2"} {
		a := l.Do("GET", q4+"&who="+who, "", as(who)...)
		sid := sidOf.FindStringSubmatch(a.Body)
		if sid == nil {
			c.T.Fatalf("handshake: %v", a)
		}
		l.Do("POST", q4+"&who="+who+"&sid="+sid[1], "40", as(who)...)
		c.Eventually("the socket of "+who, func() bool { return of(who) != nil })
		first[who] = shown(of(who))
		if n := strings.Count(first[who], who); n < 5 {
			c.T.Errorf("%s has %s", who, first[who])
		}
	}
	for i := range 8 {
		l.Do("GET", q4+"&who=nobod-"+fmt.Sprint(i)+"&sid=xxxxxxxxxxxxxxxxxxxxxxxxxxx", "", as("nobod-"+fmt.Sprint(i))...)
		l.Do("POST", q4+"&who=nobod-"+fmt.Sprint(i)+"&sid=xxxxxxxxxxxxxxxxxxxxxxxxxxx",
			"who=nobody&who=nobody", as("nobod-"+fmt.Sprint(i))...)
	}
	for who, was := range first {
		c.Want("the request of "+who, shown(of(who)), was)
	}
}

func headerForms(c *env) {
	for _, lines := range [][]string{
		{"Connection: keep-alive, Upgrade", "Upgrade: websocket"},
		{"Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket"},
		{"Connection: Upgrade", "Connection: keep-alive", "Upgrade: websocket"},
		{"connection: UPGRADE", "upgrade: WebSocket"},
		{"CONNECTION:Upgrade ,keep-alive", "UPGRADE:websocket"},
	} {
		w, a := c.Line().Handshake(w4, lines...)
		if w == nil {
			c.T.Errorf("%q: %v", lines, a)
			continue
		}
		c.Want(strings.Join(lines, "; "), w.Next()[:1], "0")
		_ = w.Conn.Close()
	}
	// A page's origin is looked at however its header is written.
	for _, name := range []string{"Origin", "origin", "ORIGIN"} {
		w, a := c.Line().Handshake(w4, "Connection: Upgrade", "Upgrade: websocket", name+": https://evil.example")
		if w != nil || a.Status != 403 {
			c.T.Errorf("%s: %v", name, a)
		}
	}
	u, err := url.Parse(c.Host.URL)
	if err != nil {
		c.T.Fatal(err)
	}
	if w, a := c.Line().Handshake(w4, "Connection: Upgrade", "Upgrade: websocket", "origin: "+u.String()); w == nil {
		c.T.Errorf("own origin: %v", a)
	}
}

func subprotocols(c *env) {
	for _, row := range []struct {
		offer []string
		want  string
	}{
		{nil, ""},
		{[]string{"Sec-WebSocket-Protocol: json, msgpack"}, "json"},
		{[]string{"Sec-WebSocket-Protocol: json", "Sec-webSocket-Protocol: msgpack"}, "json"},
		{[]string{"sec-websocket-protocol:v1.token"}, "v1.token"},
		{[]string{"Sec-WebSocket-Protocol: , no token, other"}, "other"},
	} {
		w, a := c.Line().Handshake(w4, append(row.offer, "Connection: Upgrade", "Upgrade: websocket")...)
		if w == nil {
			c.T.Errorf("%q: %v", row.offer, a)
			continue
		}
		c.Want(fmt.Sprintf("chosen of %q", row.offer), strings.Join(a.Header.Values("Sec-WebSocket-Protocol"), "|"), row.want)
		c.Want("the first message", w.Next()[:1], "0")
		_ = w.Conn.Close()
	}
}

// anyCookies opens sessions in all the ways in which a browser does for a page.
func anyCookies(c *env) {
	var mu sync.Mutex
	var seen []string
	c.of("/").OnConnect(func(_ context.Context, s *sio.Socket) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, s.Request().Header.Get("Cookie")+fmt.Sprint(len(s.Request().Values)))
		return nil
	})
	saw := func(what, want string) {
		c.T.Helper()
		c.Eventually("a socket for "+what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(seen) == 1
		})
		c.Want(what, seen[0], want+"0")
		seen = nil
	}
	const evil = "https://evil.example"
	for _, row := range []struct {
		what, want string
		head       []string
	}{
		{"another page", "", []string{"Origin", evil}},
		{"a page without an origin of its own", "", []string{"Origin", "null"}},
		{"the own page", "who=alice", []string{"Origin", c.Host.URL}},
		{"a program", "who=alice", nil},
	} {
		head := append(row.head, "Cookie", "who=alice")
		w, a := c.Upgrade(w4, "", head...)
		if w == nil {
			c.T.Fatalf("%s: %v", row.what, a)
		}
		w.Next()
		w.Send("40")
		saw("websocket, "+row.what, row.want)
		a = c.Must("GET", q4, "", head...)
		c.Want("credentials", a.Header.Get("Access-Control-Allow-Credentials"), "")
		c.joinAt(q4, a, head)
		saw("polling, "+row.what, row.want)
	}
	for _, row := range []struct {
		what, want string
		head       []string
	}{
		{"a sibling's page", "", []string{"Sec-Fetch-Site", "same-site"}},
		{"another page in an old browser", "", []string{"Referer", evil + "/x"}},
		{"any page in an old browser", "", nil},
		{"the own page", "who=alice", []string{"Sec-Fetch-Site", "same-origin"}},
		{"the own page in an old browser", "who=alice", []string{"Referer", c.Host.URL + "/x"}},
	} {
		head := append(row.head, "Cookie", "who=alice")
		// 0.9 joins the default namespace by itself, with the first request for a transport.
		a := c.At(mount+"/1/").Must("GET", "jsonp=0", "", head...)
		sid, _, _ := strings.Cut(called(c, a.Body, "io.j[0](", ");"), ":")
		c.At(mount+"/1/jsonp-polling/"+sid).Must("GET", "i=0", "", head...)
		saw("jsonp of 0.9, "+row.what, row.want)
	}
}

// joinAt joins the default namespace of the session that was opened with a.
func (c *env) joinAt(query string, a wire.Answer, head []string) {
	c.T.Helper()
	sid := sidOf.FindStringSubmatch(a.Body)
	if sid == nil {
		c.T.Fatalf("handshake: %v", a)
	}
	c.Want("join", c.Must("POST", query+"&sid="+sid[1], "40", head...).Status, 200)
}

func websocketScheme(c *env) {
	scheme, own, _ := strings.Cut(c.Host.URL, "://")
	ws := strings.Replace(scheme, "http", "ws", 1)
	for origin, want := range map[string]int{
		ws + "://" + own: 101, "wss://app.example.com": 101, "https://app.example.com": 101, "HTTPS://APP.example.com:443": 101,
		ws + "://" + own + ".evil.example": 403, "ws://app.example.com": 403, "wss://evil.example": 403, "wss://app.example.com/x": 101,
		"app.example.com": 101, "app.example.com:443": 101, "app.example.com:444": 403, "evil.example": 403, "x@app.example.com": 403,
	} {
		w, a := c.Upgrade(w4, "", "Origin", origin)
		c.Want(origin, a.Status, want)
		if w != nil {
			_ = w.Conn.Close()
		}
	}
}

func longQuery(c *env) {
	for _, filler := range []string{"%41&", "a", "a=&", "EIO=4&"} {
		query := strings.Repeat(filler, (1<<10)/len(filler)) + "&" + q4
		c.Want("more than 1 KiB of "+filler, c.Line().Do("GET", query, "").Status, 414)
	}
	at := q4 + "&token="
	at += strings.Repeat("a", 1<<10-len(at)-len(c.Path)-1) // with the path and the question mark
	c.Want("1 KiB", c.Line().Do("GET", at, "").Status, 200)
	long := c.Line()
	long.Begin("GET", c.Path+strings.Repeat("a", 1<<10)+"?"+q4)
	c.Want("a path of 1 KiB", long.Answer().Status, 414)
	c.Want("one byte more", c.Line().Do("GET", at+"a", "").Status, 414)
	c.Alive()
}

func largeHeaders(c *env) {
	for what, lines := range map[string][]string{
		"one of 2 KiB":        {"X-A: " + strings.Repeat("a", 2<<10)},
		"a cookie of 2 KiB":   {"Cookie: a=" + strings.Repeat("a", 2<<10)},
		"hundred of no bytes": strings.Split(strings.TrimSuffix(strings.Repeat("X-A: |", 100), "|"), "|"),
	} {
		c.Want(what, c.Line().Do("GET", q4, "", lines...).Status, 431)
	}
	c.Want("less", c.Line().Do("GET", q4, "", "X-A: "+strings.Repeat("a", 1<<10), "Cookie: a=b").Status, 200)
	c.Alive()
}

func announcedBody(c *env) {
	c.server()
	const n = 30
	var lines []*wire.Line
	var targets []string
	for range n {
		s := c.Polling()
		lines, targets = append(lines, c.Line()), append(targets, c.Path+"?"+s.Query())
	}
	before := heap()
	for i, l := range lines {
		l.Begin("POST", targets[i], "Content-Type: text/plain;charset=UTF-8", "Content-Length: 2000000")
	}
	c.holds()
	if each := (heap() - before) / n; each > 200_000 {
		c.T.Errorf("each of %d requests of which nothing but the head has come holds %d bytes", n, each)
	}
	for _, l := range lines {
		l.Close()
	}
	c.Alive()
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
