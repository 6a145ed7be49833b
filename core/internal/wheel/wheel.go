// Package wheel is a hashed timer wheel: one goroutine and one ticker for any
// number of coarse timers, whose links lie inside their owners.
package wheel

import (
	"sync"
	"time"
)

const slots = 512

// Owner is told when its timer has expired.
type Owner interface {
	// Expired runs on the wheel's goroutine and must not block. A Stop or Set
	// that races with the expiry may come too late: the owner checks its state.
	Expired(t *Timer)
}

// Timer is one entry. The zero value is not armed. It must not be copied while armed.
type Timer struct {
	prev, next *Timer
	owner      Owner
	at         int64 // tick of expiry
}

// Wheel is a timer wheel. Its goroutine exists only while timers are armed.
type Wheel struct {
	resolution time.Duration
	start      time.Time

	mu      sync.Mutex
	slots   [slots]*Timer
	tick    int64 // the last tick that was handled
	armed   int
	running bool
}

// New returns a wheel that fires at most one resolution late.
func New(resolution time.Duration) *Wheel {
	return &Wheel{resolution: resolution, start: time.Now()}
}

// Now is the wheel's time: how long ago New was called.
func (w *Wheel) Now() time.Duration { return time.Since(w.start) }

// Set arms t to expire after d, instead of when it was to expire before.
func (w *Wheel) Set(t *Timer, owner Owner, d time.Duration) { w.SetAt(t, owner, w.Now()+d) }

// SetAt is Set for a moment of the wheel's time. The timer never expires before it.
func (w *Wheel) SetAt(t *Timer, owner Owner, due time.Duration) {
	now := w.Now()
	at := int64((due + w.resolution - 1) / w.resolution)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(t)
	t.owner = owner
	if !w.running {
		w.running = true
		w.tick = int64(now / w.resolution)
		go w.run()
	}
	if at <= w.tick {
		at = w.tick + 1
	}
	t.at = at
	head := w.slot(at)
	t.next = *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
	w.armed++
}

// Stop disarms t.
func (w *Wheel) Stop(t *Timer) {
	w.mu.Lock()
	w.unlink(t)
	w.mu.Unlock()
}

// Armed reports whether t is to expire, for tests.
func (w *Wheel) Armed(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return t.at != 0
}

// slot is where the timers of a tick are. Ticks are below zero for a wheel that was made outside
// of a bubble of testing/synctest and is used inside, where the clock stands years earlier.
func (w *Wheel) slot(tick int64) **Timer { return &w.slots[uint64(tick)%slots] }

func (w *Wheel) unlink(t *Timer) {
	if t.at == 0 {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		*w.slot(t.at) = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next, t.at = nil, nil, 0
	w.armed--
}

// expiry is a timer that has expired. Its owner is noted with it, because the
// timer may be set again before the owner is told.
type expiry struct {
	t     *Timer
	owner Owner
}

func (w *Wheel) run() {
	// Ticks lie at multiples of the resolution, wherever the goroutine starts.
	next := func() time.Duration { return w.resolution - w.Now()%w.resolution }
	timer := time.NewTimer(next())
	defer timer.Stop()
	var due []expiry
	for range timer.C {
		now := int64(time.Since(w.start) / w.resolution)
		w.mu.Lock()
		due = due[:0]
		for w.tick < now {
			w.tick++
			for t := *w.slot(w.tick); t != nil; {
				next := t.next
				if t.at <= w.tick {
					w.unlink(t)
					due = append(due, expiry{t, t.owner})
				}
				t = next
			}
		}
		if w.armed == 0 && len(due) == 0 {
			w.running = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		for i, e := range due {
			e.owner.Expired(e.t)
			due[i] = expiry{}
		}
		timer.Reset(next())
	}
}
