package sio_test

import (
	"net/http"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestConformance runs the suite on net/http alone.
func TestConformance(t *testing.T) { conformance.Run(t, factory) }

// TestConformanceTLS: with TLS a connection is more than a descriptor, and reads
// and writes take the other path.
func TestConformanceTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run without TLS")
	}
	conformance.Run(t, factory, conformance.OverTLS())
}

func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	mux := http.NewServeMux()
	cookie := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "host=1")
		srv.ServeHTTP(w, r)
	})
	mux.Handle(cfg.Path, cookie)
	mux.Handle(cfg.Path+"/", cookie)
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("ok")) })
	return conformance.ServeHTTP(t, mux, cfg)
}

// TestConformanceClustered: three servers are one for their clients, whichever of them each
// request comes to.
func TestConformanceClustered(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run with one server")
	}
	conformance.Run(t, factory, conformance.Clustered(nil))
}
