package conformance_test

import (
	"net/http"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// mounted is a host over net/http alone.
func mounted(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	mux := http.NewServeMux()
	srv.Mount(mux, cfg.Path)
	return conformance.ServeHTTP(t, mux, cfg)
}

// Tests of an adapter say what its host cannot do.
func Example() {
	TestConformance := func(t *testing.T) {
		conformance.Run(t, mounted,
			conformance.Lacks(conformance.PartialBody, "fasthttp reads a whole body before the handler"),
			conformance.KnownFailing("limits/headers", "the framework's own limit comes first"),
		)
	}
	_ = TestConformance
}

// A framework with a listener of its own starts on one that the suite makes.
func ExampleListen() {
	start := func(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
		ln := conformance.Listen(t, cfg)
		server := &http.Server{Handler: srv, ErrorLog: conformance.ErrorLog(t)}
		go func() { _ = server.Serve(ln) }()
		return &conformance.Host{
			URL:  conformance.URL(ln, cfg),
			Stop: func() { _ = server.Close() },
		}
	}
	_ = start
}
