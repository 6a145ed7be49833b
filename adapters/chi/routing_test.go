package siochi_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	siochi "github.com/siokit/siokit/adapters/chi"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func TestGroup(t *testing.T) {
	live := func(x host.Exchange) bool { return siochi.Context(x) != nil }
	hosttest.Group(t, live, func(srv *sio.Server) *conformance.Host {
		type key struct{}
		r := chi.NewRouter()
		r.Route("/t/{tenant}", func(r chi.Router) {
			r.Use(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "ann")))
				})
			})
			siochi.Mount(r, "/socket.io", srv, siochi.Keep(func(r *http.Request) map[string]any {
				return map[string]any{"user": r.Context().Value(key{})}
			}))
		})
		r.Handle("/own/*", siochi.Handler(srv))
		return conformance.ServeHTTP(t, r, conformance.Config{})
	})
}
