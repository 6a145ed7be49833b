// Package siochi mounts a Socket.IO server on a chi v5 router.
//
//	io := sio.NewServer(nil)
//	io.Of("/chat").On("say", sio.Handle(say))
//	siochi.Mount(r, "/socket.io", io)
package siochi

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/siokit/siokit/core/host"
)

// Option is an option of Mount and Handler. Keep is the only one.
type Option func(*options)

type options struct {
	keep func(*http.Request) map[string]any
}

// Keep chooses what of the request's context is copied into sio.Request.Values
// during the handshake. The default is nothing: contexts cannot be listed. Values
// that hold the request, its context or chi's are left out with a line in the log:
// chi uses its own for the next request.
//
// What f returns is copied while the handshake runs, so nobody else may change it
// meanwhile: a map that another goroutine writes to ends the process. Functions,
// and what cannot be looked through, are left out too; see host.Details.
func Keep(f func(r *http.Request) map[string]any) Option { return func(o *options) { o.keep = f } }

// Mount registers h at path and below it, so that clients with and without a
// trailing slash are served. It panics when r or h is nil.
func Mount(r chi.Router, path string, h host.Handler, opts ...Option) {
	host.Require("siochi.Mount", h, "router", r)
	r.Mount("/"+strings.Trim(path, "/"), Handler(h, opts...))
}

// Handler returns h as an http.Handler, for Mount and for routes that end in "/*".
// Outside of a chi router it serves below the pattern of http.ServeMux.
func Handler(h host.Handler, opts ...Option) http.Handler {
	o := options{keep: func(*http.Request) map[string]any { return nil }}
	for _, opt := range opts {
		opt(&o)
	}
	host.Require("siochi.Handler", h, "function of Keep", o.keep)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := chi.RouteContext(r.Context())
		outside := rc == nil
		if outside {
			rc = &chi.Context{RoutePath: r.URL.Path}
		}
		path := rc.RoutePath // set below a Mount
		if path == "" {
			path = rc.URLParam("*")
		}
		host.ServeHTTP(h, w, r, host.HTTPConfig{Path: path, Escaped: !outside, Mux: outside, Native: r, Details: func() host.Details {
			params := make(map[string]string)
			for i, name := range rc.URLParams.Keys {
				params[name] = rc.URLParams.Values[i]
			}
			return host.Details{RoutePattern: rc.RoutePattern(), Params: params, Values: o.keep(r)}
		}})
	})
}

// Context returns the request of a handshake, inside sio.Options.OnHandshake. It
// is nil later: chi recycles the route context inside the request's context.
func Context(x host.Exchange) *http.Request {
	r, _ := x.Native().(*http.Request)
	return r
}
