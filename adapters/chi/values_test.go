package siochi_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	siochi "github.com/siokit/siokit/adapters/chi"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

func TestValues(t *testing.T) {
	hosttest.Values(t, false, func(srv *sio.Server, all bool) *conformance.Host {
		r := chi.NewRouter()
		var opts []siochi.Option
		if all {
			opts = append(opts, siochi.Keep(func(r *http.Request) map[string]any {
				return map[string]any{"user": r.Header.Get("X-User"), "n": 7, "live": context.WithoutCancel(r.Context()), "deep": map[string]any{"a": []*chi.Context{chi.RouteContext(r.Context())}},
					"behind": hosttest.Behind(r.Context()), "func": hosttest.Func(func() string { return r.Header.Get("X-User") }), "elements": hosttest.Elements(chi.RouteContext(r.Context()))}
			}))
		}
		siochi.Mount(r, "/socket.io", srv, opts...)
		return conformance.ServeHTTP(t, r, conformance.Config{})
	})
}

// TestClientIP: a middleware that writes what the client claims where the peer's
// address was.
func TestClientIP(t *testing.T) {
	hosttest.ClientIP(t, "middleware.RealIP", func(srv *sio.Server, believes bool) *conformance.Host {
		r := chi.NewRouter()
		if believes {
			//lint:ignore SA1019 it is deprecated for what is tested here
			r.Use(middleware.RealIP)
		}
		siochi.Mount(r, "/socket.io", srv)
		return conformance.ServeHTTP(t, r, conformance.Config{})
	})
}

// TestNoRouter: outside of a chi router the handler serves, by the pattern of
// net/http or without any.
func TestNoRouter(t *testing.T) {
	srv := sio.NewServer(nil)
	defer func() { _ = srv.Shutdown(context.Background()) }()
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", siochi.Handler(srv))
	mux.Handle("/stripped/", http.StripPrefix("/stripped", siochi.Handler(srv)))
	h := conformance.ServeHTTP(t, mux, conformance.Config{})
	defer h.Stop()
	for _, path := range []string{"/socket.io/", "/stripped/"} {
		c := wire.New(t, h.URL, path)
		c.Join("")
		if a := c.At(path+"1/").Must("GET", "", ""); path == "/socket.io/" && a.Status != 200 {
			t.Errorf("%s1/: %v", path, a)
		}
	}
	bare := conformance.ServeHTTP(t, siochi.Handler(srv), conformance.Config{})
	defer bare.Stop()
	wire.New(t, bare.URL, "/socket.io/").Join("")
}
