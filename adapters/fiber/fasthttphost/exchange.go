// Package fasthttphost lets a handler answer a request of fasthttp. It is for adapters
// of frameworks on fasthttp; those for fiber v2 and fiber v3 call it. The package is in
// the module of the adapter for fiber v2, because the root module must not depend on
// fasthttp. It imports no fiber.
package fasthttphost

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/internal/connwatch"
)

// Request is what an adapter knows of a request when its handler is called. The
// strings may lie in memory of the request.
type Request struct {
	// Ctx is fasthttp's own context of the request.
	Ctx *fasthttp.RequestCtx
	// Server is the server whose settings count; nil: fasthttp's defaults.
	Server *fasthttp.Server
	// Native is the framework's context, for Exchange.Native.
	Native any
	// Method is the request method in upper case.
	Method string
	// Rest is the path below the mount point, as the router has cut it: still escaped.
	Rest string
	// Details returns what the framework knows of the request; it need not set URL. It
	// is called as host.Detailer's is, with Native, so that one function serves all
	// requests. Nil: nothing is known.
	Details func(native any) host.Details
}

// Serve lets h answer a request. It panics when h does.
func Serve(h host.Handler, r Request) {
	x := &exchange{
		ctx: r.Ctx, server: r.Server, native: r.Native, details: r.Details,
		method: strings.Clone(r.Method), path: below(r.Rest),
	}
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

// below is a copy of the path below the mount point, decoded, without outer slashes.
func below(rest string) string {
	path := strings.Trim(rest, "/")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	return strings.Clone(path)
}

// piece is how many bytes a client must take within host.StreamTimeout, as on net/http.
const piece = 64 << 10

// exchange is the [host.Exchange] over fasthttp. Every string that its methods return is
// a copy: fasthttp uses the memory again for the next request on the connection.
type exchange struct {
	ctx     *fasthttp.RequestCtx
	server  *fasthttp.Server
	native  any
	details func(native any) host.Details
	method  string
	path    string
	query   string      // copied once
	headers [][2]string // likewise
	ended   atomic.Bool
	watch   *connwatch.Watch // once Gone was asked
}

var (
	_ host.Exchange    = (*exchange)(nil)
	_ host.Detailer    = (*exchange)(nil)
	_ host.Prober      = (*exchange)(nil)
	_ host.CookieHider = (*exchange)(nil)
)

func (x *exchange) end() {
	if x.watch != nil {
		x.watch.Stop()
	}
	x.ended.Store(true)
}

func (x *exchange) Method() string { return x.method }

// Path is the path below the mount point, decoded, without outer slashes.
func (x *exchange) Path() string { return x.path }

func (x *exchange) RawQuery() string {
	if x.query == "" {
		x.query = string(x.ctx.Request.URI().QueryString())
	}
	return x.query
}

func (x *exchange) Query(key string) string { return host.QueryValue(x.RawQuery(), key) }

// Header looks at every header of an app with DisableHeaderNormalizing, where
// fasthttp finds those only that are written as asked for.
func (x *exchange) Header(key string) string {
	if x.server == nil || !x.server.DisableHeaderNamesNormalizing {
		return string(x.ctx.Request.Header.Peek(key))
	}
	value, found := "", false
	x.EachHeader(func(k, v string) {
		if !found && strings.EqualFold(k, key) {
			found, value = true, v
		}
	})
	return value
}

func (x *exchange) HideCookies() {
	h := &x.ctx.Request.Header
	h.DelAllCookies() // puts them together first, however they were written
	h.Del(fasthttp.HeaderCookie)
	x.headers = nil
}

// EachHeader copies the headers once: several look at them, and what a socket keeps
// must not lie between copies that nobody keeps.
func (x *exchange) EachHeader(f func(key, value string)) {
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
func (x *exchange) Body(limit int64) ([]byte, error) {
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

func (x *exchange) RemoteAddr() string { return x.ctx.RemoteAddr().String() }

func (x *exchange) TLS() *tls.ConnectionState { return x.ctx.TLSConnectionState() }

func (x *exchange) SetHeader(key, value string) {
	x.ctx.Response.Header.Set(key, value)
}

func (x *exchange) AddHeader(key, value string) {
	x.ctx.Response.Header.Add(key, value)
}

// HasHeader reports whether the answer has the header, with a value.
func (x *exchange) HasHeader(key string) (has bool) {
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
func (x *exchange) Reply(status int, body []byte) error {
	if !x.Present() {
		return host.ErrGone
	}
	resp := &x.ctx.Response
	resp.SetStatusCode(status)
	conn := x.ctx.Conn()
	if x.server != nil && x.server.WriteTimeout > 0 || len(body) <= piece && connwatch.Unsent(conn) <= maxUnsent {
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
func (x *exchange) Stream(status int, run func(host.Stream)) error {
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
func (x *exchange) Upgrade(opts host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	var cookies []string
	//lint:ignore SA1019 see EachHeader
	x.ctx.Response.Header.VisitAll(func(k, v []byte) {
		if strings.EqualFold(string(k), fasthttp.HeaderSetCookie) {
			cookies = append(cookies, string(v))
		}
	})
	answer, err := host.SwitchingProtocols(x, opts, cookies)
	if err != nil {
		return err
	}
	if !x.ctx.Request.Header.IsHTTP11() {
		return fmt.Errorf("%w: the request is older than HTTP/1.1", host.ErrHandshake)
	}
	x.ctx.HijackSetNoResponse(true)
	x.ctx.Hijack(connwatch.Handover(answer, run))
	return nil
}

// Gone is closed by a sweeper: fasthttp does not watch the connection while a
// handler runs.
func (x *exchange) Gone() <-chan struct{} {
	if x.watch == nil {
		x.watch = connwatch.Start(x.ctx.Conn(), x.ctx.Done())
	}
	return x.watch.Gone()
}

// Present reports whether the client of a held poll is still there.
func (x *exchange) Present() bool { return x.watch == nil || x.watch.Present() }

// Details are what the framework knows, all but the URL in memory of the request.
func (x *exchange) Details() (d host.Details) {
	if x.details != nil {
		d = x.details(x.native)
	}
	d.URL = string(x.ctx.Request.RequestURI())
	return d
}

// Native is the framework's context, until the handler returns: then the framework
// uses it for its next request, and Native is nil.
func (x *exchange) Native() any {
	if x.ended.Load() {
		return nil
	}
	return x.native
}
