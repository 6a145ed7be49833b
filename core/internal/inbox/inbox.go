// Package inbox is the order in which what one connection has brought is handled.
//
// A task has a key: the namespace that it is about. Tasks with the same key are done
// one at a time, in the order in which they came. Tasks with different keys are done
// in that order too, by one goroutine, until one of them takes long: then Overtake
// lets another goroutine do what waits under other keys. A task with the key Alone is
// done when everything before it is done, and nothing behind it begins before its end.
// Where very many keys wait at once, some of them wait for each other.
//
// # Goroutines
//
// A worker is a goroutine that does tasks. It is the goroutine that has read the task
// from the connection (Claim, then Run), or one that the inbox starts when a task is
// put while nobody can do it. At most one worker has the turn: it takes the tasks of
// all keys, the oldest first. Overtake ends its turn. The worker that was overtaken
// goes on with the key that it is in, and ends when nothing waits there; or takes the
// turn again when nobody has it.
//
// This always holds while the lock is free: when some waiting task may be done, a
// worker has the turn. So whoever makes a task possible, by Put, Push, Overtake or by
// the end of a task, gives the turn to somebody in the same critical section, and
// nothing is forgotten.
//
// A task may end its goroutine (runtime.Goexit, which testing's FailNow is). Another
// worker then takes over.
//
// # Bounds
//
// What waits is bounded by number and bytes, over all keys together: whoever reads the
// connection waits in Put while there is no room, which stops the reading and with it
// the client. One task always fits. While Calls says that the application waits for an
// ack of this client, the bounds are larger, because the ack lies behind what the
// client has sent before.
//
// The bytes of a task count until its end when another task is done beside it. So what a
// client may have us hold does not grow with the number of its keys: it is the bound, and
// one task each that waits for room, that has the turn, and that has reached the bound.
// With one key the task that is being done does not count.
//
// # Locks
//
// Inbox.mu is held for a few instructions, never while a task runs. Owner.PauseHeartbeat is
// called with it held; no other method of Owner is.
package inbox

import "sync"

// Alone is the key of tasks that are done while no other task is.
const Alone = "\x00alone"

// While Calls is not zero, the bounds are so many times larger.
const (
	callsCount = 256
	callsBytes = 4
)

// Owner is what an inbox belongs to: the client of a connection, which does the tasks,
// and its session. See virtsocket.Socket.
type Owner[T any] interface {
	Do(t T)
	Begin()                 // a worker starts
	End()                   // it ends
	WatchHandler()          // a task begins that may take long
	PauseHeartbeat(on bool) // readers wait for room, or none does any more
}

// Bounds are what may wait in each of many inboxes. They do not change.
type Bounds struct {
	Count, Bytes int
}

// Inbox holds the tasks of one connection. Init comes first. All methods are safe for
// concurrent use.
type Inbox[T any] struct {
	owner  Owner[T]
	bounds *Bounds

	mu      sync.Mutex // guards what follows
	room    *sync.Cond // for readers that wait for room, and for Close; nil until then
	first   queue[T]   // the queues, as a list: most connections need one only
	came    uint64     // tasks so far
	bytes   int        // of the tasks in the queues, and of those that others are done beside
	waiting int32      // tasks in the queues
	calls   int32      // see Calls
	stalled int32      // readers that wait for room
	turn    uint32     // of the worker that had it last
	taken   bool       // a worker has the turn
	closed  bool
}

// Init sets what the inbox works for, and its bounds.
func (b *Inbox[T]) Init(owner Owner[T], bounds *Bounds) {
	b.owner, b.bounds = owner, bounds
}

// Role is what a worker has: the queue that it is in, and its turn.
type Role[T any] struct {
	q    *queue[T]
	turn uint32
}

// Claim makes the caller the worker for a task of its own, which is not put into the
// inbox, if that can be done at once: no other worker has the turn, nothing with the
// key waits or is being done, no call waits for an ack, and the bytes are below their
// bound. Run or Release follows. With the key Alone it is refused.
func (b *Inbox[T]) Claim(key string, size int) (r Role[T], ok bool) {
	b.mu.Lock()
	if b.taken || b.closed || b.calls > 0 || key == Alone || b.occupied(key) || b.beside() >= b.bounds.Bytes {
		b.mu.Unlock()
		return r, false
	}
	q := b.queue(key)
	q.begin(size)
	b.take()
	r = Role[T]{q, b.turn}
	b.mu.Unlock()
	return r, true
}

// occupied reports whether something with the key, or Alone, waits or is being done, or
// may do so in the queue that is shared; b.mu is held.
func (b *Inbox[T]) occupied(key string) bool {
	for q := &b.first; q != nil; q = q.next {
		if !q.idle() && (q.key == key || q.key == Alone || q.key == rest) {
			return true
		}
	}
	return false
}

// Run does t, and then what waits. The caller has claimed the role.
func (b *Inbox[T]) Run(r Role[T], t T) {
	ended := false
	defer func() {
		if !ended {
			go b.carryOn(r)
		}
	}()
	for more := true; more; {
		b.owner.Do(t)
		if t, more = b.next(&r); more {
			b.owner.WatchHandler()
		}
	}
	ended = true
}

// Release gives a role back whose task the caller has done itself. Another goroutine
// does what waits.
func (b *Inbox[T]) Release(r Role[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave(r.q)
	if b.taken && b.turn == r.turn {
		b.taken = false
	}
	b.start()
}

// Put adds a task that the connection has brought. It waits while the inbox is full. It
// reports false, and adds nothing, when the inbox was closed before; a task that waits
// when the inbox is closed is taken all the same.
func (b *Inbox[T]) Put(key string, size int, t T) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	for b.full(size) && !b.closed {
		if b.room == nil {
			b.room = sync.NewCond(&b.mu)
		}
		if b.stalled++; b.stalled == 1 {
			b.owner.PauseHeartbeat(true)
		}
		b.room.Wait()
		if b.stalled--; b.stalled == 0 {
			b.owner.PauseHeartbeat(false)
			b.room.Broadcast() // Close waits for it
		}
	}
	b.push(key, size, t)
	return true
}

// Push adds a task of the server's own. It never waits, and a closed inbox takes it too: it is
// for what belongs to the end.
func (b *Inbox[T]) Push(key string, t T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.push(key, 0, t)
}

// Overtake ends the turn of the worker that has it, because its task takes long: another
// worker does what waits under other keys. It does not block.
func (b *Inbox[T]) Overtake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.taken {
		return
	}
	b.taken = false
	b.start()
}

// Calls counts what waits for an ack of the client: n is 1 or -1. Meanwhile nothing is
// claimed, so that somebody reads on, and the bounds are larger.
func (b *Inbox[T]) Calls(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls += int32(n)
	if b.room != nil {
		b.room.Broadcast()
	}
}

// Close refuses what is put from now on, and returns when the tasks of the readers that
// have waited for room are in the inbox.
func (b *Inbox[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.room == nil {
		return
	}
	b.room.Broadcast()
	for b.stalled > 0 {
		b.room.Wait()
	}
}

// State is what an inbox holds at one moment, for tests.
type State struct {
	Waiting, Bytes int // tasks that wait, and the bytes that count
	Calls, Stalled int // see Calls, and readers that wait for room
}

// State returns what the inbox holds now.
func (b *Inbox[T]) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return State{int(b.waiting), b.bytes, int(b.calls), int(b.stalled)}
}

// full reports whether there is no room for size bytes; b.mu is held.
func (b *Inbox[T]) full(size int) bool {
	count, bytes := b.bounds.Count, b.bounds.Bytes
	if b.calls > 0 {
		count, bytes = callsCount*count, callsBytes*bytes
	}
	if b.waiting == 0 { // one fits, whatever its size, beside what is being done
		return b.bytes >= bytes
	}
	return int(b.waiting) >= count || b.bytes+size > bytes
}

// push adds a task and sees to it that somebody does it; b.mu is held.
func (b *Inbox[T]) push(key string, size int, t T) {
	q := b.queue(key)
	b.came++
	q.tasks = append(q.tasks, entry[T]{t, size, b.came})
	b.waiting++
	b.bytes += size
	if !b.taken {
		b.start()
	}
}

// take gives the turn to a worker, whose number is then b.turn; b.mu is held.
func (b *Inbox[T]) take() {
	b.taken = true
	b.turn++
}

// start starts a worker if there is something to do for one and nobody has the turn;
// b.mu is held.
func (b *Inbox[T]) start() {
	if !b.taken && b.pick() != nil {
		b.take()
		go b.carryOn(Role[T]{nil, b.turn})
	}
}

// carryOn is a worker in a goroutine of its own.
func (b *Inbox[T]) carryOn(r Role[T]) {
	b.owner.Begin()
	defer b.owner.End()
	if t, more := b.next(&r); more {
		b.owner.WatchHandler()
		b.Run(r, t)
	}
}

// next ends the task of a worker and finds its next one. Without one its role ends.
func (b *Inbox[T]) next(r *Role[T]) (t T, more bool) {
	b.mu.Lock()
	if r.q != nil {
		b.leave(r.q)
	}
	q := b.choose(r)
	if q == nil {
		b.mu.Unlock()
		return t, false
	}
	r.q = q
	e := q.tasks[0]
	q.tasks[0] = entry[T]{}
	q.tasks = q.tasks[1:]
	b.waiting--
	b.bytes -= e.size
	b.beside()
	q.begin(e.size)
	if b.turn != r.turn { // another worker has the turn
		b.hold(q)
	}
	if b.room != nil {
		b.room.Broadcast()
	}
	b.mu.Unlock()
	return e.task, true
}
