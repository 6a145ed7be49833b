package virtsocket

import (
	"testing"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/packet"
)

// unwatched is a hub whose watch is played by the test, with one socket.
func unwatched() (*Hub, *Socket) {
	o := every(fakeDuplex{})
	o.Accept = func(*Socket, host.Exchange) (Handler, *dialect.Refusal) { return nil, nil }
	h := NewHub(o)
	h.watch.idle.Store(false) // as if it were running
	s := h.newSocket(eio4.New(packet.DefaultLimits))
	s.handler = &recorder{}
	s.conn = &fakeConn{link: s} // without a heartbeat
	s.out.attach(s.conn)
	return h, s
}

// TestWatchKeepsTheNext: the watch looks after a batch that begins while it is
// busy with the one before.
func TestWatchKeepsTheNext(t *testing.T) {
	h, s := unwatched()
	s.Begin()
	s.WatchHandler()
	s.End()
	h.watch.tick.Add(detachTicks)
	s.Begin()
	s.WatchHandler()
	if h.watch.dismiss(s, 0) || s.busy.Load() == 0 { // the watch had seen the first batch
		t.Error("a batch that has entered is not watched")
	}
	if !h.watch.dismiss(s, detachTicks) || s.busy.Load() != 0 {
		t.Error("the batch that the watch has seen is still watched")
	}
	s.End()
}

// TestWatchKeepsWhoReliesOnIt: a batch that begins between the end of another and
// its leaving finds the socket on the list, and does not enter. Whoever is dismissed is
// told of: the watch detaches it.
func TestWatchKeepsWhoReliesOnIt(t *testing.T) {
	h, s := unwatched()
	s.Begin()
	s.WatchHandler()
	s.out.end() // End has got as far as this
	s.Begin()
	s.WatchHandler()
	h.watch.leave(s) // and goes on
	if s.busy.Load() == 0 {
		t.Error("not watched after the end of the batch before")
	}
	if !h.watch.dismiss(s, 0) { // the watch had seen the batch before
		t.Error("neither watched nor detached, though what it sends is kept back")
	}
	s.WatchHandler() // the next handler of the batch
	if s.busy.Load() == 0 {
		t.Error("a handler that begins behind one that took long is not watched")
	}
	s.End()
	if s.busy.Load() != 0 || len(h.watch.shard(s).list) != 0 {
		t.Error("watched after the end")
	}
}

// TestOverdue: the handler is told that application code takes long before another
// goroutine reads on, and each time that it does.
func TestOverdue(t *testing.T) {
	o := every(fakeDuplex{})
	o.Accept = func(*Socket, host.Exchange) (Handler, *dialect.Refusal) { return nil, nil }
	h := NewHub(o)
	s := h.newSocket(eio4.New(packet.DefaultLimits))
	told := make(chan string, 8)
	s.handler = &late{told: told}
	s.conn = &lateConn{fakeConn: fakeConn{link: s}, told: told}
	s.Begin()
	for range 2 {
		s.AllowHandoff()
		for _, want := range []string{"enter", "overdue", "detach"} {
			if got := <-told; got != want {
				t.Errorf("%s instead of %s", got, want)
			}
		}
	}
	s.End()
}

type late struct {
	recorder
	told chan string
}

func (l *late) Overdue() { l.told <- "overdue" }

type lateConn struct {
	fakeConn
	told chan string
}

func (c *lateConn) Enter()  { c.told <- "enter" }
func (c *lateConn) Detach() { c.told <- "detach" }

// TestHasTurnBesideTheNext: the frame that has its turn is the caller's, also when another
// goroutine reads on and brings the next one.
func TestHasTurnBesideTheNext(t *testing.T) {
	l := &replaceableLink{Socket: &Socket{}, batches: 2, frames: 2, inside: 2}
	l.hasTurn(&fakeConn{}, 1)
	if l.inside != 2 || len(l.handed) != 1 || l.handed[0] != 1 {
		t.Errorf("inside %d, handed on %v", l.inside, l.handed)
	}
	l.returned(1)
	l.hasTurn(&fakeConn{}, l.current())
	if l.inside != 0 || len(l.handed) != 1 || l.handed[0] != 2 {
		t.Errorf("inside %d, handed on %v", l.inside, l.handed)
	}
}

// TestFlusherCompacts: the flushers' list does not grow with what they have taken,
// and keeps no socket that was taken.
func TestFlusherCompacts(t *testing.T) {
	f := &flusher{running: 1 << 20} // nobody else takes
	_, s := unwatched()
	batch := make([]*outbox, flushChunk)
	for i := range batch {
		batch[i] = &s.out
	}
	f.list = make([]*outbox, 0, 4*flushChunk)
	for range 16 {
		f.add(batch) // the backlog
	}
	for range 1000 {
		f.add(batch)
		f.mu.Lock()
		clear(f.list[f.next : f.next+flushChunk])
		f.next += flushChunk
		f.compact()
		f.mu.Unlock()
	}
	if n := len(f.list); n > 64*flushChunk || cap(f.list) > 128*flushChunk {
		t.Errorf("%d entries, room for %d, and %d wait", n, cap(f.list), n-f.next)
	}
}
