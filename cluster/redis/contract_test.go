package redisbus

import (
	"testing"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/bustest"
)

// TestContract is what every Backend passes.
func TestContract(t *testing.T) {
	wires(t, func(t *testing.T, w Wire) {
		var except []string
		if w == Streams {
			except = []string{"order"} // events for servers are not in the stream
		}
		bustest.Run(t, func(t *testing.T) (func() cluster.Backend, func(), func()) {
			r := startRedis(t)
			return func() cluster.Backend { return New(r.option(), Options{Wire: w}) }, r.Kill, r.Restart
		}, except...)
	})
}
