package host_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type handlerFunc func(x host.Exchange)

func (f handlerFunc) ServeExchange(x host.Exchange) { f(x) }

// The writers that middleware puts around a response.
type (
	opaque   struct{ http.ResponseWriter } // no Unwrap: hides everything
	unwraps  struct{ http.ResponseWriter } // only Unwrap
	pretends struct{ http.ResponseWriter } // claims Hijacker and Flusher, whatever is below, as gin does
	silent   struct{ http.ResponseWriter } // Flush does nothing, Unwrap tells the truth
)

func (w unwraps) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w silent) Unwrap() http.ResponseWriter  { return w.ResponseWriter }
func (w silent) Flush()                       {}

func (w pretends) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack() // panics over a writer that cannot
}
func (w pretends) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
func (w pretends) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func server(t *testing.T, wrap func(http.Handler) http.Handler, f handlerFunc) string {
	t.Helper()
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host.ServeHTTP(f, w, r, host.HTTPConfig{Path: "/a/b/"})
	}))
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func around(w func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { next.ServeHTTP(w(rw), r) })
	}
}

// TestWriters is the table of writer stacks: what can work does, the others
// answer at once with a text that names them.
func TestWriters(t *testing.T) {
	for _, row := range []struct {
		name       string
		wrap       func(http.Handler) http.Handler
		ws, stream bool
		text       string // in both errors when refused: the writers
	}{
		{name: "none", ws: true, stream: true},
		{name: "opaque", wrap: around(func(w http.ResponseWriter) http.ResponseWriter { return opaque{w} }), text: "writers host_test.opaque "},
		{name: "unwrap only", wrap: around(func(w http.ResponseWriter) http.ResponseWriter { return unwraps{w} }), ws: true, stream: true},
		{name: "pretends over the real one", wrap: around(func(w http.ResponseWriter) http.ResponseWriter { return pretends{w} }), ws: true, stream: true},
		{name: "pretends over unwrap only", wrap: around(func(w http.ResponseWriter) http.ResponseWriter { return pretends{unwraps{w}} }), ws: true, stream: true},
		{name: "pretends over opaque", wrap: around(func(w http.ResponseWriter) http.ResponseWriter { return pretends{opaque{w}} }), text: "writers host_test.pretends > host_test.opaque "},
		{name: "silent flush", wrap: around(func(w http.ResponseWriter) http.ResponseWriter { return silent{w} }), ws: true, stream: true},
		{name: "TimeoutHandler", wrap: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "late") }, text: "writers *http.timeoutWriter "},
	} {
		t.Run(row.name, func(t *testing.T) {
			url := server(t, row.wrap, func(x host.Exchange) {
				x.SetHeader("Set-Cookie", "a=b")
				if x.Header("Upgrade") != "" {
					err := x.Upgrade(host.UpgradeOptions{}, func(c net.Conn, br *bufio.Reader) {
						early := ""
						if br != nil {
							b, _ := io.ReadAll(br)
							early = string(b)
						}
						_, _ = io.WriteString(c, "raw after "+early)
						_ = c.Close()
					})
					if err != nil {
						_ = x.Reply(http.StatusNotImplemented, []byte(err.Error()))
					}
					return
				}
				if err := x.Stream(http.StatusOK, func(s host.Stream) {
					_, _ = io.WriteString(s, "first")
					if err := s.Flush(); err != nil {
						t.Errorf("flush: %v", err)
					}
					select {
					case <-x.Gone(): // the client has seen the first piece and left
					case <-time.After(5 * time.Second):
						t.Error("the client never left")
					}
				}); err != nil {
					_ = x.Reply(http.StatusNotImplemented, []byte(err.Error()))
				}
			})
			got := upgrade(t, url)
			if row.ws && (!strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.Contains(got, "Set-Cookie: a=b\r\n") || !strings.HasSuffix(got, "raw after early")) {
				t.Errorf("upgrade: %q", got)
			}
			if !row.ws && (!strings.HasPrefix(got, "HTTP/1.1 501 ") || !strings.Contains(got, row.text+"do not end in an http.Hijacker (timeout or buffering middleware?)")) {
				t.Errorf("refusal: %q", got)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b := make([]byte, 5)
			_, _ = io.ReadFull(resp.Body, b)
			if !row.stream {
				rest, _ := io.ReadAll(resp.Body)
				b = append(b, rest...)
			}
			if row.stream && string(b) != "first" || !row.stream && (resp.StatusCode != http.StatusNotImplemented ||
				!strings.Contains(string(b), row.text+"can flush (timeout or buffering middleware?)")) {
				t.Errorf("stream: %d %q", resp.StatusCode, b)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

// upgrade sends a handshake with bytes behind it and returns all that comes.
func upgrade(t *testing.T, url string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly")
	br := bufio.NewReader(c)
	var all strings.Builder
	for {
		line, err := br.ReadString('\n')
		all.WriteString(line)
		if err != nil || line == "\r\n" {
			break
		}
	}
	if !strings.HasPrefix(all.String(), "HTTP/1.1 101") {
		b := make([]byte, 1024)
		n, _ := br.Read(b)
		return all.String() + string(b[:n])
	}
	rest, _ := io.ReadAll(br)
	return all.String() + string(rest)
}

func TestBody(t *testing.T) {
	var got error
	url := server(t, nil, func(x host.Exchange) {
		var b []byte
		b, got = x.Body(10)
		_ = x.Reply(http.StatusOK, b)
	})
	for _, row := range []struct {
		body io.Reader
		want error
	}{
		{strings.NewReader("0123456789"), nil},
		{strings.NewReader("0123456789x"), host.ErrTooLarge},
		{io.MultiReader(strings.NewReader("01234"), strings.NewReader("56789")), nil}, // chunked
		{io.MultiReader(strings.NewReader("0123456789"), strings.NewReader("x")), host.ErrTooLarge},
	} {
		resp, err := http.Post(url, "text/plain", row.body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if !errors.Is(got, row.want) {
			t.Errorf("%v instead of %v", got, row.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestWriteTimeout: a host's WriteTimeout shorter than the wait must not lose
// the answer silently (reliability, finding 4).
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handlerFunc(func(x host.Exchange) {
			time.Sleep(3 * time.Second) // the poll is held, longer than WriteTimeout
			if err := x.Reply(http.StatusOK, []byte("late")); err != nil {
				t.Errorf("reply: %v", err)
			}
		})
		l := piped{make(chan net.Conn, 1), make(chan struct{})}
		srv := &http.Server{WriteTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host.ServeHTTP(h, w, r, host.HTTPConfig{})
		})}
		go func() { _ = srv.Serve(l) }()
		client, server := net.Pipe()
		defer func() {
			_ = client.Close()
			close(l.over)
			_ = srv.Close()
		}()
		l.conns <- server
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "late" {
			t.Errorf("%q", b)
		}
	})
}

func TestExchange(t *testing.T) {
	url := server(t, nil, func(x host.Exchange) {
		if x.Path() != "a/b" || x.Query("q") != "a b" || x.Query("k/") != "v" || x.Query("none") != "" || x.Header("x-a") != "1" || x.Method() != "GET" {
			t.Errorf("%q %q %q %q", x.Path(), x.Query("q"), x.Query("k/"), x.Header("x-a"))
		}
		hosts := 0
		x.EachHeader(func(k, _ string) {
			if k == "Host" {
				hosts++
			}
		})
		if hosts != 1 {
			t.Errorf("%d Host headers", hosts)
		}
		_ = x.Reply(http.StatusTeapot, nil)
	})
	req, _ := http.NewRequest("GET", url+"/?q=a+b&k%2F=v&d=1&%64=2", nil)
	req.Header.Set("X-A", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot {
		t.Error(resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestReplyToHastyClient: a client that closes its connection as soon as it has
// the whole answer has got it.
func TestReplyToHastyClient(t *testing.T) {
	const size = 200_000
	results := make(chan error, 1)
	url := server(t, nil, func(x host.Exchange) { results <- x.Reply(http.StatusOK, make([]byte, size)) })
	for range 200 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		_ = c.Close()
		if err := <-results; err != nil {
			t.Fatalf("Reply: %v", err)
		}
	}
}

// TestReplacedAddress: an address of the peer that net/http has not written there is
// somebody's claim; a framework that finds the client itself knows more.
func TestReplacedAddress(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.1:7": false, "[2001:db8::1]:7": false, "": false, "@": false, "@name": false, "/run/io.sock": false,
		"198.51.100.7": true, "2001:db8::1": true, "[2001:db8::1]": true, "unknown": true,
	} {
		for _, own := range []host.Details{{}, {ClientIP: "192.0.2.9"}, {Believes: func() string { return "" }}} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = addr
			host.ServeHTTP(host.HandlerFunc(func(x host.Exchange) {
				d, _ := host.As[host.Detailer](x)
				believes := d.Details().Believes
				got := believes != nil && believes() != ""
				if want := want && own.ClientIP == "" && own.Believes == nil; got != want {
					t.Errorf("%q, client %q: replaced %v", addr, own.ClientIP, got)
				}
			}), httptest.NewRecorder(), r, host.HTTPConfig{Details: func() host.Details { return own }})
		}
	}
}
