package natsembed_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/bustest"
	"github.com/siokit/siokit/internal/testkit"
)

// TestContract is what every backend passes: a NATS server that can be restarted.
func TestContract(t *testing.T) {
	bustest.Run(t, func(t *testing.T) (newBackend func() cluster.Backend, cut, heal func()) {
		b := startBroker(t, server.Options{})
		return func() cluster.Backend {
			return natsbus.New(b.url(), &natsbus.Options{App: "test", Connect: quick()})
		}, b.stop, b.start
	})
}

// TestContractEmbedded is the same where one of the nodes is the server.
func TestContractEmbedded(t *testing.T) {
	bustest.Run(t, func(t *testing.T) (newBackend func() cluster.Backend, cut, heal func()) {
		port := testkit.Port(t)
		return func() cluster.Backend { return natsembed.New(&natsembed.Options{Port: port}) }, nil, nil
	})
}
