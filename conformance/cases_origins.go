package conformance

import (
	"net"
	"strings"

	"github.com/siokit/siokit/internal/wire"
)

// originsCases are about origins in forms that no browser sends.
var originsCases = []testCase{
	{
		name: "origin/own-forms",
		rule: "an origin that names the server's own host is its own, in whatever form programs write it: " +
			"without a scheme, with a path and a query; an empty one is none",
		spec: "docs/protocol.md 9.1",
		all:  true, need: []string{webSocket},
		run: ownForms,
	},
	{
		name: "origin/own-forms-06",
		rule: "0.6: an origin that names the server's own host is its own, in whatever form",
		spec: "docs/protocol.md 9.1",
		all:  true, need: []string{webSocket, sio06},
		run: ownForms06,
	},
}

// writtenOrigin is an origin as a request has it, and whether it is the server's own.
type writtenOrigin struct {
	text string
	own  bool
}

func writtenOrigins(c *env) (list []writtenOrigin) {
	scheme, own, _ := strings.Cut(c.Host.URL, "://")
	ws := strings.Replace(scheme, "http", "ws", 1)
	host, _, err := net.SplitHostPort(own)
	if err != nil {
		c.T.Fatal(err)
	}
	for _, o := range []string{
		own, // Node's ws 0.4, in the official clients 0.9 and 1.0
		own + "/", c.Host.URL + "/", strings.ToUpper(scheme) + "://" + own + "/",
		ws + "://" + own + "/socket.io/?EIO=3&transport=websocket", // Starscream 1
		c.Host.URL + "?x", c.Host.URL + "#x", ws + "://" + own + "/@evil.example",
	} {
		list = append(list, writtenOrigin{o, true})
	}
	for _, o := range []string{
		"null", "file://", "file:///page.html", "evil.example", "evil.example/" + own, "evil.example?" + c.Host.URL,
		"https://evil.example/" + own, "https://evil.example#" + c.Host.URL,
		own + ".evil.example", "app://" + own, host + ":1", ws + "://" + host + ":1/socket.io/", "/" + own, "//" + own,
		"x@" + own, own + "@evil.example", scheme + "://x@" + own, scheme + "://x:y@" + own + "/", scheme + "://" + own + "@evil.example/",
		scheme + `://evil.example\@` + own, scheme + "://" + own + `\@evil.example`,
	} {
		list = append(list, writtenOrigin{o, false})
	}
	return list
}

// asked is a way to ask the server something, with the status when it is served.
type asked struct {
	name   string
	served int
	ask    func(origin string) int
}

// judged wants every way to serve the own origins, and to refuse the others with a status.
func judged(c *env, refused int, ways []asked) {
	c.T.Helper()
	for _, o := range writtenOrigins(c) {
		for _, way := range ways {
			want := refused
			if o.own {
				want = way.served
			}
			c.Want(way.name+" from "+o.text, way.ask(o.text), want)
		}
	}
}

// opens asks for a websocket and closes it.
func opens(c *wire.Client, query, origin string) int {
	w, a := c.Upgrade(query, "", "Origin", origin)
	if w != nil {
		_ = w.Conn.Close()
	}
	return a.Status
}

func ownForms(c *env) {
	s4, s3, s1 := c.Polling(), c.Polling3("b64=1"), c.Polling1()
	s4.Join("")
	get := func(path, query string) func(origin string) int {
		return func(origin string) int { return c.At(path).Must("GET", query, "", "Origin", origin).Status }
	}
	judged(c, 403, []asked{
		{"websocket", 101, func(o string) int { return opens(c.Client, w4, o) }},
		{"websocket of Engine.IO 3", 101, func(o string) int { return opens(c.Client, w3, o) }},
		{"websocket of 0.9", 101, func(o string) int { return opens(c.At(mount+"/1/websocket/"+c.Handshake1("")), "", o) }},
		{"flashsocket of 0.9", 101, func(o string) int { return opens(c.At(mount+"/1/flashsocket/"+c.Handshake1("")), "", o) }},
		{"GET", 200, get(c.Path, q4)},
		{"GET of Engine.IO 3", 200, get(c.Path, "EIO=3&transport=polling")},
		{"handshake of 0.9", 200, get(mount+"/1/", "")},
		{"POST", 200, func(o string) int { return c.Must("POST", s4.Query(), "6", "Origin", o).Status }},
		{"POST of Engine.IO 3", 200, func(o string) int { return c.Must("POST", s3.Query(), "1:6", "Origin", o).Status }},
		{"POST of 0.9", 200, func(o string) int { return s1.Must("POST", "", "8::", "Origin", o).Status }},
	})
	c.Want("GET with an empty one", c.Line().Do("GET", q4, "", "Origin:").Status, 200)
	w, a := c.Line().Handshake(w4, "Connection: Upgrade", "Upgrade: websocket", "Origin:", "Cookie: a=b")
	if w == nil {
		c.T.Errorf("websocket with an empty one: %v", a)
	}
	c.Want("a page of another site with an empty one",
		c.Line().Do("GET", q4, "", "Origin:", "Cookie: a=b", "Sec-Fetch-Site: cross-site").Status, 403)
	c.Want("an empty one before another page's", c.Line().Do("GET", q4, "", "Origin:", "Origin: "+evilPage).Status, 403)
	c.Alive()
}

func ownForms06(c *env) {
	judged(c, 401, []asked{
		{"websocket", 101, func(o string) int { return opens(c.At(mount+"/websocket"), "", o) }},
		{"GET", 200, func(o string) int { return c.At(mount+"/xhr-polling/1234").Must("GET", "", "", "Origin", o).Status }},
	})
}
