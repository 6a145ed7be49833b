// Package sioechov5 mounts a Socket.IO server on an echo v5 router. Applications on
// echo v4 use adapters/echo.
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	sioechov5.Mount(e, "/socket.io", io)
package sioechov5

import (
	"strings"

	"github.com/labstack/echo/v5"

	"github.com/siokit/siokit/core/host"
)

// Router is what *echo.Echo and *echo.Group have in common.
type Router interface {
	Any(path string, h echo.HandlerFunc, mw ...echo.MiddlewareFunc) echo.RouteInfo
}

// Option is an option of Mount and Handler. Keep is the only one.
type Option func(*options)

type options struct {
	keep func(*echo.Context) map[string]any
}

// Keep chooses what of the echo context is copied into sio.Request.Values during
// the handshake. The default is nothing: echo cannot list its values. Values that
// hold echo's own objects are left out with a line in the log: echo uses them for
// its next request.
//
// What f returns is copied while the handshake runs, so nobody else may change it
// meanwhile: a map that another goroutine writes to ends the process. Functions,
// and what cannot be looked through, are left out too; see host.Details.
func Keep(f func(c *echo.Context) map[string]any) Option { return func(o *options) { o.keep = f } }

// Mount registers h at path and below it, so that clients with and without a
// trailing slash are served. It panics when r or h is nil.
func Mount(r Router, path string, h host.Handler, opts ...Option) {
	host.Require("sioechov5.Mount", h, "router", r)
	f := Handler(h, opts...)
	path = strings.TrimRight(path, "/")
	r.Any(path+"/*", f)
	if path != "" {
		r.Any(path, f)
	}
}

// Handler returns h as an echo handler, for routes that end in "/*". It never
// returns an error: echo would write it on a connection that was taken over.
func Handler(h host.Handler, opts ...Option) echo.HandlerFunc {
	o := options{keep: func(*echo.Context) map[string]any { return nil }}
	for _, opt := range opts {
		opt(&o)
	}
	host.Require("sioechov5.Handler", h, "function of Keep", o.keep)
	return func(c *echo.Context) error {
		host.ServeHTTP(h, c.Response(), c.Request(), host.HTTPConfig{Path: c.Param("*"), Escaped: true, Native: c, Details: func() host.Details {
			params := make(map[string]string)
			for _, p := range c.PathValues() {
				params[p.Name] = p.Value
			}
			return host.Details{ClientIP: c.RealIP(), RoutePattern: c.Path(), Params: params, Values: o.keep(c), Believes: func() string {
				if e := c.Echo(); e.IPExtractor != nil { // without one RealIP is the peer's address
					return host.Believes("echo.Echo.IPExtractor", e.IPExtractor)
				}
				return ""
			}}
		}})
		return nil
	}
}

// Context returns the echo context of a handshake, inside sio.Options.OnHandshake.
// It is nil later, and for the exchanges of other hosts: echo recycles its contexts.
func Context(x host.Exchange) *echo.Context {
	c, _ := x.Native().(*echo.Context)
	return c
}
