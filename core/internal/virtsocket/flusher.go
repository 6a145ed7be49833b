package virtsocket

import (
	"runtime"
	"sync"
)

// flusher writes what broadcasts have queued: a few goroutines that exist while
// there is something to write, each of which takes outboxes in chunks. Messages
// of several broadcasts that meet in a queue leave in one write.
type flusher struct {
	mu      sync.Mutex
	list    []*outbox
	next    int
	running int
}

const flushChunk = 64

func (f *flusher) add(batch []*outbox) {
	if len(batch) == 0 {
		return
	}
	f.mu.Lock()
	f.list = append(f.list, batch...)
	if f.running < runtime.GOMAXPROCS(0) && f.running*flushChunk < len(f.list)-f.next {
		f.running++
		go f.run()
	}
	f.mu.Unlock()
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
			if to := o.unlist(); to != nil {
				to.Flush()
			}
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
