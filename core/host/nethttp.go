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
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// HTTPConfig says what a net/http framework knows about a request.
type HTTPConfig struct {
	// Path is the path below the mount point; outer slashes are trimmed.
	Path string
	// Native is what Exchange.Native returns; nil means the request.
	Native any
	// Details is called at most once, during a handshake. Nil: none.
	Details func() Details
}

// HTTP is the Exchange over net/http, shared by every framework built on it.
type HTTP struct {
	w     http.ResponseWriter
	r     *http.Request
	cfg   HTTPConfig
	read  bool // Body was called
	slow  bool // and the body has not come in time
	ended atomic.Bool
}

var (
	_ Exchange    = (*HTTP)(nil)
	_ Detailer    = (*HTTP)(nil)
	_ CookieHider = (*HTTP)(nil)
)

// ServeHTTP serves one net/http request with h. The exchange is over when it
// returns: Native is nil from then on, whoever kept it.
func ServeHTTP(h Handler, w http.ResponseWriter, r *http.Request, cfg HTTPConfig) {
	cfg.Path = strings.Trim(cfg.Path, "/")
	x := &HTTP{w: w, r: r, cfg: cfg}
	defer x.ended.Store(true)
	h.ServeExchange(x)
}

func (x *HTTP) Method() string { return x.r.Method }

func (x *HTTP) Path() string { return x.cfg.Path }

func (x *HTTP) RawQuery() string { return x.r.URL.RawQuery }

// Query implements Exchange. It walks the raw query: a poll asks for four short
// keys, and url.ParseQuery would build a map for them.
func (x *HTTP) Query(key string) string { return QueryValue(x.r.URL.RawQuery, key) }

func (x *HTTP) Header(key string) string {
	if strings.EqualFold(key, "Host") {
		return x.r.Host
	}
	return x.r.Header.Get(key)
}

func (x *HTTP) EachHeader(f func(key, value string)) {
	f("Host", x.r.Host)
	for k, vs := range x.r.Header {
		for _, v := range vs {
			f(k, v)
		}
	}
}

// HideCookies implements CookieHider. The request is the framework's own, whose
// context shows no cookies either from here on.
func (x *HTTP) HideCookies() { x.r.Header.Del("Cookie") }

func (x *HTTP) Body(limit int64) ([]byte, error) {
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

func (x *HTTP) RemoteAddr() string { return x.r.RemoteAddr }

func (x *HTTP) TLS() *tls.ConnectionState { return x.r.TLS }

func (x *HTTP) SetHeader(key, value string) { x.w.Header().Set(key, value) }

func (x *HTTP) AddHeader(key, value string) { x.w.Header().Add(key, value) }

func (x *HTTP) HasHeader(key string) bool { return x.w.Header().Get(key) != "" }

// Reply implements Exchange. The body is flushed before it returns, so that a
// write the host's deadline swallowed is seen as an error. It fails when the
// client takes nothing for StreamTimeout, or for the server's WriteTimeout where
// that is shorter.
func (x *HTTP) Reply(status int, body []byte) error {
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
	ends := len(chain) > 1 && len(body) > WritePiece && x.ends()
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

func (x *HTTP) Stream(status int, run func(Stream)) error {
	if caps, names := x.Caps(); !caps.Has(CapStream) {
		return fmt.Errorf("%w: none of the writers %s can flush (timeout or buffering middleware?)", ErrNoStream, names)
	}
	ends := x.ends() // nobody needs the connection for more, and its end is written too
	x.w.WriteHeader(status)
	run(&httpStream{x.w, x.patience(), writers(x.w)})
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

// Upgrade implements Exchange. It returns as soon as the connection is taken
// over; run has a goroutine of its own, so the host's handler, its writer, its
// buffers and its pooled context are free at once.
func (x *HTTP) Upgrade(opts UpgradeOptions, run func(c net.Conn, br *bufio.Reader)) error {
	if err := CheckHandshake(x); err != nil {
		return err
	}
	if !x.r.ProtoAtLeast(1, 1) {
		return &HandshakeError{Status: http.StatusBadRequest, Reason: "the request is older than HTTP/1.1"}
	}
	answer := SwitchingProtocols(x, opts, x.w.Header().Values("Set-Cookie"))
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
func (x *HTTP) Gone() <-chan struct{} { return x.r.Context().Done() }

// Present implements Prober: a context that merely ran into a deadline does not
// mean that the client has left.
func (x *HTTP) Present() bool { return !errors.Is(x.r.Context().Err(), context.Canceled) }

func (x *HTTP) Caps() (Caps, string) {
	chain := writers(x.w)
	caps := CapGone
	last := chain[len(chain)-1]
	if _, ok := last.(http.Hijacker); ok {
		caps |= CapWebSocket
	}
	if canFlush(last) {
		caps |= CapStream
	}
	if _, ok := last.(interface{ SetWriteDeadline(time.Time) error }); ok {
		caps |= CapDeadlines
	}
	return caps, names(chain)
}

func (x *HTTP) Native() any {
	if x.ended.Load() {
		return nil
	}
	if x.cfg.Native == nil {
		return x.r
	}
	return x.cfg.Native
}

func (x *HTTP) Details() Details {
	var d Details
	if x.cfg.Details != nil {
		d = x.cfg.Details()
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
