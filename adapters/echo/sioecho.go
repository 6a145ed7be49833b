// Package sioecho mounts a Socket.IO server on an echo v4 router.
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	sioecho.Mount(e, "/socket.io", io)
package sioecho

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/siokit/siokit/core/host"
)

// Router is what *echo.Echo and *echo.Group have in common.
type Router interface {
	Any(path string, h echo.HandlerFunc, mw ...echo.MiddlewareFunc) []*echo.Route
}

// Option is an option of Mount and Handler. Keep is the only one.
type Option func(*options)

type options struct {
	keep func(echo.Context) map[string]any
}

// Keep chooses what of the echo context is copied into sio.Request.Values during
// the handshake. The default is nothing: echo cannot list its values. Values that
// hold echo's own objects are left out with a line in the log: echo uses them for
// its next request.
//
// What f returns is copied while the handshake runs, so nobody else may change it
// meanwhile: a map that another goroutine writes to ends the process. Functions,
// and what cannot be looked through, are left out too; see host.Details.
func Keep(f func(c echo.Context) map[string]any) Option { return func(o *options) { o.keep = f } }

// Mount registers h at path and below it, so that clients with and without a
// trailing slash are served. It panics when r or h is nil.
func Mount(r Router, path string, h host.Handler, opts ...Option) {
	host.Require("sioecho.Mount", h, "router", r)
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
	o := options{keep: func(echo.Context) map[string]any { return nil }}
	for _, opt := range opts {
		opt(&o)
	}
	host.Require("sioecho.Handler", h, "function of Keep", o.keep)
	return func(c echo.Context) error {
		host.ServeHTTP(h, c.Response(), c.Request(), host.HTTPConfig{Path: c.Param("*"), Escaped: true, Native: c, Details: func() host.Details {
			params := make(map[string]string)
			for i, name := range c.ParamNames() {
				params[name] = c.ParamValues()[i]
			}
			return host.Details{ClientIP: c.RealIP(), RoutePattern: c.Path(), Params: params, Values: o.keep(c), Believes: func() string {
				return host.Believes("echo.Echo.IPExtractor", func(r *http.Request) string { return c.Echo().NewContext(r, nil).RealIP() })
			}}
		}})
		return nil
	}
}

// Context returns the echo context of a handshake, inside sio.Options.OnHandshake.
// It is nil later, and for the exchanges of other hosts: echo recycles its contexts.
func Context(x host.Exchange) echo.Context {
	c, _ := x.Native().(echo.Context)
	return c
}
