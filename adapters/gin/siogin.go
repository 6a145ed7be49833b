// Package siogin mounts a Socket.IO server on a gin router.
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	siogin.Mount(router, "/socket.io", io)
package siogin

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/siokit/siokit/core/host"
)

// Option is an option of Mount and Handler. Keep is the only one.
type Option func(*options)

type options struct {
	keep func(*gin.Context) map[string]any
}

// Keep chooses what of the gin context is copied into sio.Request.Values during
// the handshake. The default is every string, number and bool of c.Keys under a
// string. Values that hold gin's own objects, such as a session of gin-contrib,
// are left out with a line in the log: gin uses them for its next request.
//
// What f returns is copied while the handshake runs, so nobody else may change it
// meanwhile: a map that another goroutine writes to ends the process. Functions,
// and what cannot be looked through, are left out too; see host.Details.
func Keep(f func(c *gin.Context) map[string]any) Option { return func(o *options) { o.keep = f } }

// Mount registers h at path and below it, so that clients with and without a
// trailing slash are served. r may be an engine or a group. It panics when r
// or h is nil.
func Mount(r gin.IRoutes, path string, h host.Handler, opts ...Option) {
	host.Require("siogin.Mount", h, "router", r)
	f := Handler(h, opts...)
	path = strings.TrimRight(path, "/")
	r.Any(path+"/*siokit", f)
	if path != "" {
		r.Any(path, f)
	}
}

// Handler returns h as a gin handler, for routes that end in a catch-all of any
// name. On its own such a route redirects requests without the trailing slash.
func Handler(h host.Handler, opts ...Option) gin.HandlerFunc {
	o := options{keep: keys}
	for _, opt := range opts {
		opt(&o)
	}
	host.Require("siogin.Handler", h, "function of Keep", o.keep)
	return func(c *gin.Context) {
		_, name, _ := strings.Cut(c.FullPath(), "*")
		host.ServeHTTP(h, c.Writer, c.Request, host.HTTPConfig{Path: c.Param(name), Native: c, Details: func() host.Details {
			params := make(map[string]string, len(c.Params))
			for _, p := range c.Params {
				params[p.Key] = p.Value
			}
			return host.Details{ClientIP: c.ClientIP(), RoutePattern: c.FullPath(), Params: params, Values: o.keep(c), Believes: func() string { return believes(c) }}
		}})
	}
}

// believes names the setting by which gin takes a client's word for its address.
func believes(c *gin.Context) string {
	return host.Believes("gin.Engine.SetTrustedProxies", func(r *http.Request) string {
		stranger := c.Copy()
		stranger.Request = r
		return stranger.ClientIP()
	})
}

func keys(c *gin.Context) (kept map[string]any) {
	for k, v := range c.Copy().Keys { // Copy takes the context's lock
		if name, ok := k.(string); ok {
			kept = host.PlainValues(kept, name, v)
		}
	}
	return kept
}

// Context returns the gin context of a handshake, inside sio.Options.OnHandshake.
// It is nil later, and for the exchanges of other hosts: gin recycles its contexts.
func Context(x host.Exchange) *gin.Context {
	c, _ := x.Native().(*gin.Context)
	return c
}
