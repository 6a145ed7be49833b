package ownadapter_test

import (
	"net/http"
	"testing"

	"github.com/julienschmidt/httprouter"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	ownadapter "github.com/siokit/siokit/examples/own-adapter"
)

// TestConformance runs every case of the suite against the adapter.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
		r := httprouter.New()
		r.GET("/plain", plain)
		ownadapter.Mount(r, cfg.Path, srv)
		return conformance.ServeHTTP(t, cookies(r), cfg)
	})
}

// plain is a route of the host, beside the server.
func plain(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) {
	_, _ = w.Write([]byte("ok"))
}

// cookies is a middleware of the host. Its cookie must be on every answer, also on the one
// that opens a websocket.
func cookies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "host", Value: "1"})
		next.ServeHTTP(w, r)
	})
}
