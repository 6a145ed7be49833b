// Package siofiber mounts a Socket.IO server on a fiber v2 router. It speaks to
// fasthttp directly, without fasthttp's net/http bridge.
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	siofiber.Mount(app, "/socket.io", io)
package siofiber

import (
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"

	"github.com/siokit/siokit/adapters/fiber/fasthttphost"
	"github.com/siokit/siokit/core/host"
)

// Option is an option of Mount and Handler. Keep is the only one.
type Option func(*options)

type options struct {
	keep func(*fiber.Ctx) map[string]any
}

// Keep chooses what of the fiber context is copied into sio.Request.Values
// during the handshake. The default is every local under a string that is a
// string, a number or a bool. Values that hold fiber's or fasthttp's own objects
// are left out with a line in the log; behind pointers f must copy the strings
// of the request itself, which fasthttp recycles.
//
// What f returns is copied while the handshake runs, so nobody else may change it
// meanwhile: a map that another goroutine writes to ends the process. Functions,
// and what cannot be looked through, are left out too; see host.Details.
func Keep(f func(c *fiber.Ctx) map[string]any) Option { return func(o *options) { o.keep = f } }

// Mount registers h at path and below it, so that clients with and without a trailing
// slash are served. r may be an app or a group. Mount panics when r or h is nil, and
// for an app whose settings cannot work: Prefork, GETOnly, and RequestMethods without
// GET and POST.
//
// A BodyLimit below sio.Options.MaxPayload is logged. When r belongs to an app that is
// mounted to another one, the settings of that one are logged at the first request.
func Mount(r fiber.Router, path string, h host.Handler, opts ...Option) {
	host.Require("siofiber.Mount", h, "router", r)
	app := appOf(r)
	if app != nil {
		if f := fault(app); f != "" {
			panic("siofiber: " + f)
		}
		announce(h, app)
	}
	f := handler(h, app, opts)
	path = strings.TrimRight(path, "/")
	r.All(path+"/*", f)
	if path != "" {
		r.All(path, f)
	}
}

// appOf is the app of a router; nil when it cannot be known. A group does not tell.
func appOf(r fiber.Router) (app *fiber.App) {
	if g, ok := r.(*fiber.Group); ok {
		if f := reflect.ValueOf(g).Elem().FieldByName("app"); f.IsValid() && f.Type() == reflect.TypeOf(app) {
			return (*fiber.App)(f.UnsafePointer())
		}
	}
	app, _ = r.(*fiber.App)
	return app
}

// announce tells h what the app that serves it takes and refuses.
func announce(h host.Handler, app *fiber.App) {
	host.Announce(h, host.Mount{Host: "siofiber", BodyLimit: int64(app.Config().BodyLimit), Setting: "fiber.Config.BodyLimit", Fault: fault(app)})
}

// fault is the setting under which clients cannot connect, and why.
func fault(app *fiber.App) string {
	switch c := app.Config(); {
	case c.Prefork:
		return "fiber.Config.Prefork spreads the requests of one session over processes that do not know it; switch it off"
	case c.GETOnly:
		return "fiber.Config.GETOnly refuses the POSTs of clients that poll; switch it off"
	case !slices.Contains(c.RequestMethods, fiber.MethodGet) || !slices.Contains(c.RequestMethods, fiber.MethodPost):
		return "fiber.Config.RequestMethods must contain GET and POST"
	}
	return ""
}

// Handler returns h as a fiber handler, for routes that end in "/*". Do not use
// it with Use: that also matches paths that merely begin alike. The app that serves
// is known at the first request: what Mount panics for is then logged, as an error.
func Handler(h host.Handler, opts ...Option) fiber.Handler { return handler(h, nil, opts) }

// handler is Handler. The settings of the app known have been looked at. A route may be
// served by another app, to which the one it was registered on is mounted.
func handler(h host.Handler, known *fiber.App, opts []Option) fiber.Handler {
	o := options{keep: locals}
	for _, opt := range opts {
		opt(&o)
	}
	host.Require("siofiber.Handler", h, "function of Keep", o.keep)
	details := func(native any) host.Details { return o.details(native.(*fiber.Ctx)) }
	var serves atomic.Pointer[fiber.App]
	serves.Store(known)
	return func(c *fiber.Ctx) error {
		app := c.App()
		if app != serves.Load() && serves.CompareAndSwap(known, app) { // once
			announce(h, app)
		}
		fasthttphost.Serve(h, fasthttphost.Request{
			Ctx: c.Context(), Server: app.Server(), Native: c, Method: c.Method(), Rest: c.Params("*"), Details: details,
		})
		return nil
	}
}

// locals copies the plain values that middleware has put into the context.
func locals(c *fiber.Ctx) (kept map[string]any) {
	c.Context().VisitUserValuesAll(func(k, v any) {
		if name, ok := k.(string); ok {
			kept = host.PlainValues(kept, name, v)
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

// details are what fiber knows of a request, most of it in memory of the request.
func (o *options) details(c *fiber.Ctx) host.Details {
	return host.Details{
		ClientIP:     c.IP(),
		RoutePattern: c.Route().Path,
		Params:       c.AllParams(),
		Values:       o.keep(c),
		Believes: func() string {
			switch cfg := c.App().Config(); {
			case cfg.ProxyHeader == "":
			case !cfg.EnableTrustedProxyCheck:
				return "fiber.Config.ProxyHeader without EnableTrustedProxyCheck"
			case fasthttphost.Everybody(cfg.TrustedProxies):
				return "fiber.Config.TrustedProxies"
			}
			return ""
		},
	}
}
