package host

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// HTTPConfig says what a framework on net/http knows about a request. The zero value is
// a request for the mount point itself, of which nothing is known.
type HTTPConfig struct {
	// Path is the path below the mount point, in most frameworks what the wildcard at
	// the end of the route has matched. Outer slashes are trimmed.
	Path string
	// Escaped: Path is as the client has sent it, with %-sequences that are to be
	// decoded. Some routers decode what a wildcard has matched, others do not.
	Escaped bool
	// Mux: http.ServeMux, or a router that sets Request.Pattern as it does, may have
	// found the handler. Then the path below its pattern counts in the place of Path,
	// and RoutePattern and Params of the Details come from it, where Details has none.
	Mux bool
	// Native is what Exchange.Native returns; nil: the request.
	Native any
	// Details returns what Detailer.Details is to return; it need not set URL. It is
	// called during a handshake, and where an application makes a sio.Request, before
	// ServeHTTP returns. Nil: nothing is known.
	Details func() Details
}

// httpExchange is the Exchange over net/http, shared by every framework built on it.
type httpExchange struct {
	w     http.ResponseWriter
	r     *http.Request
	cfg   HTTPConfig
	read  bool // Body was called
	slow  bool // and the body has not come in time
	ended atomic.Bool
}

var (
	_ Exchange    = (*httpExchange)(nil)
	_ Detailer    = (*httpExchange)(nil)
	_ CookieHider = (*httpExchange)(nil)
)

// ServeHTTP serves one request of net/http with h. For a framework that is built on
// net/http this is the whole adapter. w may be a writer that middleware has put around
// the server's own; it should have the method Unwrap that http.ResponseController looks
// for. Without Unwrap, streams and websockets are refused.
//
// ServeHTTP returns when the request has its answer, which for a long poll takes as
// long as the poll is held. A connection that has become a websocket lives on. So write
// nothing to w after ServeHTTP, and return no error to a framework that would write
// one. From then on Native of the exchange returns nil.
func ServeHTTP(h Handler, w http.ResponseWriter, r *http.Request, cfg HTTPConfig) {
	switch {
	case cfg.Mux && r.Pattern != "":
		cfg.Path = belowPattern(r)
	case cfg.Escaped:
		if decoded, err := url.PathUnescape(cfg.Path); err == nil {
			cfg.Path = decoded
		}
	}
	cfg.Path = strings.Trim(cfg.Path, "/")
	x := &httpExchange{w: w, r: r, cfg: cfg}
	defer x.ended.Store(true)
	h.ServeExchange(x)
}

func (x *httpExchange) Method() string { return x.r.Method }

func (x *httpExchange) Path() string { return x.cfg.Path }

func (x *httpExchange) RawQuery() string { return x.r.URL.RawQuery }

// Query implements Exchange. It walks the raw query: a poll asks for four short
// keys, and url.ParseQuery would build a map for them.
func (x *httpExchange) Query(key string) string { return QueryValue(x.r.URL.RawQuery, key) }

func (x *httpExchange) Header(key string) string {
	if strings.EqualFold(key, "Host") {
		return x.r.Host
	}
	return x.r.Header.Get(key)
}

func (x *httpExchange) EachHeader(f func(key, value string)) {
	f("Host", x.r.Host)
	for k, vs := range x.r.Header {
		for _, v := range vs {
			f(k, v)
		}
	}
}

// HideCookies implements CookieHider. The request is the framework's own, whose
// context shows no cookies either from here on.
func (x *httpExchange) HideCookies() { x.r.Header.Del("Cookie") }

func (x *httpExchange) Body(limit int64) ([]byte, error) {
	x.read = true
	// Not every writer chain can set deadlines; then the server's own limits hold.
	body, err := ReadBody(x.r.Body, x.r.ContentLength, limit, http.NewResponseController(x.w).SetReadDeadline)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("%w by the host, whose limit is %d bytes: %w", ErrTooLarge, tooLarge.Limit, err)
	}
	x.slow = errors.Is(err, ErrTimeout)
	if errors.Is(err, ErrTooLarge) {
		x.w.Header().Set("Connection", "close")
	}
	return body, err
}

func (x *httpExchange) RemoteAddr() string { return x.r.RemoteAddr }

func (x *httpExchange) TLS() *tls.ConnectionState { return x.r.TLS }

func (x *httpExchange) SetHeader(key, value string) { x.w.Header().Set(key, value) }

func (x *httpExchange) AddHeader(key, value string) { x.w.Header().Add(key, value) }

func (x *httpExchange) HasHeader(key string) bool { return x.w.Header().Get(key) != "" }

// Reply implements Exchange. The body is flushed before it returns, so that a
// write the host's deadline swallowed is seen as an error. It fails when the
// client takes nothing for StreamTimeout, or for the server's WriteTimeout where
// that is shorter.
func (x *httpExchange) Reply(status int, body []byte) error {
	// Asked before the answer leaves: a client that has all of it may close its
	// connection before the write returns here. A read that has run into its deadline
	// ends the context of the request too, though the client is there.
	if !x.slow && errors.Is(x.r.Context().Err(), context.Canceled) {
		return ErrGone
	}
	x.leaveBody()
	h := x.w.Header()
	if h.Get("Content-Length") == "" {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	// Whatever wraps the writer may hold the bytes back until the handler returns.
	chain := writers(x.w)
	ends := len(chain) > 1 && len(body) > writePiece && x.ends()
	x.w.WriteHeader(status) // always explicit: gin's NoRoute has prepared a 404
	// The deadlines also replace a host's WriteTimeout, which began with the
	// request: shorter than the poll, it would lose the answer silently.
	if _, err := write(x.w, body, x.patience()); err != nil {
		return err
	}
	// While the deadline holds: what net/http has kept it would write without one.
	if err := flush(chain); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, ErrNoStream) {
		return err
	}
	x.rest(len(body), ends)
	return nil
}

func (x *httpExchange) Stream(status int, run func(Stream)) error {
	chain := writers(x.w)
	if !canFlush(chain[len(chain)-1]) {
		return fmt.Errorf("%w: none of the writers %s can flush (timeout or buffering middleware?)", ErrNoStream, names(chain))
	}
	ends := x.ends() // nobody needs the connection for more, and its end is written too
	x.w.WriteHeader(status)
	run(&httpStream{x.w, x.patience(), chain})
	x.leaveBody()
	x.rest(0, ends)
	return nil
}

type httpStream struct {
	http.ResponseWriter
	patience time.Duration
	chain    []http.ResponseWriter
}

// Write fails when the client takes nothing for as long as Reply allows: it must
// not keep the goroutine and the memory of a stream.
func (s *httpStream) Write(p []byte) (int, error) { return write(s.ResponseWriter, p, s.patience) }

func (s *httpStream) Flush() error { return flush(s.chain) }

// flush flushes every layer, outermost first: a layer that only pretends to
// flush must not hide the one below it.
func flush(chain []http.ResponseWriter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v (writers: %s)", ErrNoStream, p, names(chain))
		}
	}()
	err = errors.ErrUnsupported
	for _, w := range chain {
		var e error
		switch f := w.(type) {
		case interface{ FlushError() error }:
			e = f.FlushError()
		case http.Flusher:
			f.Flush()
		default:
			continue
		}
		if e == nil && errors.Is(err, errors.ErrUnsupported) {
			err = nil
		} else if e != nil && !errors.Is(e, errors.ErrUnsupported) {
			err = e
		}
	}
	return err
}

// Upgrade returns as soon as the connection is taken
// over; run has a goroutine of its own, so the host's handler, its writer, its
// buffers and its pooled context are free at once.
func (x *httpExchange) Upgrade(opts UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error {
	answer, err := SwitchingProtocols(x, opts, x.w.Header().Values("Set-Cookie"))
	if err != nil {
		return err
	}
	if !x.r.ProtoAtLeast(1, 1) {
		return fmt.Errorf("%w: the request is older than HTTP/1.1", ErrHandshake)
	}
	conn, brw, err := hijack(x.w)
	if err != nil {
		return err
	}
	// The 101 is written on the taken connection, where no middleware can hold
	// it back or answer in its place.
	_ = conn.SetWriteDeadline(time.Now().Add(StreamTimeout))
	if _, err := conn.Write(answer); err != nil {
		_ = conn.Close() // run finds that out, and ends what was begun for it
	}
	_ = conn.SetWriteDeadline(time.Time{})
	early := earlyBytes(brw.Reader)
	go run(conn, early)
	return nil
}

// earlyBytes returns what the client sent right behind its handshake, or nil.
// The host's reader and its 4 KiB are not kept.
func earlyBytes(br *bufio.Reader) *bufio.Reader {
	n := br.Buffered()
	if n == 0 {
		return nil
	}
	p, _ := br.Peek(n)
	return bufio.NewReaderSize(bytes.NewReader(append([]byte(nil), p...)), 16)
}

// Gone implements Exchange. A context that ended for another reason than the
// client leaving (a timeout middleware) is not Gone; Present tells them apart.
func (x *httpExchange) Gone() <-chan struct{} { return x.r.Context().Done() }

// Present implements Prober: a context that merely ran into a deadline does not
// mean that the client has left.
func (x *httpExchange) Present() bool { return !errors.Is(x.r.Context().Err(), context.Canceled) }

func (x *httpExchange) Native() any {
	if x.ended.Load() {
		return nil
	}
	if x.cfg.Native == nil {
		return x.r
	}
	return x.cfg.Native
}

func (x *httpExchange) Details() Details {
	var d Details
	if x.cfg.Details != nil {
		d = x.cfg.Details()
	}
	if x.cfg.Mux && x.r.Pattern != "" {
		x.fromPattern(&d)
	}
	d.URL = x.r.URL.RequestURI()
	if d.ClientIP == "" && d.Believes == nil && replaced(x.r.RemoteAddr) {
		d.Believes = func() string {
			return "a middleware that writes http.Request.RemoteAddr, such as chi's middleware.RealIP, unless it asks who the peer is"
		}
	}
	return d
}

// replaced reports whether addr is not what net/http has written there: a host and a
// port, or for a unix socket a path, "@", or nothing.
func replaced(addr string) bool {
	if addr == "" || addr[0] == '@' || addr[0] == '/' {
		return false
	}
	_, _, err := net.SplitHostPort(addr)
	return err != nil
}

func canFlush(w http.ResponseWriter) bool {
	switch w.(type) {
	case interface{ FlushError() error }, http.Flusher:
		return true
	}
	return false
}

// writers lists the Unwrap chain of w, outermost first.
func writers(w http.ResponseWriter) (ws []http.ResponseWriter) {
	for w != nil {
		ws = append(ws, w)
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	return ws
}

func names(ws []http.ResponseWriter) string {
	var b strings.Builder
	for i, w := range ws {
		if i > 0 {
			b.WriteString(" > ")
		}
		fmt.Fprintf(&b, "%T", w)
	}
	return b.String()
}

// hijack takes over the connection below w. Only the innermost writer is
// trusted to say whether that is possible: gin's claims it always, panics when
// it is not, and leaves the response marked as written.
func hijack(w http.ResponseWriter) (c net.Conn, brw *bufio.ReadWriter, err error) {
	chain := writers(w)
	defer func() {
		if p := recover(); p != nil {
			c, brw, err = nil, nil, fmt.Errorf("%w: %v (writers: %s)", ErrNoHijack, p, names(chain))
		}
	}()
	if _, ok := chain[len(chain)-1].(http.Hijacker); !ok {
		return nil, nil, fmt.Errorf("%w: the writers %s do not end in an http.Hijacker (timeout or buffering middleware?)", ErrNoHijack, names(chain))
	}
	for i, w := range chain {
		h, ok := w.(http.Hijacker)
		if !ok {
			continue
		}
		if i+1 < len(chain) {
			// A layer that looks one level down only cannot hijack when that level cannot.
			if _, next := chain[i+1].(http.Hijacker); !next {
				continue
			}
		}
		if c, brw, err = h.Hijack(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w (writers: %s)", ErrNoHijack, err, names(chain))
		}
		return c, brw, nil
	}
	return nil, nil, fmt.Errorf("%w (writers: %s)", ErrNoHijack, names(chain))
}
