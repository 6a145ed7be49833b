package siochi_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	siochi "github.com/siokit/siokit/adapters/chi"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// TestGroup mounts under a group whose prefix has a parameter, and looks at what
// the handshake tells of the host.
func TestGroup(t *testing.T) {
	var kept host.Exchange
	requests := make(chan *sio.Request, 10)
	srv := sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if siochi.Context(x) == nil {
			t.Error("no live context during the handshake")
		}
		kept = x
		requests <- r
		return nil
	}})
	h := func() *conformance.Host {
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
	}()
	defer h.Stop()
	defer func() { _ = srv.Shutdown(context.Background()) }()

	for _, path := range []string{"/t/acme/socket.io/", "/t/acme/socket.io"} {
		c := wire.New(t, h.URL, path)
		c.Polling()
		r := <-requests
		if r.Params["tenant"] != "acme" || r.Values["user"] != "ann" || r.ClientIP != "127.0.0.1" || r.RoutePattern == "" {
			t.Errorf("%s: params %v, values %v, client %q, route %q", path, r.Params, r.Values, r.ClientIP, r.RoutePattern)
		}
		// The answer may be here before the handler has returned.
		for deadline := time.Now().Add(wire.Patience); kept.Native() != nil; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the native context outlives the handshake")
			}
		}
		if w := c.Join(""); w.Head.Get("Location") != "" {
			t.Error("redirected")
		}
		<-requests
	}
	if a := wire.New(t, h.URL, "/t/acme/socket.iox/").Must("GET", "EIO=4&transport=polling", ""); a.Status != http.StatusNotFound {
		t.Errorf("sibling: %v", a)
	}
	// A route of one's own, with the handler alone.
	c := wire.New(t, h.URL, "/own/")
	c.Join("")
	<-requests
}
