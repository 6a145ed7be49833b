package natsembed_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/internal/bustest"
	"github.com/siokit/siokit/internal/historytest"
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

// TestHistory: with a store that the nodes share, whoever enters a room gets each event once.
func TestHistory(t *testing.T) {
	b, store := startBroker(t, server.Options{}), new(historytest.Memory)
	historytest.Cluster(t, historytest.Setup{
		Backend: func() cluster.Backend {
			return natsbus.New(b.url(), &natsbus.Options{App: "test", Connect: quick()})
		},
		Store: func() mixin.HistoryStore { return store },
		Last:  20,
	})
}
