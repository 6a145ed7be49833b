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
	h.watch.dismiss(s, 0) // the watch had seen the first batch
	if s.busy.Load() == 0 {
		t.Error("a batch that has entered is not watched")
	}
	s.Detach()
	h.watch.dismiss(s, detachTicks)
	if s.busy.Load() != 0 {
		t.Error("a batch of which nothing is kept back is still watched")
	}
	s.End()
}

// TestWatchKeepsWhoReliesOnIt: a batch that begins between the end of another and
// its leaving finds the socket on the list, and does not enter.
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
	h.watch.dismiss(s, 0) // the watch had detached the batch before
	if s.busy.Load() == 0 {
		t.Error("not watched, though what it sends is kept back")
	}
	s.End()
	if s.busy.Load() != 0 || len(h.watch.shard(s).list) != 0 {
		t.Error("watched after the end")
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
