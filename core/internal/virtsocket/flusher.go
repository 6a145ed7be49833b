package virtsocket

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// flusher writes what broadcasts have queued: a few goroutines that exist while
// there is something to write, each of which takes outboxes in chunks. Messages
// of several broadcasts that meet in a queue leave in one write.
//
// A list for few outboxes is parked while handlers run: whoever ends a batch next writes it. That
// saves the goroutine, and what several handlers of one client emit to a small room leaves
// together. When their batches take long the watch has a goroutine started.
type flusher struct {
	// busy reports whether a batch is watched: somebody will call unpark or wake.
	busy func() bool

	mu      sync.Mutex
	list    []*outbox
	next    int
	running int

	_      [64]byte    // whoever ends a batch reads parked: not in a line that each broadcast writes
	parked atomic.Bool // changed with mu held: list is for the end of a batch, and nobody runs
	_      [60]byte
}

const (
	flushChunk = 64
	// parkedChunk is for how many outboxes a list may be parked, and parkedBytes how much of them
	// is written at the end of a batch: the reader of a client writes that, and does not read
	// meanwhile.
	parkedChunk = 16
	parkedBytes = 256 << 10
)

func (f *flusher) add(batch []*outbox) {
	if len(batch) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, batch...)
	if f.running == 0 && len(f.list)-f.next <= parkedChunk {
		// First this, and then the look at the batches: a batch leaves the watch first, and
		// looks at this then, so one of the two sees the other.
		if !f.parked.Load() {
			f.parked.Store(true)
		}
		if f.busy() {
			return
		}
	}
	f.start()
}

// start has goroutines write the list; f.mu is held.
func (f *flusher) start() {
	if f.parked.Load() {
		f.parked.Store(false)
	}
	if f.running < runtime.GOMAXPROCS(0) && f.running*flushChunk < len(f.list)-f.next {
		f.running++
		go f.run()
	}
}

// unpark writes what is parked, at the end of a batch. What is too much goes to a goroutine.
func (f *flusher) unpark() {
	if !f.parked.Load() {
		return
	}
	var chunk [parkedChunk]*outbox
	f.mu.Lock()
	n := 0
	if f.parked.Load() {
		f.parked.Store(false)
		n = copy(chunk[:], f.list[f.next:])
		clear(f.list)
		f.list, f.next = f.list[:0], 0
	}
	f.mu.Unlock()
	for i, bytes := 0, 0; i < n; i++ {
		if bytes >= parkedBytes {
			f.mu.Lock()
			f.list = append(f.list, chunk[i:n]...)
			f.start()
			f.mu.Unlock()
			return
		}
		bytes += flush(chunk[i])
	}
}

// wake has a goroutine write what is parked.
func (f *flusher) wake() {
	if !f.parked.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parked.Load() {
		f.start()
	}
}

// flush writes what an outbox holds that was taken from the list, and returns how much that is.
func flush(o *outbox) int {
	to, bytes := o.unlist()
	if to != nil {
		to.Flush()
	}
	return bytes
}

func (f *flusher) run() {
	var chunk [flushChunk]*outbox
	for {
		f.mu.Lock()
		n := copy(chunk[:], f.list[f.next:])
		if n == 0 {
			f.list = f.list[:0]
			if cap(f.list) > 4096 {
				f.list = nil
			}
			f.next = 0
			f.running--
			f.mu.Unlock()
			return
		}
		clear(f.list[f.next : f.next+n]) // a session that ends is not kept by its entry here
		f.next += n
		f.compact()
		f.mu.Unlock()
		for i, o := range chunk[:n] {
			flush(o)
			chunk[i] = nil
		}
	}
}

// compact gives back the part of the list that has been taken, once that is the
// larger one: under steady broadcasts the list is never empty. f.mu is held.
func (f *flusher) compact() {
	if f.next < 16*flushChunk || f.next < len(f.list)/2 {
		return
	}
	n := copy(f.list, f.list[f.next:])
	clear(f.list[n:])
	f.list = f.list[:n]
	f.next = 0
}
