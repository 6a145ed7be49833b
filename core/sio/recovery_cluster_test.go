package sio

import (
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestRecoveryCluster: a client that comes back to its node has what other nodes have emitted while
// it was away, though no socket was in the room. One that comes to another node is told that it is
// new.
func TestRecoveryCluster(t *testing.T) {
	bus := cluster.NewBus()
	node := func() *Server { return NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}}) }
	a, b := node(), node()
	sockets := connected(a.Of("/"))
	r := newReturning(t, serve(t, a), "")
	there := serve(t, b)
	(<-sockets).Join("room")
	until(t, "the other node reaches the room", func() bool { n, _ := b.Of("/").To("room").Count(t.Context()); return n == 1 })
	r.away(a)
	if len(a.Of("/").Rooms()) != 0 {
		t.Error(a.Of("/").Rooms())
	}
	_ = b.Of("/").To("room").Emit("one")
	_ = b.Of("/").Emit("two")
	_ = b.Of("/").To(r.sid).Emit("three")
	if err := b.node.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := a.Of("/").recovery.Load()
	for kept := 0; kept < 3; time.Sleep(time.Millisecond) {
		log.mu.Lock()
		kept = len(log.events)
		log.mu.Unlock()
	}
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("one", "two", "three")
	<-sockets
	r.away(a)
	other := *r
	other.c = there
	if other.connect("") {
		t.Error("recovered by a node that does not know what was missed")
	}
	// Back at the first one, with the secret of the first session.
	a.recoveryGap(false)
	if r.connect("") {
		t.Error("recovered while the bus is away")
	}
	r.expect("recovery")
	a.recoveryGap(true)
	r.away(a)
	if !r.connect("") {
		t.Error("not recovered after the gap")
	}
	<-sockets
	r.away(a)
	a.recoveryGap(true)
	if r.connect("") {
		t.Error("recovered, and what came in the gap is missing")
	}
}
