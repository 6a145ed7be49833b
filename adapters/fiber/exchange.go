package siofiber

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/connwatch"
)

// exchange is the host.Exchange over fasthttp. Every string is copied: fasthttp
// reuses the memory for the next request on the connection.
type exchange struct {
	c       *fiber.Ctx
	opts    *options
	query   string      // copied once
	headers [][2]string // likewise
	ended   atomic.Bool
	watch   *connwatch.Watch // once Gone was asked
}

var (
	_ host.Exchange = (*exchange)(nil)
	_ host.Detailer = (*exchange)(nil)
	_ host.Prober   = (*exchange)(nil)

	_ host.CookieHider = (*exchange)(nil)
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

func (x *exchange) RawQuery() string {
	if x.query == "" {
		x.query = string(x.c.Request().URI().QueryString())
	}
	return x.query
}

func (x *exchange) Query(key string) string { return host.QueryValue(x.RawQuery(), key) }

// Header looks at every header of an app with DisableHeaderNormalizing, where
// fasthttp finds those only that are written as asked for.
func (x *exchange) Header(key string) string {
	if s := x.c.App().Server(); s == nil || !s.DisableHeaderNamesNormalizing {
		return string(x.c.Request().Header.Peek(key))
	}
	return host.FirstHeader(x, key)
}

func (x *exchange) HideCookies() {
	h := &x.c.Request().Header
	h.DelAllCookies() // puts them together first, however they were written
	h.Del(fiber.HeaderCookie)
	x.headers = nil
}

// EachHeader copies the headers once: several look at them, and what a socket keeps
// must not lie between copies that nobody keeps.
func (x *exchange) EachHeader(f func(key, value string)) {
	if x.headers == nil {
		h := &x.c.Request().Header
		x.headers = make([][2]string, 0, h.Len())
		//lint:ignore SA1019 All does not exist in the oldest fasthttp that this runs on
		h.VisitAll(func(k, v []byte) { x.headers = append(x.headers, [2]string{string(k), string(v)}) })
	}
	for _, h := range x.headers {
		f(h[0], h[1])
	}
}

func (x *exchange) Body(limit int64) ([]byte, error) {
	req := x.c.Request()
	if req.IsBodyStream() {
		body, err := host.ReadBody(x.c.Context().RequestBodyStream(), int64(req.Header.ContentLength()), limit, x.c.Context().Conn().SetReadDeadline)
		if err != nil {
			x.c.Response().SetConnectionClose()
		}
		return body, err
	}
	// The raw body: fiber's own accessor would inflate it without a bound.
	if body := req.Body(); int64(len(body)) <= limit {
		return bytes.Clone(body), nil
	}
	return nil, host.ErrTooLarge
}

func (x *exchange) RemoteAddr() string        { return x.c.Context().RemoteAddr().String() }
func (x *exchange) TLS() *tls.ConnectionState { return x.c.Context().TLSConnectionState() }
func (x *exchange) SetHeader(key, value string) {
	x.c.Response().Header.Set(key, value)
}

func (x *exchange) AddHeader(key, value string) {
	x.c.Response().Header.Add(key, value)
}

func (x *exchange) HasHeader(key string) (has bool) {
	//lint:ignore SA1019 see EachHeader
	x.c.Response().Header.VisitAll(func(k, v []byte) { has = has || len(v) > 0 && strings.EqualFold(string(k), key) })
	return has
}

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
	resp.SetBodyStream(connwatch.Pieces(bytes.Clone(body), x.c.Context().Conn()), len(body))
	return nil
}

func (x *exchange) Stream(status int, run func(host.Stream)) error {
	x.c.Response().SetStatusCode(status)
	// What run has written may still be on its way when it returns, and so may the
	// end of the stream: the deadline stays, and the connection ends.
	x.c.Response().SetConnectionClose()
	conn := x.c.Context().Conn()
	x.c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		run(connwatch.Stream(w, conn))
		_ = conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
	})
	return nil
}

// Upgrade takes the connection before fasthttp has answered, and answers there:
// fasthttp's own answer would announce, with DisableKeepalive or behind the last
// of MaxRequestsPerConn, that the connection is closed, and close it.
func (x *exchange) Upgrade(opts host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	if err := host.CheckHandshake(x); err != nil {
		return err
	}
	if !x.c.Request().Header.IsHTTP11() {
		return &host.HandshakeError{Status: fiber.StatusBadRequest, Reason: "the request is older than HTTP/1.1"}
	}
	var cookies []string
	//lint:ignore SA1019 see EachHeader
	x.c.Response().Header.VisitAll(func(k, v []byte) {
		if strings.EqualFold(string(k), fiber.HeaderSetCookie) {
			cookies = append(cookies, string(v))
		}
	})
	x.c.Context().HijackSetNoResponse(true)
	x.c.Context().Hijack(connwatch.Handover(host.SwitchingProtocols(x, opts, cookies), run))
	return nil
}

// Gone is closed by a sweeper: fasthttp does not watch the connection while a
// handler runs.
func (x *exchange) Gone() <-chan struct{} {
	if x.watch == nil {
		x.watch = connwatch.Start(x.c.Context().Conn(), x.c.Context().Done())
	}
	return x.watch.Gone()
}

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
