package siochi_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	siochi "github.com/siokit/siokit/adapters/chi"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestConformance(t *testing.T) { conformance.Run(t, factory) }

// TestConformanceClustered: three servers are one for their clients, whichever of them each
// request comes to.
func TestConformanceClustered(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run with one server")
	}
	conformance.Run(t, factory, conformance.Clustered(nil))
}

func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "host=1")
			next.ServeHTTP(w, r)
		})
	})
	r.Get("/plain", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("ok")) })
	siochi.Mount(r, cfg.Path, srv)
	return conformance.ServeHTTP(t, r, cfg)
}
