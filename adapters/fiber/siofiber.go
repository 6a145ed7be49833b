// Package siofiber mounts a Socket.IO server on a fiber v2 router. It speaks to
// fasthttp directly, without fasthttp's net/http bridge.
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	siofiber.Mount(app, "/socket.io", io)
package siofiber

import (
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/siokit/siokit/core/host"
)

// Option changes how requests are handed over.
type Option func(*options)

type options struct {
	keep func(*fiber.Ctx) map[string]any
}

// Keep chooses what of the fiber context is copied into sio.Request.Values
// during the handshake. The default is every local whose key is a string. The
// strings of fiber are recycled: f must copy what it reads from the request.
func Keep(f func(c *fiber.Ctx) map[string]any) Option { return func(o *options) { o.keep = f } }

// Mount registers h at path and below it, so that clients with and without a
// trailing slash are served. r may be an app or a group. It panics for an app
// with Prefork: each child process would know a part of the sessions only.
func Mount(r fiber.Router, path string, h host.Handler, opts ...Option) {
	if app, ok := r.(*fiber.App); ok && app.Config().Prefork {
		panic("siofiber: Prefork spreads the requests of one session over processes that do not know it; switch it off")
	}
	f := Handler(h, opts...)
	path = strings.TrimRight(path, "/")
	r.All(path+"/*", f)
	if path != "" {
		r.All(path, f)
	}
}

// Handler returns h as a fiber handler, for routes that end in "/*". Do not use
// it with Use: that also matches paths that merely begin alike.
func Handler(h host.Handler, opts ...Option) fiber.Handler {
	o := options{keep: locals}
	for _, opt := range opts {
		opt(&o)
	}
	return func(c *fiber.Ctx) error {
		x := &exchange{c: c, opts: &o}
		defer x.end()
		h.ServeExchange(x)
		return nil
	}
}

// locals copies the values that middleware has put into the context.
func locals(c *fiber.Ctx) map[string]any {
	var kept map[string]any
	c.Context().VisitUserValuesAll(func(k, v any) {
		if name, ok := k.(string); ok {
			if kept == nil {
				kept = make(map[string]any)
			}
			kept[strings.Clone(name)] = v
		}
	})
	return kept
}

// Context returns the fiber context of a handshake, inside
// sio.Options.OnHandshake. It is nil later, and for the exchanges of other
// hosts: fiber recycles its contexts and the strings they return.
func Context(x host.Exchange) *fiber.Ctx {
	c, _ := x.Native().(*fiber.Ctx)
	return c
}

// details are what fiber knows of a request, copied.
func (x *exchange) details() host.Details {
	params := make(map[string]string)
	for k, v := range x.c.AllParams() {
		params[strings.Clone(k)] = strings.Clone(v)
	}
	return host.Details{
		URL:          string(x.c.Request().RequestURI()),
		ClientIP:     strings.Clone(x.c.IP()),
		RoutePattern: fmt.Sprint(x.c.Route().Path),
		Params:       params,
		Values:       x.opts.keep(x.c),
	}
}
