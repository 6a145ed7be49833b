package inbox

import "math"

// queue are the tasks with one key. One that is idle can be used for another key.
type queue[T any] struct {
	key   string
	busy  bool  // one of its tasks is being done
	held  bool  // another one is done beside that one, and its size is in Inbox.bytes
	size  int32 // of that one
	tasks []entry[T]
	next  *queue[T]
}

func (q *queue[T]) idle() bool { return !q.busy && len(q.tasks) == 0 }

// begin says that a task is being done.
func (q *queue[T]) begin(size int) {
	q.busy, q.size = true, int32(min(size, math.MaxInt32))
}

// beside counts the tasks that are being done, because another one begins, and returns
// the bytes that count; b.mu is held.
func (b *Inbox[T]) beside() int {
	for q := &b.first; q != nil; q = q.next {
		b.hold(q)
	}
	return b.bytes
}

// hold counts the task of a queue that is being done, once; b.mu is held.
func (b *Inbox[T]) hold(q *queue[T]) {
	if q.busy && !q.held {
		q.held = true
		b.bytes += int(q.size)
	}
}

// leave ends the task that is being done. An idle queue keeps no room for its busiest
// moment. b.mu is held.
func (b *Inbox[T]) leave(q *queue[T]) {
	q.busy = false
	if q.held {
		q.held = false
		b.bytes -= int(q.size)
		if b.room != nil {
			b.room.Broadcast()
		}
	}
	if len(q.tasks) == 0 {
		q.key, q.tasks = "", nil
	}
}

type entry[T any] struct {
	task T
	size int
	came uint64 // its number
}

// maxQueues is how many keys have a queue of their own at the same time. Further ones
// share one, so that a client with very many keys makes nobody search for long.
const maxQueues = 64

// rest is the key of the queue that is shared. While something is in it, no further key
// gets a queue of its own: it might have something in this one.
const rest = "\x00rest"

// queue returns the queue of a key; b.mu is held.
func (b *Inbox[T]) queue(key string) *queue[T] {
	var free, shared *queue[T]
	last, n := &b.first, 0
	for q := &b.first; q != nil; q = q.next {
		switch {
		case q.idle():
			if free == nil {
				free = q
			}
		case q.key == key:
			return q
		case q.key == rest:
			shared = q
		default:
			n++
		}
		last = q
	}
	switch {
	case key == Alone:
	case shared != nil:
		return shared
	case n >= maxQueues:
		key = rest
	}
	if free == nil {
		free = new(queue[T])
		last.next = free
	}
	free.key = key
	return free
}

// pick finds the queue whose first task is to be done next, nil when none may be
// done now; b.mu is held.
func (b *Inbox[T]) pick() *queue[T] {
	if b.waiting == 0 {
		return nil
	}
	var oldest, alone *queue[T]
	busy := false
	for q := &b.first; q != nil; q = q.next {
		switch {
		case q.busy && q.key == Alone:
			return nil
		case q.busy:
			busy = true
		case len(q.tasks) == 0:
		case q.key == Alone:
			alone = q
		case oldest == nil || q.tasks[0].came < oldest.tasks[0].came:
			oldest = q
		}
	}
	switch {
	case alone == nil || oldest != nil && oldest.tasks[0].came < alone.tasks[0].came:
		return oldest
	case busy: // with something that came before; what is behind waits as well
		return nil
	}
	return alone
}

// choose finds the queue for the next task of a worker that has done its last one, and
// gives the turn to the worker if nobody has it. Without one the worker has ended; b.mu
// is held.
func (b *Inbox[T]) choose(r *Role[T]) *queue[T] {
	if b.taken && b.turn != r.turn { // overtaken
		if own := r.q; own != nil && len(own.tasks) > 0 && !b.behindAlone(own) {
			return own
		}
		return nil
	}
	q := b.pick()
	switch {
	case q == nil:
		b.taken = false
		b.trim()
	case !b.taken:
		b.take()
		r.turn = b.turn
	}
	return q
}

// behindAlone reports whether a task that is done alone is to come before the first one
// of q; b.mu is held.
func (b *Inbox[T]) behindAlone(q *queue[T]) bool {
	for o := &b.first; o != nil; o = o.next {
		if o.key == Alone && !o.idle() && (o.busy || o.tasks[0].came < q.tasks[0].came) {
			return true
		}
	}
	return false
}

// trim forgets the queues of an inbox in which nothing waits and nothing is done; b.mu
// is held.
func (b *Inbox[T]) trim() {
	if b.first.next == nil {
		return
	}
	for q := &b.first; q != nil; q = q.next {
		if !q.idle() {
			return
		}
	}
	b.first.next = nil
}
