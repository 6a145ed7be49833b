// Package fasthttphost is the exchange of the adapters whose framework stands on
// fasthttp: those for fiber v2 and fiber v3. It belongs to the module of fiber v2's
// adapter, because the root module must not depend on fasthttp, and imports no fiber.
package fasthttphost

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/connwatch"
)

// Exchange is the [host.Exchange] over fasthttp. Every string that it returns is a
// copy: fasthttp uses the memory again for the next request on the connection. An
// adapter embeds it and adds [host.Detailer].
type Exchange struct {
	ctx     *fasthttp.RequestCtx
	server  *fasthttp.Server
	native  any
	method  string
	path    string
	query   string      // copied once
	headers [][2]string // likewise
	ended   atomic.Bool
	watch   *connwatch.Watch // once Gone was asked
}

var (
	_ host.Exchange = (*Exchange)(nil)
	_ host.Prober   = (*Exchange)(nil)

	_ host.CookieHider = (*Exchange)(nil)
)

// Request is what an adapter knows of a request when its handler is called. The
// strings may lie in memory of the request.
type Request struct {
	Ctx    *fasthttp.RequestCtx
	Server *fasthttp.Server // whose settings count; nil: fasthttp's defaults
	Native any              // the framework's context
	Method string
	Rest   string // the path below the mount point, as the router cut it
}

// exchanger is an adapter's exchange, which embeds Exchange.
type exchanger interface {
	host.Exchange
	begin(r Request)
	end()
}

// Serve lets h answer a request. x is the adapter's exchange, new, with an Exchange
// embedded. It panics when h does.
func Serve(h host.Handler, x exchanger, r Request) {
	x.begin(r)
	returned := false
	defer func() {
		x.end()
		if p := recover(); p != nil {
			panic(p) // the host's business
		}
		if !returned {
			// Application code has ended this goroutine (runtime.Goexit): fasthttp
			// would neither answer nor close, and the client would wait.
			_ = r.Ctx.Conn().Close()
		}
	}()
	h.ServeExchange(x)
	returned = true
}

func (x *Exchange) begin(r Request) {
	path := strings.Trim(r.Rest, "/")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	x.ctx, x.server, x.native = r.Ctx, r.Server, r.Native
	x.method, x.path = strings.Clone(r.Method), strings.Clone(path)
}

func (x *Exchange) end() {
	if x.watch != nil {
		x.watch.Stop()
	}
	x.ended.Store(true)
}

func (x *Exchange) Method() string { return x.method }

// Path is the path below the mount point, decoded, without outer slashes.
func (x *Exchange) Path() string { return x.path }

func (x *Exchange) RawQuery() string {
	if x.query == "" {
		x.query = string(x.ctx.Request.URI().QueryString())
	}
	return x.query
}

func (x *Exchange) Query(key string) string { return host.QueryValue(x.RawQuery(), key) }

// Header looks at every header of an app with DisableHeaderNormalizing, where
// fasthttp finds those only that are written as asked for.
func (x *Exchange) Header(key string) string {
	if x.server == nil || !x.server.DisableHeaderNamesNormalizing {
		return string(x.ctx.Request.Header.Peek(key))
	}
	return host.FirstHeader(x, key)
}

func (x *Exchange) HideCookies() {
	h := &x.ctx.Request.Header
	h.DelAllCookies() // puts them together first, however they were written
	h.Del(fasthttp.HeaderCookie)
	x.headers = nil
}

// EachHeader copies the headers once: several look at them, and what a socket keeps
// must not lie between copies that nobody keeps.
func (x *Exchange) EachHeader(f func(key, value string)) {
	if x.headers == nil {
		h := &x.ctx.Request.Header
		x.headers = make([][2]string, 0, h.Len())
		//lint:ignore SA1019 All does not exist in the oldest fasthttp that this runs on
		h.VisitAll(func(k, v []byte) { x.headers = append(x.headers, [2]string{string(k), string(v)}) })
	}
	for _, h := range x.headers {
		f(h[0], h[1])
	}
}

// Body returns a copy of the body, or [host.ErrTooLarge] for one of more than limit
// bytes.
func (x *Exchange) Body(limit int64) ([]byte, error) {
	req := &x.ctx.Request
	if req.IsBodyStream() {
		body, err := host.ReadBody(x.ctx.RequestBodyStream(), int64(req.Header.ContentLength()), limit, x.ctx.Conn().SetReadDeadline)
		if err != nil {
			x.ctx.Response.SetConnectionClose()
		}
		return body, err
	}
	// The raw body: a framework's own accessor would inflate it without a bound.
	if body := req.Body(); int64(len(body)) <= limit {
		return bytes.Clone(body), nil
	}
	return nil, host.ErrTooLarge
}

func (x *Exchange) RemoteAddr() string { return x.ctx.RemoteAddr().String() }

func (x *Exchange) TLS() *tls.ConnectionState { return x.ctx.TLSConnectionState() }

func (x *Exchange) SetHeader(key, value string) {
	x.ctx.Response.Header.Set(key, value)
}

func (x *Exchange) AddHeader(key, value string) {
	x.ctx.Response.Header.Add(key, value)
}

// HasHeader reports whether the answer has the header, with a value.
func (x *Exchange) HasHeader(key string) (has bool) {
	//lint:ignore SA1019 see EachHeader
	x.ctx.Response.Header.VisitAll(func(k, v []byte) { has = has || len(v) > 0 && strings.EqualFold(string(k), key) })
	return has
}

// maxUnsent is how many bytes of earlier answers a client may have left unread when it
// is answered again: a client that waits for one answer before it sends the next request
// leaves none. One that does not read and sends more and more requests would fill the
// connection by small answers, which are written without a deadline.
const maxUnsent = 4 << 10

// Reply cannot tell whether the client gets the answer: fasthttp writes it after
// the handler has returned. A client of a held poll that has left already is
// noticed; the others are the heartbeat's business.
func (x *Exchange) Reply(status int, body []byte) error {
	if !x.Present() {
		return host.ErrGone
	}
	resp := &x.ctx.Response
	resp.SetStatusCode(status)
	conn := x.ctx.Conn()
	if x.server != nil && x.server.WriteTimeout > 0 || len(body) <= host.WritePiece && connwatch.Unsent(conn) <= maxUnsent {
		resp.SetBody(body)
		return nil
	}
	// The server has no deadline for what it writes. The one of the last piece
	// stays with the connection, which therefore ends with this answer.
	resp.SetConnectionClose()
	_ = conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
	resp.SetBodyStream(connwatch.Pieces(bytes.Clone(body), conn), len(body))
	return nil
}

// Stream lets run write the answer after the handler has returned. The connection
// ends with it.
func (x *Exchange) Stream(status int, run func(host.Stream)) error {
	x.ctx.Response.SetStatusCode(status)
	// What run has written may still be on its way when it returns, and so may the
	// end of the stream: the deadline stays, and the connection ends.
	x.ctx.Response.SetConnectionClose()
	conn := x.ctx.Conn()
	x.ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		run(connwatch.Stream(w, conn))
		_ = conn.SetWriteDeadline(time.Now().Add(host.StreamTimeout))
	})
	return nil
}

// Upgrade takes the connection before fasthttp has answered, and answers there:
// fasthttp's own answer would announce, with DisableKeepalive or behind the last
// of MaxRequestsPerConn, that the connection is closed, and close it.
func (x *Exchange) Upgrade(opts host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	if err := host.CheckHandshake(x); err != nil {
		return err
	}
	if !x.ctx.Request.Header.IsHTTP11() {
		return &host.HandshakeError{Status: fasthttp.StatusBadRequest, Reason: "the request is older than HTTP/1.1"}
	}
	var cookies []string
	//lint:ignore SA1019 see EachHeader
	x.ctx.Response.Header.VisitAll(func(k, v []byte) {
		if strings.EqualFold(string(k), fasthttp.HeaderSetCookie) {
			cookies = append(cookies, string(v))
		}
	})
	x.ctx.HijackSetNoResponse(true)
	x.ctx.Hijack(connwatch.Handover(host.SwitchingProtocols(x, opts, cookies), run))
	return nil
}

// Gone is closed by a sweeper: fasthttp does not watch the connection while a
// handler runs.
func (x *Exchange) Gone() <-chan struct{} {
	if x.watch == nil {
		x.watch = connwatch.Start(x.ctx.Conn(), x.ctx.Done())
	}
	return x.watch.Gone()
}

// Present reports whether the client of a held poll is still there.
func (x *Exchange) Present() bool { return x.watch == nil || x.watch.Present() }

func (x *Exchange) Caps() (host.Caps, string) {
	return host.CapStream | host.CapWebSocket | host.CapGone | host.CapDeadlines, "fasthttp"
}

// Native is the framework's context, until the handler returns: then the framework
// uses it for its next request, and Native is nil.
func (x *Exchange) Native() any {
	if x.ended.Load() {
		return nil
	}
	return x.native
}
