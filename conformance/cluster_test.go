package conformance

import (
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// TestCluster: the bus in memory passes what every backend has to pass.
func TestCluster(t *testing.T) { RunCluster(t, cluster.NewBus().Backend) }
