package conformance_test

import (
	"net/http"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// factory is a host over net/http alone.
func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	srv.Mount(mux, cfg.Path) // here stands what mounts your adapter
	return conformance.ServeHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "host=1")
		mux.ServeHTTP(w, r)
	}), cfg)
}

// Tests of an adapter say what its host cannot do.
func Example() {
	TestConformance := func(t *testing.T) {
		conformance.Run(t, factory,
			conformance.Lacks("partial-body", "the framework reads a whole body before the handler"),
			conformance.KnownFailing("limits/headers", "the framework's own limit comes first"),
		)
	}
	_ = TestConformance
}

// A framework with a server of its own starts on a listener that the suite makes.
func ExampleListen() {
	start := func(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
		ln, url := conformance.Listen(t, cfg)
		server := &http.Server{Handler: srv}
		go func() { _ = server.Serve(ln) }()
		return &conformance.Host{URL: url, Stop: func() { _ = server.Close() }}
	}
	_ = start
}
