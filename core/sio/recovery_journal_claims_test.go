package sio

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// heldJournal is a backend with a log that is read in turns: a read that has begun does not return
// before its channel is closed.
type heldJournal struct {
	cluster.Backend
	cluster.Journal

	mu    sync.Mutex
	reads []chan struct{} // of the reads that come next
	done  chan struct{}   // gets one for each read that has found its end
}

func (j *heldJournal) After(ctx context.Context, position uint64, namespaces []string, each func(m *cluster.Message) error) (uint64, error) {
	last, err := j.Journal.After(ctx, position, namespaces, each)
	j.mu.Lock()
	var held chan struct{}
	if len(j.reads) > 0 {
		held, j.reads = j.reads[0], j.reads[1:]
	}
	j.mu.Unlock()
	if held != nil {
		j.done <- struct{}{}
		<-held
	}
	return last, err
}

// TestJournalTwoComeBack: two clients come back at once to a node that has never had anybody. The
// one who has read the log first is recovered, though the other has read further, and is done
// before.
func TestJournalTwoComeBack(t *testing.T) {
	bus := journalBus()
	b := bus.Backend()
	j := &heldJournal{Backend: b, Journal: b.(cluster.Journal), reads: []chan struct{}{make(chan struct{}), make(chan struct{})}, done: make(chan struct{})}
	first, second := j.reads[0], j.reads[1]
	from := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	to := NewServer(&Options{Cluster: j, Recovery: &Recovery{}})
	c, there := serve(t, from), serve(t, to)
	clients := []*returning{newReturning(t, c, ""), newReturning(t, c, "")}
	_ = from.Of("/").Emit("one")
	for _, r := range clients {
		r.expect("one")
		r.away(from)
	}
	var coming sync.WaitGroup
	come := func(r *returning) {
		coming.Go(func() {
			if !r.at(there).connect("") {
				t.Error("not recovered")
			}
		})
		<-j.done
	}
	come(clients[0])
	_ = from.Of("/").Emit("two")
	flush(t, from)
	come(clients[1])
	close(second)
	until(t, "the second is there", func() bool { return to.Of("/").Len() == 1 })
	close(first)
	coming.Wait()
	_ = from.Of("/").Emit("three")
	for _, r := range clients {
		r.expect("two", "three")
	}
}

// TestJournalWhole: what a log drops or forgets before it was compared with the journal does not
// make it one that is complete from there on: what came before the node listened is not in it.
func TestJournalWhole(t *testing.T) {
	s := NewServer(&Options{Cluster: journalBus().Backend(), Recovery: &Recovery{MaxEvents: 1}})
	serve(t, s)
	until(t, "the bus is there", s.node.Up)
	l := s.recovery.log(s.Of("/"))
	for range 3 {
		_ = s.Of("/").Emit("x")
	}
	flush(t, s)
	since := func() uint64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.since()
	}
	l.mu.Lock()
	kept := len(l.events)
	l.mu.Unlock()
	if kept != 1 {
		t.Fatalf("%d events are kept", kept)
	}
	if since() != never {
		t.Error("complete when it has dropped something")
	}
	l.nowhere()
	if since() != never {
		t.Error("complete when it has forgotten something")
	}
}

// TestJournalForeignRoom: a server of another kind has had the session, and has put the socket into
// a room. What came in that room behind the client's offset is not taken for had, though the client
// was connected here until later.
func TestJournalForeignRoom(t *testing.T) {
	bus := journalBus()
	a := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	r := newReturning(t, serve(t, a), "")
	there := serve(t, b)
	_ = a.Of("/").Emit("one")
	r.expect("one")
	_ = a.Of("/").To("new").Emit("two")
	flush(t, a)
	r.away(a)
	var st *cluster.Session
	until(t, "the session is kept", func() bool {
		st, _ = a.recovery.journal.TakeSession(t.Context(), r.pid)
		return st != nil
	})
	st.Rooms = append(st.Rooms, "new")
	if err := a.recovery.journal.SaveSession(t.Context(), st, time.Minute); err != nil {
		t.Fatal(err)
	}
	if !r.at(there).connect("") {
		t.Fatal("not recovered")
	}
	r.expect("two")
}
