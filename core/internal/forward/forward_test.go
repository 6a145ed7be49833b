package forward

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var secret = []byte("the secret of the tests")

// listen returns a Forwarder that serves h as the node "other".
func listen(t *testing.T, h host.Handler, o Options) *Forwarder {
	o.Secret, o.Logger = secret, slog.New(slog.NewTextHandler(t.Output(), nil))
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	f, err := Listen("127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	f.Serve("other", f.Addr().String(), h)
	return f
}

// passesOn is a server of net/http that passes all requests on to taker.
func passesOn(t *testing.T, f, taker *Forwarder) *httptest.Server {
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Host", "1")
		host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
			if answered, err := f.Pass(x, "other", taker.Addr().String()); !answered {
				_ = x.Reply(http.StatusTeapot, []byte(err.Error()))
			}
		}), w, r, host.HTTPConfig{Path: r.URL.Path, Details: func() host.Details {
			return host.Details{ClientIP: "192.0.2.1", RoutePattern: "/*", Params: map[string]string{"a": "b"}}
		}})
	}))
	t.Cleanup(hs.Close)
	return hs
}

func do(t *testing.T, method, url, body string, head ...string) (status int, answer string, h http.Header) {
	t.Helper()
	req, _ := http.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(head); i += 2 {
		req.Header.Add(head[i], head[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// TestExchange: each method of an exchange is that of the host where the request came.
func TestExchange(t *testing.T) {
	h := host.HandlerFunc(func(x host.Exchange) {
		d, _ := host.As[host.Detailer](x)
		switch x.Path() {
		case "request":
			x.SetHeader("X-One", "1")
			x.SetHeader("X-One", "2")
			x.AddHeader("X-Many", "a")
			x.AddHeader("X-Many", "b")
			_, again := host.As[Passed](x)
			_ = x.Reply(201, fmt.Appendf(nil, "%s %s %s %s %q %+v %v %v %v %v", x.Method(), x.Query("q"), x.RawQuery(), x.Header("x-a"), x.Header("Cookie"),
				d.Details(), x.TLS() == nil, x.Native() == nil, x.HasHeader("x-host"), x.HasHeader("x-none") || !again))
		case "body":
			b, err := x.Body(100)
			if err != nil {
				_ = x.Reply(413, fmt.Appendf(nil, "%v %v", errors.Is(err, host.ErrTooLarge), errors.Is(err, host.ErrTimeout)))
				return
			}
			_ = x.Reply(200, bytes.ToUpper(b))
		case "stream":
			err := x.Stream(200, func(s host.Stream) {
				for i := range 3 {
					_, _ = fmt.Fprintf(s, "piece %d,", i)
					if err := s.Flush(); err != nil {
						t.Error(err)
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		case "upgrade":
			var status interface{ HTTPStatus() int }
			err := x.Upgrade(host.UpgradeOptions{}, nil)
			_ = x.Reply(400, fmt.Appendf(nil, "%v %v", errors.Is(err, host.ErrHandshake), errors.As(err, &status) && status.HTTPStatus() == 426))
		case "panic":
			panic("a mistake")
		}
	})
	taker := listen(t, h, Options{})
	hs := passesOn(t, listen(t, nil, Options{}), taker)
	for _, row := range [][]string{
		{"GET", "/request?q=%20x", "", `201 GET  x q=%20x caf` + "\xe9" + ` "c=d" {URL:/request?q=%20x ClientIP:192.0.2.1 RoutePattern:/* Params:map[a:b] Values:map[] Believes:<nil>} true true true false`},
		{"POST", "/body", "small", "200 SMALL"},
		{"POST", "/body", strings.Repeat("x", 101), "413 true false"},
		{"GET", "/stream", "", "200 piece 0,piece 1,piece 2,"},
		{"GET", "/upgrade", "", "400 true true"},
		{"GET", "/silence", "", "418 node other at " + taker.Addr().String() + ": forward: the exchange has ended without an answer"},
		{"GET", "/panic", "", "418 node other at " + taker.Addr().String() + ": forward: the connection has ended"},
	} {
		head := []string{"X-A", "caf\xe9", "Cookie", "c=d"}
		if row[1] == "/upgrade" {
			head = append(head, "Connection", "upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "12", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
		}
		status, body, got := do(t, row[0], hs.URL+row[1], row[2], head...)
		if s := fmt.Sprint(status, " ", body); s != row[3] {
			t.Errorf("%s: %s\n instead of %s", row[1], s, row[3])
		}
		if row[1][:2] == "/r" && (got.Get("X-One") != "2" || len(got["X-Many"]) != 2 || got.Get("X-Host") != "1") {
			t.Error(got)
		}
	}
}

// TestClientLeaves: the node that has the session learns that the client has left.
func TestClientLeaves(t *testing.T) {
	held, gone := make(chan struct{}), make(chan error, 1)
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) {
		close(held)
		<-x.Gone()
		gone <- x.Reply(200, nil)
	}), Options{})
	hs := passesOn(t, listen(t, nil, Options{}), taker)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-held; cancel() }()
	req, _ := http.NewRequestWithContext(ctx, "GET", hs.URL, nil)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("an answer")
	}
	if err := <-gone; !errors.Is(err, host.ErrGone) {
		t.Error(err)
	}
}

// TestSilentNode: a node that says nothing holds nobody for longer than Options.Wait, and one
// that proves nothing for no longer than authTimeout.
func TestSilentNode(t *testing.T) {
	stop := make(chan struct{})
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) { <-stop }), Options{})
	defer close(stop)
	hs := passesOn(t, listen(t, nil, Options{Wait: 20 * time.Millisecond}), taker)
	if status, body, _ := do(t, "GET", hs.URL, ""); status != 418 || !strings.Contains(body, "no answer in time") {
		t.Error(status, body)
	}
}

// TestRefused: neither end accepts the other without the secret, or for another node.
func TestRefused(t *testing.T) {
	var refused atomic.Int32
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) { _ = x.Reply(200, nil) }), Options{Refused: func(string, error) { refused.Add(1) }})
	f := listen(t, nil, Options{})
	if _, err := f.dial("another", taker.Addr().String()); !errors.Is(err, errSecret) {
		t.Error(err)
	}
	f.opts.Secret = []byte("another")
	if _, err := f.dial("other", taker.Addr().String()); !errors.Is(err, errSecret) {
		t.Error(err)
	}
	// A node that does not know the secret itself, and returns what it was sent.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err == nil {
			_, _ = io.CopyN(io.Discard, c, int64(len(hello)))
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	if _, err := f.dial("other", ln.Addr().String()); !errors.Is(err, errSecret) {
		t.Error(err)
	}
	_ = ln.Close()
	<-done
	if n := f.Conns(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// faulty is an exchange of the application's, which panics in one method.
type faulty struct {
	host.Exchange
	at string
}

func (x faulty) fail(at string) {
	if x.at == at {
		panic(at)
	}
}

func (x faulty) Body(limit int64) ([]byte, error) { x.fail("Body"); return x.Exchange.Body(limit) }
func (x faulty) HasHeader(k string) bool          { x.fail("HasHeader"); return x.Exchange.HasHeader(k) }
func (x faulty) SetHeader(k, v string)            { x.fail("SetHeader"); x.Exchange.SetHeader(k, v) }
func (x faulty) Reply(status int, b []byte) error {
	x.fail("Reply")
	return x.Exchange.Reply(status, b)
}
func (x faulty) Stream(status int, run func(host.Stream)) error {
	x.fail("Stream")
	return x.Exchange.Stream(status, run)
}

func (x faulty) Upgrade(o host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	x.fail("Upgrade")
	return x.Exchange.Upgrade(o, run)
}

// TestPanic: what panics where the request came panics where the session is, which does then
// what it would do without another node; and it goes on panicking where the request came.
func TestPanic(t *testing.T) {
	there := make(chan any, 1)
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) {
		defer func() { there <- recover() }()
		switch x.Path() {
		case "Body":
			_, _ = x.Body(10)
		case "HasHeader":
			x.HasHeader("X-A")
		case "SetHeader":
			x.SetHeader("X-A", "1")
			_ = x.Reply(200, nil)
		case "Reply":
			_ = x.Reply(200, nil)
		case "Stream":
			_ = x.Stream(200, func(host.Stream) {})
		case "Upgrade":
			_ = x.Upgrade(host.UpgradeOptions{}, func(net.Conn, *bufio.Reader) {})
		}
	}), Options{})
	f := listen(t, nil, Options{})
	for _, at := range []string{"Body", "HasHeader", "SetHeader", "Reply", "Stream", "Upgrade"} {
		here := func() (p any) {
			defer func() { p = recover() }()
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) { _, _ = f.Pass(faulty{x, at}, "other", taker.Addr().String()) }),
				httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), host.HTTPConfig{Path: at})
			return nil
		}()
		if here != at {
			t.Errorf("%s: where the request came: %v", at, here)
		}
		if p, _ := (<-there).(error); !errors.Is(p, errPanic) {
			t.Errorf("%s: where the session is: %v", at, p)
		}
	}
}

// TestHeld: a request that waits is answered when its host has run out of patience, and when
// the node where it came leaves.
func TestHeld(t *testing.T) {
	held := make(chan struct{})
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) {
		held <- struct{}{}
		<-x.Gone()
		p, ok := host.As[host.Prober](x)
		_ = x.Reply(200, fmt.Appendf(nil, "%v %v", ok, p.Present()))
	}), Options{})
	for _, leaves := range []bool{true, false} {
		f := listen(t, nil, Options{})
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if !leaves {
			cancel()
			ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
		}
		defer cancel()
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
				if answered, err := f.Pass(x, "other", taker.Addr().String()); !answered || err != nil {
					t.Error(answered, err)
				}
			}), w, httptest.NewRequest("GET", "/", nil).WithContext(ctx), host.HTTPConfig{})
		}()
		<-held
		if leaves {
			if err := f.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		<-done
		if got := w.Body.String(); got != "true true" {
			t.Errorf("the node leaves: %v: %q", leaves, got)
		}
	}
}

// TestMalformed: a node that sends what is no exchange loses its connection.
func TestMalformed(t *testing.T) {
	var served atomic.Int32
	taker := listen(t, host.HandlerFunc(func(x host.Exchange) { served.Add(1); <-x.Gone() }), Options{})
	x := httptest.NewRequest("GET", "/", nil)
	var good []byte
	host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) { good = appendHead(nil, x) }), httptest.NewRecorder(), x, host.HTTPConfig{})
	for _, frames := range [][]frame{
		{{request, nil}}, {{request, good[:len(good)-1]}}, {{request, append(bytes.Clone(good), 0)}}, {{answer, nil}}, {{left, nil}}, {{'?', nil}},
		{{request, good}, {request, good}}, {{request, good}, {answer, []byte{0}}},
	} {
		nc, err := net.Dial("tcp", taker.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := newConn(nc)
		if err := c.prove(taker.opts.Secret, taker.self); err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if err := c.send(f.kind, f.data); err != nil {
				t.Error(err)
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c.br); err != nil && errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v: %v", frames, err)
		}
		_ = c.Close()
	}
}

func FuzzHead(f *testing.F) {
	for _, t := range []*tls.ConnectionState{nil, {Version: tls.VersionTLS13, ServerName: "x"}} {
		r := httptest.NewRequest("GET", "/a?b=c", nil)
		r.TLS = t
		host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) { f.Add(appendHead(nil, x)) }), httptest.NewRecorder(), r, host.HTTPConfig{Path: "a"})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, ok := parseHead(data); ok {
			x := &exchange{head: h}
			if again, ok := parseHead(appendHead(nil, x)); !ok || again.header("Host") != h.header("Host") || (again.tls == nil) != (h.tls == nil) {
				t.Errorf("%+v is %+v the second time", h, again)
			}
		}
		p := parser{data: data}
		_ = p.err()
		p.change(&exchange{})
	})
}
