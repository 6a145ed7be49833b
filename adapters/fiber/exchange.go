package siofiber

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/host/connwatch"
)

// exchange is the host.Exchange over fasthttp. Every string is copied: fasthttp
// reuses the memory for the next request on the connection.
type exchange struct {
	c     *fiber.Ctx
	opts  *options
	ended atomic.Bool
	watch *connwatch.Watch // once Gone was asked
}

var (
	_ host.Exchange = (*exchange)(nil)
	_ host.Detailer = (*exchange)(nil)
	_ host.Prober   = (*exchange)(nil)
)

func (x *exchange) end() {
	if x.watch != nil {
		x.watch.Stop()
	}
	x.ended.Store(true)
}

func (x *exchange) Method() string { return strings.Clone(x.c.Method()) }

func (x *exchange) Path() string {
	path := strings.Trim(x.c.Params("*"), "/")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	return strings.Clone(path)
}

func (x *exchange) RawQuery() string        { return string(x.c.Request().URI().QueryString()) }
func (x *exchange) Query(key string) string { return host.QueryValue(x.RawQuery(), key) }

func (x *exchange) Header(key string) string { return string(x.c.Request().Header.Peek(key)) }

func (x *exchange) EachHeader(f func(key, value string)) {
	//lint:ignore SA1019 All does not exist in the oldest fasthttp that this runs on
	x.c.Request().Header.VisitAll(func(k, v []byte) { f(string(k), string(v)) })
}

func (x *exchange) Body(limit int64) ([]byte, error) {
	req := x.c.Request()
	if int64(req.Header.ContentLength()) > limit {
		x.c.Response().SetConnectionClose()
		return nil, host.ErrTooLarge
	}
	if req.IsBodyStream() {
		return x.streamedBody(limit)
	}
	// The raw body: fiber's own accessor would inflate it without a bound.
	if body := req.Body(); int64(len(body)) <= limit {
		return bytes.Clone(body), nil
	}
	return nil, host.ErrTooLarge
}

// streamedBody reads the body of an app with StreamRequestBody.
func (x *exchange) streamedBody(limit int64) ([]byte, error) {
	conn := x.c.Context().Conn()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(io.LimitReader(x.c.Context().RequestBodyStream(), limit+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, host.ErrTimeout
	case err != nil:
		return nil, err
	case int64(len(body)) > limit:
		x.c.Response().SetConnectionClose()
		return nil, host.ErrTooLarge
	}
	return body, nil
}

func (x *exchange) RemoteAddr() string        { return x.c.Context().RemoteAddr().String() }
func (x *exchange) TLS() *tls.ConnectionState { return x.c.Context().TLSConnectionState() }
func (x *exchange) SetHeader(key, value string) {
	x.c.Response().Header.Set(key, value)
}

func (x *exchange) AddHeader(key, value string) {
	x.c.Response().Header.Add(key, value)
}

func (x *exchange) HasHeader(key string) bool { return len(x.c.Response().Header.Peek(key)) > 0 }

// Reply cannot tell whether the client gets the answer: fasthttp writes it after
// the handler has returned. A client of a held poll that has left already is
// noticed; the others are the heartbeat's business.
func (x *exchange) Reply(status int, body []byte) error {
	if !x.Present() {
		return host.ErrGone
	}
	resp := x.c.Response()
	resp.SetStatusCode(status)
	if len(body) <= host.WritePiece || x.c.App().Server().WriteTimeout > 0 {
		resp.SetBody(body)
		return nil
	}
	// The server has no deadline for what it writes. The one of the last piece
	// stays with the connection, which therefore ends with this answer.
	resp.SetConnectionClose()
	resp.SetBodyStream(&pieces{rest: bytes.Clone(body), conn: x.c.Context().Conn()}, len(body))
	return nil
}

// pieces is a body that gives the client host.StreamTimeout for each
// host.WritePiece of it. fasthttp reads it while it writes the answer.
type pieces struct {
	rest []byte
	conn net.Conn
	left int // of the piece
}

func (b *pieces) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if b.left <= 0 {
		b.left = host.WritePiece
		_ = b.conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.left -= n
	return n, nil
}

func (x *exchange) Stream(status int, run func(host.Stream)) error {
	x.c.Response().SetStatusCode(status)
	// What run has written may still be on its way when it returns, and so may the
	// end of the stream: the deadline stays, and the connection ends.
	x.c.Response().SetConnectionClose()
	conn := x.c.Context().Conn()
	x.c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		run(stream{w, conn})
		_ = conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
	})
	return nil
}

type stream struct {
	w    *bufio.Writer
	conn net.Conn
}

// Write gives fasthttp, which writes elsewhere, a deadline for each piece.
func (s stream) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		_ = s.conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
		var m int
		m, err = s.w.Write(p[n:min(len(p), n+host.WritePiece)])
		n += m
	}
	return n, err
}

func (s stream) Flush() error { return s.w.Flush() }

// upgrader does the opening handshake, with the headers and cookies that other
// handlers have put on the response. Its own connection is never used: its
// buffers are as small as they can be and go with the hijack handler.
var upgrader = websocket.FastHTTPUpgrader{
	CheckOrigin:     func(*fasthttp.RequestCtx) bool { return true }, // the core has checked it
	ReadBufferSize:  1,
	WriteBufferSize: 1,
	WriteBufferPool: &sync.Pool{},
}

func (x *exchange) Upgrade(opts host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	if err := host.CheckHandshake(x); err != nil {
		return err
	}
	up := upgrader
	up.Subprotocols = opts.Protocols
	return up.Upgrade(x.c.Context(), func(ws *websocket.Conn) { takeOver(ws.NetConn(), run) })
}

// takeOver runs in fasthttp's hijack handler. When that returns, fasthttp closes
// the connection and gives its wrapper to another client; while it runs, its
// deep stack and its request are kept. So the connection is duplicated and
// served elsewhere, and where that is not possible the handler stays until the
// connection has ended.
func takeOver(hijacked net.Conn, run func(net.Conn, *bufio.Reader)) {
	raw := hijacked
	if u, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
		raw = u.UnsafeConn()
	}
	early := buffered(raw, hijacked)
	if own, err := connwatch.Duplicate(raw); err == nil {
		go run(own, early)
		return
	}
	held := &heldConn{Conn: raw, closed: make(chan struct{})}
	run(held, early)
	<-held.closed
}

// buffered returns what fasthttp has read beyond the handshake: a read through
// its wrapper gives that first, and the passed deadline ends it there.
func buffered(raw, hijacked net.Conn) *bufio.Reader {
	_ = raw.SetReadDeadline(time.Unix(1, 0))
	early, _ := io.ReadAll(hijacked)
	_ = raw.SetDeadline(time.Time{})
	if len(early) == 0 {
		return nil
	}
	return bufio.NewReaderSize(bytes.NewReader(early), 16)
}

// heldConn tells when it is closed.
type heldConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// CloseWrite is that of the connection, where it has one.
func (c *heldConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close ends the hijack handler too. fasthttp's wrapper would do nothing here.
func (c *heldConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// Gone is closed by a sweeper: fasthttp does not watch the connection while a
// handler runs.
func (x *exchange) Gone() <-chan struct{} {
	if x.watch == nil {
		x.watch = connwatch.Start(x.c.Context().Conn(), x.c.Context().Done())
	}
	return x.watch.Gone()
}

// Present implements host.Prober.
func (x *exchange) Present() bool { return x.watch == nil || x.watch.Present() }

func (x *exchange) Caps() (host.Caps, string) {
	return host.CapStream | host.CapWebSocket | host.CapGone | host.CapDeadlines, "fasthttp"
}

func (x *exchange) Native() any {
	if x.ended.Load() {
		return nil
	}
	return x.c
}

func (x *exchange) Details() host.Details { return x.details() }
