package mixin_test

import (
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/internal/historytest"
)

// TestHistoryCluster: whoever joins on any node gets each event once, in whatever order the
// store, the bus and the joins come.
func TestHistoryCluster(t *testing.T) {
	for name, s := range map[string]historytest.Setup{
		"all":        {Last: 100_000},
		"all slowly": {Last: 100_000, Delay: 2 * time.Millisecond},
		"few":        {Last: 5},
		"few slowly": {Last: 5, Delay: 2 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bus, store := cluster.NewBus(), new(historytest.Memory)
			s.Backend, s.Store = bus.Backend, func() mixin.HistoryStore { return store }
			historytest.Cluster(t, s)
		})
	}
}
