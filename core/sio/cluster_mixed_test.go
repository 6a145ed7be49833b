package sio

import (
	"context"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// counting is a backend that counts the nodes of another kind.
type counting struct {
	cluster.Backend
	others int
}

func (c counting) Others(context.Context, string) (int, error) { return c.others, nil }

// stranger is a node of another kind: it says who is there, and does not count.
type stranger struct {
	b   cluster.Backend
	ask chan *cluster.Message
}

func (s stranger) Receive(m *cluster.Message) {
	if m.Kind == cluster.Fetch {
		s.ask <- m.Clone()
	}
}
func (stranger) Up()             {}
func (stranger) Down(error)      {}
func (stranger) Lost(int, error) {}

// TestClusterMixedCount: in a cluster with nodes that cannot count, sockets are counting by
// those who are there.
func TestClusterMixedCount(t *testing.T) {
	ctx := context.Background()
	bus := cluster.NewBus()
	other := stranger{bus.Backend(), make(chan *cluster.Message, 1)}
	if err := other.b.Start(ctx, "0123456789abcdef", other); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.b.Close(ctx) }()
	go func() {
		m := <-other.ask
		_ = other.b.Publish(ctx, []*cluster.Message{{
			Kind: cluster.Sockets, Node: "0123456789abcdef", To: m.Node, Namespace: m.Namespace, ID: m.ID, OnlyIDs: m.OnlyIDs,
			Sockets: []cluster.Socket{{ID: "a"}, {ID: "b"}},
		}})
	}()
	srv := NewServer(&Options{Cluster: counting{bus.Backend(), 1}})
	c := serve(t, srv)
	c.Join("")
	if n, err := srv.Of("/").All().Count(ctx); n != 3 || err != nil {
		t.Error(n, err)
	}
}
