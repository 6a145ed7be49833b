// Package bustest has the tests that every cluster.Backend of this repository passes.
package bustest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// Open makes a bus for one test. newBackend returns a Backend for one more node of it, as
// often as it is called. cut takes the bus away from all nodes, and heal gives it back; both
// are nil where a test cannot do that.
type Open func(t *testing.T) (newBackend func() cluster.Backend, cut, heal func())

// patience is how long a test waits for what has to come. silence is how long it looks for what
// must not come.
const (
	patience = 20 * time.Second
	silence  = 150 * time.Millisecond
)

// Run tests a Backend, but for the cases with these names.
func Run(t *testing.T, open Open, except ...string) {
	for _, c := range []struct {
		name string
		run  func(b *bus)
	}{
		{"order", order},
		{"interest", interest},
		{"interest before publishing", interestFirst},
		{"many rooms", manyRooms},
		{"to one node", toOne},
		{"to all nodes", toAll},
		{"fields", fields},
		{"names", names},
		{"large", large},
		{"memory", memory},
		{"one name", oneName},
		{"emitter", emitter},
		{"ended context", endedContext},
		{"close", closing},
		{"close unused", closeUnused},
		{"close while publishing", closePublishing},
		{"away and back", away},
		{"interest while away", awayInterest},
		{"start while away", awayStart},
	} {
		if slices.Contains(except, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b := &bus{T: t}
			b.backend, b.cut, b.heal = open(t)
			c.run(b)
		})
	}
}

// bus is the bus of one test.
type bus struct {
	*testing.T
	backend   func() cluster.Backend
	cut, heal func()
}

// node is one node: what its Receiver was told.
type node struct {
	t    *testing.T
	name string
	cluster.Backend

	busy atomic.Bool // a method of the Receiver runs
	mu   sync.Mutex
	got  []*cluster.Message
	ups  int
	down int
	lost int
	over bool          // Close has returned
	news chan struct{} // holds one signal
}

// node starts a node that has reached the bus, and watches the namespace "/".
func (b *bus) node(name string, rooms ...string) *node {
	b.Helper()
	n := b.started(name)
	n.until("Up", func() bool { return n.ups == 1 && n.down == 0 })
	n.watch(true, append([]string{""}, rooms...)...)
	return n
}

// started starts a node, which is closed at the end of the test.
func (b *bus) started(name string) *node {
	b.Helper()
	return b.startedAs(name, func(cluster.Backend) {})
}

// startedAs is started, with a Backend that is prepared first.
func (b *bus) startedAs(name string, prepare func(cluster.Backend)) *node {
	b.Helper()
	n := &node{t: b.T, name: name, Backend: b.backend(), news: make(chan struct{}, 1)}
	prepare(n.Backend)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b.Cleanup(func() { n.close() })
	if err := n.Start(ctx, name, n); err != nil {
		b.Fatalf("Start: %v", err)
	}
	return n
}

func (n *node) close() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		n.t.Errorf("Close of %s: %v", n.name, err)
	}
	n.mu.Lock()
	n.over = true
	n.mu.Unlock()
}

// watch says that rooms of "/" have sockets, or have none.
func (n *node) watch(on bool, rooms ...string) {
	n.t.Helper()
	var list []cluster.Interest
	for _, r := range rooms {
		list = append(list, cluster.Interest{Namespace: "/", Room: r, On: on})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Watch(ctx, list); err != nil {
		n.t.Errorf("Watch of %s: %v", n.name, err)
	}
}

// publish publishes messages of this node.
func (n *node) publish(ms ...*cluster.Message) {
	n.t.Helper()
	if err := n.try(patience, ms...); err != nil {
		n.t.Fatalf("Publish of %s: %v", n.name, err)
	}
}

func (n *node) try(patience time.Duration, ms ...*cluster.Message) error {
	for _, m := range ms {
		m.Node = n.name
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return n.Publish(ctx, ms)
}

// emit is an event with this text, to a room, or to all for none.
func emit(text string, rooms ...string) *cluster.Message {
	return &cluster.Message{Kind: cluster.Emit, Namespace: "/", Rooms: rooms, Data: []byte(`["` + text + `"]`)}
}

// text is the text of an event that emit has made.
func text(m *cluster.Message) string {
	if len(m.Data) < 4 {
		return string(m.Data)
	}
	return string(m.Data[2 : len(m.Data)-2])
}

// Receive keeps a copy. The node's own messages may come or not.
func (n *node) Receive(m *cluster.Message) {
	n.enter("Receive", func() {
		if m.Node != n.name {
			n.got = append(n.got, m.Clone())
		}
	})
}

func (n *node) Up()                 { n.enter("Up", func() { n.ups++ }) }
func (n *node) Down(error)          { n.enter("Down", func() { n.down++ }) }
func (n *node) Lost(k int, _ error) { n.enter("Lost", func() { n.lost += k }) }

// enter notes a call of the Backend: no other runs, and Close has not returned.
func (n *node) enter(what string, note func()) {
	if what == "Receive" && !n.busy.CompareAndSwap(false, true) {
		n.t.Errorf("%s: Receive is called while it runs", n.name)
	}
	n.mu.Lock()
	if n.over {
		n.t.Errorf("%s: %s after Close has returned", n.name, what)
	}
	note()
	n.mu.Unlock()
	select {
	case n.news <- struct{}{}:
	default:
	}
	if what == "Receive" {
		n.busy.Store(false)
	}
}

// until waits for a condition, which is asked with n.mu held.
func (n *node) until(what string, ok func() bool) {
	n.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		n.mu.Lock()
		done := ok()
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-n.news:
		case <-deadline.C:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("%s waits for: %s. It has %d messages, %d times up, %d times down, %d lost", n.name, what, len(n.got), n.ups, n.down, n.lost)
		}
	}
}

// expect waits for messages with these texts, in this order, and for no others. Those that a
// test has not asked for come before the last if they come at all, since one node sends all.
func (n *node) expect(texts ...string) {
	n.t.Helper()
	last := texts[len(texts)-1]
	n.until(last, func() bool { return len(n.got) > 0 && text(n.got[len(n.got)-1]) == last })
	got := n.take()
	if len(got) != len(texts) {
		n.t.Fatalf("%s got %d messages, want %d", n.name, len(got), len(texts))
	}
	for i, m := range got {
		if text(m) != texts[i] {
			n.t.Fatalf("%s: message %d is %s, want %s", n.name, i, text(m), texts[i])
		}
	}
}

// take returns what has come, and forgets it.
func (n *node) take() []*cluster.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got
	n.got = nil
	return got
}
