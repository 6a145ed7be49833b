package hosttest

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/internal/wire"
)

// Fasthttp serves a case on a framework over fasthttp. serve serves a listener until
// stop is called or the listener is closed; open is fasthttp's
// GetOpenConnectionsCount.
func Fasthttp(t testing.TB, cfg conformance.Config, serve func(net.Listener) error, open func() int32, stop func(time.Duration) error) *conformance.Host {
	ln := conformance.Listen(t, cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve(ln)
	}()
	return &conformance.Host{URL: conformance.URL(ln, cfg), Stop: func() {
		// A connection that is still there when fasthttp shuts down costs 100 ms, which is
		// how often fasthttp looks; Serve counts as one. The client has closed its
		// connections, so that the server needs a moment only. A listener that is closed
		// makes the count one too small.
		_ = ln.Close()
		<-done
		for deadline := time.Now().Add(20 * time.Millisecond); open() >= 0 && time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		}
		if err := stop(wire.Patience); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("the host did not stop in time: %v", err)
		}
	}}
}
