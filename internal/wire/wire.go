// Package wire speaks HTTP and websockets by hand, for tests: it shares no codec
// with what it tests and can say things that no client library would.
package wire

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience bounds every wait of a client. It is long because it is only ever
// used up by a failure.
const Patience = 5 * time.Second

// Client talks to one mount point.
type Client struct {
	TB   testing.TB
	Base string // http://127.0.0.1:port
	Path string // /socket.io/
	HTTP *http.Client
	Head http.Header // sent with every request
	// Trace is told everything that is sent and received; nil: nobody is.
	Trace func(line string)
	// Need is told what a request supposes of the server, such as "eio3" or
	// "websocket", before it is sent; nil: nobody is.
	Need func(what string)
	// Patience bounds every wait; 0 means the package's.
	Patience time.Duration
	// Sent is told of each request its path with its query and the address that its
	// connection has here; nil: nobody is.
	Sent func(from net.Addr, target string)

	mu    sync.Mutex
	conns []net.Conn
}

// New returns a client that is closed with the test.
func New(tb testing.TB, base, path string) *Client {
	// The certificate is one that the test has made.
	tr := &http.Transport{MaxIdleConnsPerHost: 16, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	c := &Client{TB: tb, Base: base, Path: path, HTTP: &http.Client{Transport: tr, Timeout: Patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}, Head: http.Header{}}
	tb.Cleanup(c.Close)
	return c
}

// Close ends all connections.
func (c *Client) Close() {
	c.HTTP.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, nc := range c.conns {
		_ = nc.Close()
	}
	c.conns = nil
}

// At is the client for another path.
func (c *Client) At(path string) *Client {
	return &Client{TB: c.TB, Base: c.Base, Path: path, HTTP: c.HTTP, Head: c.Head, Trace: c.Trace, Need: c.Need, Patience: c.Patience, Sent: c.Sent}
}

func (c *Client) patience() time.Duration {
	if c.Patience != 0 {
		return c.Patience
	}
	return Patience
}

func (c *Client) note(format string, args ...any) {
	if c.Trace != nil {
		c.Trace(fmt.Sprintf(format, args...))
	}
}

// sent tells Sent of a request.
func (c *Client) sent(nc net.Conn, target string) {
	if c.Sent != nil {
		c.Sent(nc.LocalAddr(), target)
	}
}

// tells is a context in which net/http tells Sent of a request.
func (c *Client) tells(ctx context.Context, target string) context.Context {
	if c.Sent == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { c.sent(i.Conn, target) }})
}

// need tells Need what a request supposes.
func (c *Client) need(query string) {
	if c.Need == nil {
		return
	}
	q, _ := url.ParseQuery(query)
	switch eio := q.Get("EIO"); {
	case strings.Contains(c.Path, "/1/"):
		c.Need("sio1")
	case eio == "2", eio == "3":
		c.Need("eio3")
	case eio == "4":
		c.Need("eio4")
	}
	if q.Has("j") || strings.Contains(c.Path, "/jsonp-polling/") {
		c.Need("jsonp")
	}
}

// clip shortens what is traced.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// Answer is an HTTP answer.
type Answer struct {
	Status int
	Body   string
	Header http.Header
}

// String is status and body, the form in which tests compare answers.
func (a Answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Body) }

// Do sends a request with a query below the mount point.
func (c *Client) Do(ctx context.Context, method, query, body string, head ...string) (Answer, error) {
	req, err := http.NewRequestWithContext(c.tells(ctx, c.Path+"?"+query), method, c.Base+c.Path+"?"+query, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for k, vs := range c.Head {
		req.Header[k] = vs
	}
	if body != "" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	c.need(query)
	c.note("> %s %s?%s %s", method, c.Path, query, clip(body))
	resp, err := c.HTTP.Do(req)
	if err != nil {
		c.note("< %s %s: %v", method, c.Path, err)
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	c.note("< %d to %s %s: %s", resp.StatusCode, method, c.Path, clip(string(b)))
	return Answer{resp.StatusCode, string(b), resp.Header}, err
}

// Must is Do without patience for errors.
func (c *Client) Must(method, query, body string, head ...string) Answer {
	c.TB.Helper()
	a, err := c.Do(context.Background(), method, query, body, head...)
	if err != nil {
		c.TB.Fatalf("%s ?%s: %v", method, query, err)
	}
	return a
}

// Open is the open packet of an Engine.IO handshake.
type Open struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

// Session is an Engine.IO 4 polling session.
type Session struct {
	*Client
	Open Open
}

const poll4 = "EIO=4&transport=polling"

// Polling opens a session; more is added to the handshake's query.
func (c *Client) Polling(more ...string) *Session {
	c.TB.Helper()
	a := c.Must("GET", strings.Join(append([]string{poll4}, more...), "&"), "")
	if a.Status != 200 || !strings.HasPrefix(a.Body, "0") {
		c.TB.Fatalf("handshake: %v", a)
	}
	s := &Session{Client: c}
	if err := json.Unmarshal([]byte(a.Body[1:]), &s.Open); err != nil {
		c.TB.Fatalf("open packet %q: %v", a.Body, err)
	}
	return s
}

// Query is the query of the session's requests.
func (s *Session) Query() string { return poll4 + "&sid=" + url.QueryEscape(s.Open.SID) }

// Get polls once.
func (s *Session) Get() Answer { s.TB.Helper(); return s.Must("GET", s.Query(), "") }

// Post sends packets.
func (s *Session) Post(body string) Answer { s.TB.Helper(); return s.Must("POST", s.Query(), body) }

// Hold polls in the background, and returns when the request is on its way.
func (s *Session) Hold() <-chan Answer { return s.HoldFor(context.Background()) }

// HoldFor is Hold for a client that gives up when ctx ends.
func (s *Session) HoldFor(ctx context.Context) <-chan Answer { return s.hold(ctx, s.Query()) }

// hold sends a GET in the background, whose answer may be an error's text. It returns when the
// request is written, or has failed: a machine that is busy may take long for the goroutine and
// the connection.
func (c *Client) hold(ctx context.Context, query string) <-chan Answer {
	ch, written := make(chan Answer, 1), make(chan struct{})
	once := sync.OnceFunc(func() { close(written) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once() }})
	go func() {
		defer once()
		a, err := c.Do(ctx, "GET", query, "")
		if err != nil {
			a = Answer{Body: err.Error()}
		}
		ch <- a
	}()
	<-written
	return ch
}

// Packets polls until n packets other than pings and noops have come.
func (s *Session) Packets(n int) (list []string) {
	s.TB.Helper()
	for len(list) < n {
		a := s.Get()
		if a.Status != 200 {
			s.TB.Fatalf("poll: %v; so far %q", a, list)
		}
		for _, p := range strings.Split(a.Body, "\x1e") {
			switch p {
			case "2":
				s.Post("3")
			case "6":
			default:
				list = append(list, p)
			}
		}
	}
	return list
}

// Join connects a namespace ("" is the default one) and returns the answer.
func (s *Session) Join(ns string) string {
	s.TB.Helper()
	if a := s.Post("40" + ns); a.Status != 200 {
		s.TB.Fatalf("connect: %v", a)
	}
	return s.Packets(1)[0]
}
