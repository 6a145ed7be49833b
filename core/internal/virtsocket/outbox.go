package virtsocket

import (
	"errors"
	"sync"

	"github.com/siokit/siokit/core/internal/packet"
)

// corkBytes and corkCount are how much may wait for the end of a batch before it
// is written: what an application sends in one go must not fill the queue.
const (
	corkBytes = 64 << 10
	corkCount = 128
)

// ErrClosed is returned by sends on a socket that has ended.
var ErrClosed = errors.New("virtsocket: closed")

// Why an outbox takes no message, beside ErrClosed.
var (
	errFull    = errors.New("virtsocket: the outgoing queue is full")
	errDropped = errors.New("virtsocket: a volatile message would have to wait")
)

// outboxLimits are the bounds of every outbox of a hub.
type outboxLimits struct {
	count, bytes int
	cork         int // corkCount, or less where the queue holds less
	corkBytes    int // the same of corkBytes
}

func newOutboxLimits(count, bytes int) outboxLimits {
	return outboxLimits{count, bytes, max(1, min(corkCount, count/2)), max(1, min(corkBytes, bytes/2))}
}

// delivery is how a message is added to an outbox.
type delivery uint8

const (
	shared   delivery = 1 << iota // the caller has the outbox written by a flusher
	volatile                      // the message is dropped if it would have to wait
	parked                        // flushers wait for the end of a batch: that is no reason to drop it
)

// outbox is the outgoing queue of one session, from Send until the transport has
// written the message. It knows neither the session nor the hub.
//
// An outbox writes nothing itself. Its methods return the transport when the
// caller must call Flush, after the lock is free; they return nil when somebody
// else is bound to do that:
//
//   - while a batch is in progress, the end of the batch (end), or the watch when
//     the batch takes long (release);
//   - for a message of a broadcast, the flusher whose list has the outbox (unlist);
//   - before there is a transport, whoever attaches one.
//
// The lock is a leaf: nothing is called while it is held.
type outbox struct {
	limits *outboxLimits

	mu      sync.Mutex
	to      flushable // the transport; nil before there is one
	queue   []*packet.Message
	spare   []*packet.Message // what queue becomes with the next take
	count   int               // messages queued or being written
	bytes   int               // of these
	batches int               // in progress
	// released: what is added does not wait for the end of the batch. It is reset
	// when no batch is in progress.
	released bool
	listed   bool // in the list of a flusher
	single   bool // the next take returns one message
	closed   bool // nothing is added any more
	finishes bool // sent says when the last message is written
}

// flushable is what an outbox needs of a transport.Conn.
type flushable interface{ Flush() }

// attach says which transport takes the messages from now on. The caller has it
// flushed: messages may have waited.
func (o *outbox) attach(to flushable) {
	o.mu.Lock()
	o.to = to
	o.mu.Unlock()
}

// add appends m, or releases m and says why not. It returns the transport if the
// caller is to flush it; with shared the caller adds the outbox to a flusher
// instead.
func (o *outbox) add(m *packet.Message, how delivery) (flushable, error) {
	size := m.Size()
	o.mu.Lock()
	var err error
	switch {
	case o.closed:
		err = ErrClosed
	case how&volatile != 0 && o.stuck(how&parked != 0):
		err = errDropped
	case o.full():
		err = errFull
	}
	if err != nil {
		o.mu.Unlock()
		m.Release()
		return nil, err
	}
	o.queue = append(o.queue, m)
	o.count++
	o.bytes += size
	to := o.to
	switch {
	case to == nil:
	case o.batches > 0 && !o.released && o.bytes < o.limits.corkBytes && o.count%o.limits.cork != 0:
		to = nil
	case how&shared != 0:
		if o.listed {
			to = nil
		}
		o.listed = true
	}
	o.mu.Unlock()
	return to, nil
}

// corked returns what is to be flushed when as much waits for a flusher as may wait for the end of
// a batch, nil otherwise. The outbox stays in the list.
func (o *outbox) corked() flushable {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.listed || !o.uncorks() {
		return nil
	}
	return o.to
}

// uncorks reports whether the queue holds more than may wait for the end of a batch; o.mu is held.
func (o *outbox) uncorks() bool {
	return o.bytes >= o.limits.corkBytes || o.count >= o.limits.cork
}

// stuck reports whether what is added would have to wait for the client, or for flushers that are
// behind; o.mu is held. What waits for the end of a batch waits for neither: of the own client's,
// or of somebody else's while the list of the flushers is parked.
func (o *outbox) stuck(parked bool) bool {
	switch {
	case o.count == 0 || o.batches > 0:
		return false
	case parked && o.listed && o.count == len(o.queue):
		return o.uncorks()
	}
	return true
}

// full reports whether no message is taken any more; o.mu is held.
//
// The message that reaches the bound passes, however large: whether a small one
// before it has been written already is a matter of microseconds. The same holds for
// the messages behind it: a client can have all of a large message, and ask for the
// next, before the goroutine that has written it says so (sent). So a few more pass
// while what they would wait for is being written: a sixteenth of the bound.
func (o *outbox) full() bool {
	if o.count < o.limits.count && o.bytes < o.limits.bytes {
		return false
	}
	if len(o.queue) >= min(64, max(1, o.limits.count/16)) {
		return true
	}
	waiting := 0
	for _, m := range o.queue {
		waiting += m.Size()
	}
	return len(o.queue) > 0 && waiting >= o.limits.bytes/16
}

// unlist says that a flusher has taken the outbox from its list, and returns what
// it is to flush, and how much that is.
func (o *outbox) unlist() (to flushable, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed = false
	return o.to, o.bytes
}

// take returns the queued messages, nil when there are none. They count until sent.
func (o *outbox) take() []*packet.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil
	}
	ms := o.queue
	if o.single {
		o.single = false
		o.queue = append([]*packet.Message(nil), ms[1:]...)
		return ms[:1:1]
	}
	o.queue, o.spare = o.spare[:0], nil
	return ms
}

// takeSingle has the next take return one message, however many there are.
func (o *outbox) takeSingle(on bool) {
	o.mu.Lock()
	o.single = on
	o.mu.Unlock()
}

// sent releases messages that take has returned. The slice becomes the outbox's again.
// It reports whether these were the last ones of an outbox that finishes.
func (o *outbox) sent(ms []*packet.Message) (last bool) {
	n := release(ms)
	o.mu.Lock()
	o.count -= len(ms)
	o.bytes -= n
	if o.spare == nil && cap(ms) <= 64 { // a larger one is not worth its room
		o.spare = ms[:0]
	}
	if o.count == 0 && cap(o.queue) > 8 {
		o.queue = nil // an idle session keeps no room for its busiest moment
	}
	last = o.finishes && o.count == 0
	o.mu.Unlock()
	return last
}

// release gives messages back, and returns how many bytes they counted.
func release(ms []*packet.Message) (n int) {
	for i, m := range ms {
		n += m.Size()
		m.Release()
		ms[i] = nil
	}
	return n
}

// unsent puts messages back that take has returned: they are the next ones again.
func (o *outbox) unsent(ms []*packet.Message) {
	o.mu.Lock()
	o.queue = append(ms, o.queue...)
	o.mu.Unlock()
}

// begin starts a batch.
func (o *outbox) begin() {
	o.mu.Lock()
	o.batches++
	o.mu.Unlock()
}

// end ends a batch. last: no batch is in progress now, and what was kept back is
// to be flushed.
func (o *outbox) end() (to flushable, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.batches--; o.batches > 0 {
		return nil, false
	}
	o.released = false
	if len(o.queue) > 0 {
		to = o.to
	}
	return to, true
}

// release has nothing kept back until no batch is in progress.
func (o *outbox) release() flushable {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.released = o.batches > 0
	return o.to
}

// idle reports whether no batch is in progress.
func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.batches == 0
}

// keepsBack reports whether what is added waits for the end of a batch.
func (o *outbox) keepsBack() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.batches > 0 && !o.released
}

// empty reports whether every message has been written.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count == 0
}

// finish ends the adding of messages, and has sent report when all are written. It
// reports whether they are now.
func (o *outbox) finish() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.finishes = true, true
	return o.count == 0
}

// close ends the adding of messages. What is queued can still be taken; with drop
// it is released now, because nobody will.
func (o *outbox) close(drop bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if !drop {
		return
	}
	o.count -= len(o.queue)
	o.bytes -= release(o.queue)
	o.queue = nil
}
