package natsembed_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
)

// TestCluster: servers with this backend are one server for their clients.
func TestCluster(t *testing.T) {
	port := testkit.Port(t)
	conformance.RunCluster(t, func() cluster.Backend { return natsembed.New(&natsembed.Options{Port: port}) })
}

// TestClusterNATS: so are those with a NATS server beside them.
func TestClusterNATS(t *testing.T) {
	b := startBroker(t, server.Options{})
	conformance.RunCluster(t, func() cluster.Backend { return natsbus.New(b.url(), nil) })
}
