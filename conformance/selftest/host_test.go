package selftest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/internal/wire"
)

// fault is what is wrong with a host. The zero value is a sound one over net/http.
type fault struct {
	opts     []conformance.Option                                  // what it is declared to lack
	racy     bool                                                  // the fault is a data race
	around   func(next http.Handler) http.Handler                  // around the whole host
	exchange func(x host.Exchange) host.Exchange                   // around every request of the server
	server   func(srv *sio.Server)                                 // before the host starts
	frames   func() *filter                                        // between websockets and their clients
	wrap     func(c net.Conn) net.Conn                             // around every connection
	routes   func(mux *http.ServeMux, h http.Handler, path string) // instead of the usual ones
	stop     func(t testing.TB, stop func()) func()                // instead of Stop
}

func (f fault) factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	if f.server != nil {
		f.server(srv)
	}
	var inner host.Handler = srv
	if f.exchange != nil {
		inner = host.HandlerFunc(func(x host.Exchange) { srv.ServeExchange(f.exchange(x)) })
	}
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "host=1")
		host.ServeHTTP(inner, w, r, host.HTTPConfig{Path: strings.TrimPrefix(r.URL.Path, cfg.Path)})
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	if f.routes != nil {
		f.routes(mux, h, cfg.Path)
	} else {
		mux.Handle(cfg.Path, h)
		mux.Handle(cfg.Path+"/", h)
	}
	h = mux
	if f.around != nil {
		h = f.around(mux)
	}
	hs := &http.Server{Handler: h, ErrorLog: testkit.ErrorLog(t)}
	ln, url := conformance.Listen(t, cfg)
	served := ln
	if f.frames != nil {
		served = listener{ln, func(c net.Conn) net.Conn { return &framed{Conn: c, filter: f.frames()} }}
	} else if f.wrap != nil {
		served = listener{ln, f.wrap}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = hs.Serve(served)
	}()
	stop := func() {
		_ = hs.Close()
		<-done
	}
	if f.stop != nil {
		stop = f.stop(t, stop)
	}
	return &conformance.Host{URL: url, Stop: stop}
}

type listener struct {
	net.Listener
	wrap func(c net.Conn) net.Conn
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// frame is a websocket frame without its mask.
type frame struct {
	b0   byte
	data []byte
}

func text(s string) frame        { return frame{0x81, []byte(s)} }
func (f frame) is(s string) bool { return f.b0 == 0x81 && string(f.data) == s }
func (f frame) has(prefix string) bool {
	return f.b0 == 0x81 && strings.HasPrefix(string(f.data), prefix)
}

// filter changes what a websocket carries; nil leaves a direction alone.
type filter struct {
	in, out func(f frame) []frame
}

// framed is a connection whose frames pass a filter once it is a websocket.
type framed struct {
	net.Conn
	*filter
	mu              sync.Mutex
	upgraded        bool
	lost            bool // what came is no frame: it passes as it is
	raw, ready, out []byte
}

func (c *framed) isUpgraded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.upgraded
}

func (c *framed) Read(p []byte) (int, error) {
	for {
		if len(c.ready) > 0 {
			n := copy(p, c.ready)
			c.ready = c.ready[n:]
			return n, nil
		}
		b := make([]byte, 64<<10)
		if len(p) < len(b) && !c.isUpgraded() {
			b = b[:len(p)]
		}
		n, err := c.Conn.Read(b)
		if n == 0 {
			return 0, err
		}
		if !c.isUpgraded() || c.in == nil || c.lost {
			c.ready = append(c.ready, b[:n]...)
			continue
		}
		c.raw = append(c.raw, b[:n]...)
		for {
			f, size, ok := parse(c.raw)
			if !ok {
				c.lost = size < 0
				if c.lost {
					c.ready, c.raw = append(c.ready, c.raw...), nil
				}
				break
			}
			c.raw = c.raw[size:]
			for _, f := range c.in(f) {
				c.ready = append(c.ready, wire.Frame(f.b0, f.data)...)
			}
		}
	}
}

// parse cuts a frame off; a negative size says that there is none to be had.
func parse(b []byte) (f frame, size int, ok bool) {
	if len(b) < 2 {
		return f, 0, false
	}
	n, at := int(b[1]&0x7f), 2
	switch n {
	case 126:
		if len(b) < 4 {
			return f, 0, false
		}
		n, at = int(b[2])<<8|int(b[3]), 4
	case 127:
		if len(b) < 10 {
			return f, 0, false
		}
		n, at = 0, 10
		for _, x := range b[2:10] {
			n = n<<8 | int(x)
		}
		if n < 0 || n > 4<<20 {
			return f, -1, false
		}
	}
	masked := b[1]&0x80 != 0
	if masked {
		at += 4
	}
	if len(b) < at+n {
		return f, 0, false
	}
	f = frame{b[0], bytes.Clone(b[at : at+n])}
	for i := range f.data {
		if masked {
			f.data[i] ^= b[at-4+i&3]
		}
	}
	return f, at + n, true
}

func (c *framed) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.upgraded {
		c.upgraded = bytes.HasPrefix(p, []byte("HTTP/1.1 101"))
		return c.Conn.Write(p)
	}
	if c.filter.out == nil {
		return c.Conn.Write(p)
	}
	c.out = append(c.out, p...)
	var b []byte
	for {
		f, size, ok := parse(c.out)
		if !ok {
			break
		}
		c.out = c.out[size:]
		for _, f := range c.filter.out(f) {
			b = append(b, unmasked(f)...)
		}
	}
	if len(b) > 0 {
		if _, err := c.Conn.Write(b); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// unmasked is a frame as servers send it.
func unmasked(f frame) []byte {
	b := wire.Frame(f.b0, nil)[:1]
	switch n := len(f.data); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126, byte(n>>8), byte(n))
	default:
		b = append(b, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, f.data...)
}

// answer is an answer that has not left yet.
type answer struct {
	http.ResponseWriter
	head   http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.head }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *answer) WriteHeader(status int)      { a.status = status }

func upgrade(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// answers changes every answer but those that upgrade or stream.
func answers(f func(r *http.Request, a *answer)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if upgrade(r) || strings.Contains(r.URL.Path, "htmlfile") || strings.Contains(r.URL.Path, "multipart") {
				next.ServeHTTP(w, r)
				return
			}
			a := &answer{head: w.Header(), status: http.StatusOK}
			next.ServeHTTP(a, r)
			f(r, a)
			w.Header().Del("Content-Length")
			w.WriteHeader(a.status)
			_, _ = w.Write(a.body.Bytes())
		})
	}
}

// replaced changes the text of answers.
func replaced(pairs ...string) func(http.Handler) http.Handler {
	rep := strings.NewReplacer(pairs...)
	return answers(func(_ *http.Request, a *answer) {
		s := rep.Replace(a.body.String())
		a.body.Reset()
		a.body.WriteString(s)
	})
}

// requests changes requests; reporting true, it has answered them.
func requests(f func(w http.ResponseWriter, r *http.Request) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !f(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// bodies changes the bodies of requests.
func bodies(f func(body string) string) func(http.Handler) http.Handler {
	return requests(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			b, _ := io.ReadAll(r.Body) // half a one is taken for a whole one
			s := f(string(b))
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s)), int64(len(s))
		}
		return false
	})
}

func out(f func(f frame) []frame) func() *filter {
	return func() *filter { return &filter{out: f} }
}

func in(f func(f frame) []frame) func() *filter {
	return func() *filter { return &filter{in: f} }
}
