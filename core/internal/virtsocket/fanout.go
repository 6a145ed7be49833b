package virtsocket

import "github.com/siokit/siokit/core/internal/packet"

// Fanout queues one message for many sockets and has them written. After Done it holds none of
// them, and may be used again.
type Fanout struct {
	hub   *Hub
	batch [flushChunk]*outbox
	n     int
}

// Begin starts the fan-out of messages to sockets of a hub, nil for none.
func (f *Fanout) Begin(h *Hub) { f.hub = h }

// Send queues m, which must be shared, for s. With mayDrop it is a volatile message. When more waits
// for s than may wait for a flusher, Send writes that, without blocking: also where the caller holds
// the lock of a room, so that others wait for as long who want to join.
func (f *Fanout) Send(s *Socket, m *packet.Message, mayDrop bool) {
	how := shared
	if mayDrop {
		how |= volatile
	}
	to, err := s.enqueue(m, how)
	if to == nil {
		// The outbox may be in the list already, which is parked for the end of somebody else's batch,
		// or whose flusher waits for a processor: a client that keeps up must not come to its bounds
		// by that.
		if err == nil {
			if to := s.out.corked(); to != nil {
				to.Flush()
			}
		}
		return
	}
	if m.Size() >= s.out.limits.bytes {
		to.Flush() // alone it is all that may wait: what comes next must not find it in the queue
	}
	f.batch[f.n] = &s.out
	if f.n++; f.n == len(f.batch) {
		f.Done()
	}
}

// Hurry is Done for a caller that is about to wait for answers: nothing waits for the end of a
// batch.
func (f *Fanout) Hurry() {
	h := f.hub
	f.Done()
	h.flush.wake()
}

// Done hands the rest to the flushers.
func (f *Fanout) Done() {
	f.hub.flush.add(f.batch[:f.n])
	clear(f.batch[:f.n])
	f.n = 0
}
