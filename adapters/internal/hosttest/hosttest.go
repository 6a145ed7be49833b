// Package hosttest holds the tests that all adapters of this repository share: groups,
// values that an adapter keeps, and warnings about client addresses.
package hosttest

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// Group checks a server that start has mounted at /socket.io in a group whose
// prefix is /t/ and the parameter "tenant", with the value "ann" kept under
// "user", and at /own by its handler alone. live reports whether the adapter's
// Context returns the framework's own.
func Group(t *testing.T, live func(x host.Exchange) bool, start func(srv *sio.Server) *conformance.Host) {
	var kept host.Exchange
	requests := make(chan *sio.Request, 10)
	srv := sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if !live(x) {
			t.Error("no live context during the handshake")
		}
		kept = x
		requests <- r
		return nil
	}})
	h := start(srv)
	defer h.Stop()
	defer func() { _ = srv.Shutdown(context.Background()) }()

	for _, path := range []string{"/t/acme/socket.io/", "/t/acme/socket.io"} {
		c := wire.New(t, h.URL, path)
		check := func(transport string) {
			r := <-requests
			if r.Params["tenant"] != "acme" || r.Values["user"] != "ann" || r.ClientIP != "127.0.0.1" || r.RoutePattern == "" {
				t.Errorf("%s over %s: params %v, values %v, client %q, route %q", path, transport, r.Params, r.Values, r.ClientIP, r.RoutePattern)
			}
		}
		c.Polling()
		check("polling")
		// The answer may be here before the handler has returned.
		for deadline := time.Now().Add(wire.Patience); kept.Native() != nil; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the native context outlives the handshake")
			}
		}
		c.Join("")
		check("websocket")
	}
	if a := wire.New(t, h.URL, "/t/acme/socket.iox/").Must("GET", "EIO=4&transport=polling", ""); a.Status != http.StatusNotFound {
		t.Errorf("sibling: %v", a)
	}
	wire.New(t, h.URL, "/own/").Join("")
	<-requests
}
