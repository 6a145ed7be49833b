package sio

import (
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// caughtUp waits until a node has read what another one has.
func caughtUp(t *testing.T, node, as *Server) {
	t.Helper()
	until(t, "the node has read all", func() bool { return node.recovery.journal.Reached() >= as.recovery.journal.Reached() })
}

// stored ends the connection of a client, and waits until its session is in the log.
func (r *returning) stored(srv *Server) {
	r.t.Helper()
	r.away(srv)
	until(r.t, "the session is stored", func() bool {
		srv.recovery.mu.Lock()
		defer srv.recovery.mu.Unlock()
		return srv.recovery.byPID[r.pid] == nil
	})
}

// TestJournalQuiet: a client is connected while events of another node do not get into the log, and
// gets nothing behind the gap. When it comes back it is new, at any node: what it had last is before
// the gap. The clients of the node that has emitted them have had them, and are recovered.
func TestJournalQuiet(t *testing.T) {
	for _, at := range []string{"its node", "the other node"} {
		t.Run(at, func(t *testing.T) {
			bus := journalBus()
			a := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
			b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
			ca, cb := serve(t, a), serve(t, b)
			own, other := newReturning(t, ca, ""), newReturning(t, cb, "")
			_ = a.Of("/").Emit("one")
			own.expect("one")
			other.expect("one")
			bus.Cut(a.node.Name())
			until(t, "the bus is away", func() bool { return !a.node.Up() })
			_ = a.Of("/").To("elsewhere").Emit("lost")
			bus.Heal()
			until(t, "the log is mended", func() bool { return a.node.Up() && !a.recovery.torn() })
			caughtUp(t, b, a)
			own.stored(a)
			other.stored(b)
			if at == "its node" {
				a, b, ca, cb = b, a, cb, ca
			}
			if other.at(ca).connect("") {
				t.Error("the client of the other node is recovered")
			}
			if !own.at(cb).connect("") {
				t.Error("the client of the node itself is not recovered")
			}
			other.expect("recovery")
			_ = a.Of("/").Emit("two")
			own.expect("two")
			other.expect("two")
			if other.stored(a); !other.at(cb).connect("") {
				t.Error("not recovered behind the gap")
			}
			if own.stored(b); !own.at(ca).connect("") {
				t.Error("not recovered for the second time")
			}
		})
	}
}

// TestJournalUnplaced: a client was sent an event that is not in the log, and then nothing. Whether it
// has had the event no offset says, so it is new when it comes back.
func TestJournalUnplaced(t *testing.T) {
	for _, alone := range []bool{true, false} {
		bus := journalBus()
		a := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
		b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
		sockets := connected(a.Of("/"))
		r := newReturning(t, serve(t, a), "")
		there := serve(t, b)
		_ = a.Of("/").Emit("one")
		r.expect("one")
		bus.Cut(a.node.Name())
		until(t, "the bus is away", func() bool { return !a.node.Up() })
		if s := <-sockets; alone {
			_ = s.Emit("two")
		} else {
			_ = a.Of("/").Emit("two")
		}
		_ = a.Of("/").All().Local().Emit("three") // that is nothing that could be recovered
		r.expect("two", "three")
		bus.Heal()
		until(t, "the log is mended", func() bool { return a.node.Up() && !a.recovery.torn() })
		r.stored(a)
		if r.at(there).connect("") {
			t.Errorf("recovered; to the socket alone: %v", alone)
		}
	}
}

// TestJournalUnread: the log drops entries before a node has read them. A client of that node that
// has not had them is new, whether it was away meanwhile or connected.
func TestJournalUnread(t *testing.T) {
	for _, away := range []bool{true, false} {
		bus := journalBus()
		a := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
		b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
		r := newReturning(t, serve(t, a), "")
		there := serve(t, b)
		r.stored(a)
		if !r.at(there).connect("") { // from here on the memory of this node is complete
			t.Fatal("not recovered")
		}
		_ = a.Of("/").Emit("one")
		r.expect("one")
		if away {
			r.stored(b)
		}
		bus.Cut(b.node.Name())
		_ = a.Of("/").Emit("lost")
		_ = a.Of("/").To("elsewhere").Emit("kept")
		flush(t, a)
		bus.Keep(1)
		bus.Heal()
		caughtUp(t, b, a)
		if !away {
			r.stored(b)
		}
		if r.connect("") {
			t.Errorf("recovered; away meanwhile: %v", away)
		}
		r.expect("recovery")
		_ = a.Of("/").Emit("two")
		r.expect("two")
		r.stored(b)
		if !r.connect("") {
			t.Error("not recovered behind what was dropped")
		}
	}
}

// TestJournalDeep: an event is nested deeper than the limits of a node allow. Its clients do not get
// it, and none of them is recovered across it; no offset is invented for it.
func TestJournalDeep(t *testing.T) {
	for _, c := range []string{"away", "away from the node that emits", "connected"} {
		t.Run(c, func(t *testing.T) {
			bus := journalBus()
			o := Options{Recovery: &Recovery{}, Limits: Limits{Depth: 4}}
			a, b := o, o
			a.Cluster, b.Cluster = bus.Backend(), bus.Backend()
			from, to := NewServer(&a), NewServer(&b)
			ca, cb := serve(t, from), serve(t, to)
			first, at := ca, from
			if c == "connected" {
				first, at = cb, to
			}
			r := newReturning(t, first, "")
			_ = from.Of("/").Emit("one")
			r.expect("one")
			if c != "connected" {
				r.stored(at)
			}
			l := to.recovery.log(to.Of("/"))
			_ = from.Of("/").Emit("deep", [][][][]int{{{{1}}}})
			flush(t, from)
			caughtUp(t, to, from)
			if c == "connected" {
				r.stored(at)
			}
			l.mu.Lock()
			if l.position != to.recovery.journal.Reached() {
				t.Errorf("the log is at %s, and the journal at %s", l.offset(l.position), l.offset(to.recovery.journal.Reached()))
			}
			l.mu.Unlock()
			back := cb
			if c == "away from the node that emits" { // the memory of that node is not complete yet
				back = ca
			}
			if r.at(back).connect("") {
				t.Error("recovered")
			}
			r.expect("recovery")
			_ = from.Of("/").Emit("two")
			r.expect("two")
		})
	}
}

// TestJournalGivenUp: the bus goes away while an event is on its way back from the log, and the clients
// of the node get the event without its position. A client that comes back to another node with the
// position before it is new there: the log would give it the event once more.
func TestJournalGivenUp(t *testing.T) {
	bus := journalBus()
	v := newValve(bus.Backend())
	a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
	b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	r := newReturning(t, serve(t, a), "")
	there := serve(t, b)
	_ = a.Of("/").Emit("one")
	r.expect("one")
	caughtUp(t, b, a)
	before := b.recovery.journal.Reached()
	v.holding.Lock()
	_ = a.Of("/").Emit("two")
	until(t, "the other node has read that", func() bool { return b.recovery.journal.Reached() > before })
	a.recovery.Away()
	r.expect("two")
	v.holding.Unlock()
	until(t, "the log is mended", func() bool { return !a.recovery.torn() })
	caughtUp(t, b, a)
	if r.stored(a); r.at(there).connect("") {
		t.Error("recovered, with an event behind the offset that it has had")
	}
	r.expect("recovery")
}

// TestJournalBreaks: what is said of two breaks at once may come back in either order.
func TestJournalBreaks(t *testing.T) {
	s := NewServer(&Options{Cluster: journalBus().Backend(), Recovery: &Recovery{}})
	serve(t, s)
	until(t, "the bus is there", s.node.Up)
	r := s.recovery
	r.breaks.count.Store(2)
	r.breaks.said.Store(2)
	for _, count := range []uint64{2, 1} {
		clusterHost{s}.Deliver(&cluster.Message{Kind: cluster.Gap, Node: s.node.Name(), Ticket: count, Position: r.journal.Reached() + 3 - count})
	}
	if r.torn() {
		t.Error("the log is torn for ever")
	}
}
