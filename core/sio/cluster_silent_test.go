package sio

import (
	"context"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// deaf is a backend that does not hand over what other nodes say about themselves.
type deaf struct{ cluster.Backend }

func (d deaf) Start(ctx context.Context, node string, r cluster.Receiver) error {
	return d.Backend.Start(ctx, node, deafReceiver{r})
}

type deafReceiver struct{ cluster.Receiver }

func (r deafReceiver) Receive(m *cluster.Message) {
	if m.Kind != cluster.Hello && m.Kind != cluster.Heartbeat {
		r.Receiver.Receive(m)
	}
}

// TestClusterStray: what is emitted to the id of a socket arrives also when its node is not known
// here, now or any more.
func TestClusterStray(t *testing.T) {
	bus := cluster.NewBus()
	here, there := NewServer(&Options{Cluster: deaf{bus.Backend()}}), NewServer(&Options{Cluster: bus.Backend()})
	ids := make(chan string, 1)
	there.Of("/").OnConnect(func(_ context.Context, s *Socket) error { ids <- s.ID(); return nil })
	serve(t, here)
	w := serve(t, there).Join("")
	id := <-ids
	if err := here.node.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if here.node.Owner(id) != "" || !here.node.Settled() {
		t.Fatal("the node is known")
	}
	if n, err := there.Of("/").All().Count(t.Context()); n != 1 {
		t.Fatal(n, err)
	}
	if err := there.node.Listening(t.Context(), "/", ""); err != nil { // the bus was told of the namespace
		t.Fatal(err)
	}
	if err := here.Of("/").To(id).Emit("stray"); err != nil {
		t.Fatal(err)
	}
	if got := w.Next(); got != `42["stray"]` {
		t.Error(got)
	}
}
