package redisbus

import (
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/cluster"
)

// TestRunCluster: servers with this backend are one server for their clients.
func TestRunCluster(t *testing.T) {
	for _, w := range []Wire{Classic, Sharded, Streams} {
		t.Run(w.String(), func(t *testing.T) {
			r := startRedis(t)
			conformance.RunCluster(t, func() cluster.Backend { return New(r.option(), Options{Wire: w}) })
		})
	}
}
