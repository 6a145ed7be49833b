package mixin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/siokit/siokit/core/sio"
)

func (r *run) lockedWait(ev *sio.Event, socket context.Context) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.wait(ev, socket)
}

func (r *run) nowWaiting() (*sio.Event, int) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return r.waiting, r.m.bytes
}

// TestOnceWaiting: a repetition counts while it waits, and is let go with its socket. One of a
// socket that has ended does not take the place of another.
func TestOnceWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		l := onceLimits{time.Minute, 10, 1 << 20, 1 << 20}
		a, _ := m.begin("c", eventID{"/", "e", "a"}, l, t.Context())
		a.returned(false)
		size := m.bytes
		old, end := context.WithCancel(t.Context())
		first, second := &sio.Event{Name: "e"}, &sio.Event{Name: "e"}
		a.lockedWait(first, old)
		if ev, n := a.nowWaiting(); ev != first || n != size+onceWaitCost {
			t.Errorf("%p waits instead of %p, and %d bytes count instead of %d", ev, first, n, size+onceWaitCost)
		}
		end()
		synctest.Wait()
		if ev, n := a.nowWaiting(); ev != nil || n != size {
			t.Errorf("%p waits when its socket has ended, and %d bytes count instead of %d", ev, n, size)
		}
		a.lockedWait(first, t.Context())
		a.lockedWait(second, t.Context()) // the newest one
		a.lockedWait(first, old)          // a late one of the old connection
		if ev, n := a.nowWaiting(); ev != second || n != size+onceWaitCost {
			t.Errorf("%p waits instead of %p, and %d bytes count instead of %d", ev, second, n, size+onceWaitCost)
		}
		a.answered(sio.Args{})
		if ev, n := a.nowWaiting(); ev != nil || n != size {
			t.Errorf("%p waits for an answer that came, and %d bytes count instead of %d", ev, n, size)
		}
	})
}

// TestOnceWaitingForgotten: what is forgotten is not kept in memory by the live socket of its
// repetition, and counts no longer.
func TestOnceWaitingForgotten(t *testing.T) {
	var m memory
	l := onceLimits{time.Minute, 1, 1 << 20, 1 << 20}
	forgotten := func(late bool) weak.Pointer[run] {
		a, _ := m.begin("c", eventID{"/", "e", "a"}, l, t.Context())
		a.returned(false)
		a.lockedWait(&sio.Event{}, t.Context())
		b, _ := m.begin("c", eventID{"/", "e", "b"}, l, t.Context())
		b.returned(false) // there is room for one
		if late {         // the repetition has found the run before
			a.lockedWait(&sio.Event{}, t.Context())
		}
		if ev, n := a.nowWaiting(); ev == nil || n != b.size+onceClientCost+len("c") {
			t.Errorf("%p waits, and %d bytes count", ev, n)
		}
		m.mu.Lock()
		m.expire(0)
		m.mu.Unlock()
		return weak.Make(a)
	}
	for _, late := range []bool{false, true} {
		gone := forgotten(late)
		runtime.GC()
		if gone.Value() != nil {
			t.Errorf("what is forgotten is in memory; late %v", late)
		}
	}
}

// TestOnceAbandoned: an event without an ack is as good as running while its socket lives or its
// handler runs, and is a new one then.
func TestOnceAbandoned(t *testing.T) {
	var m memory
	l := onceLimits{time.Minute, 10, 1 << 20, 1 << 20}
	socket, end := context.WithCancel(t.Context())
	begin := func(id string, ctx context.Context) (*run, bool) {
		return m.begin("c", eventID{"/", "e", id}, l, ctx)
	}
	a, _ := begin("a", socket)
	b, _ := begin("b", socket)
	a.returned(false)
	if again, first := begin("a", t.Context()); first || again != a {
		t.Error("handled again while its socket lives")
	}
	b.returned(false)
	b.answered(sio.Args{})
	c, _ := begin("c", socket)
	size := m.bytes
	end()
	if _, first := begin("b", t.Context()); first {
		t.Error("an event with an answer is handled again")
	}
	if _, first := begin("c", t.Context()); first {
		t.Error("handled again while its handler runs")
	}
	again, first := begin("a", t.Context())
	if !first || again == a || m.bytes != size {
		t.Fatalf("first %v, %d bytes instead of %d", first, m.bytes, size)
	}
	c.returned(false)
	again.returned(false)
	if d, first := begin("c", t.Context()); !first {
		t.Error("the answer of nobody is waited for")
	} else {
		d.returned(false)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(0)
	if m.bytes != 0 || len(m.clients) != 0 {
		t.Errorf("%d bytes of %d clients are left", m.bytes, len(m.clients))
	}
}

// TestOnceAbandonedAlone: the same for the only event of a client.
func TestOnceAbandonedAlone(t *testing.T) {
	var m memory
	l := onceLimits{time.Minute, 10, 1 << 20, 1 << 20}
	socket, end := context.WithCancel(t.Context())
	a, _ := m.begin("c", eventID{"/", "e", "a"}, l, socket)
	a.returned(false)
	end()
	size := m.bytes
	again, first := m.begin("c", eventID{"/", "e", "a"}, l, t.Context())
	if !first || m.bytes != size || m.clients["c"] != again.client || len(m.clients) != 1 {
		t.Errorf("first %v, %d bytes instead of %d, %d clients", first, m.bytes, size, len(m.clients))
	}
}

// TestOnceClientCost: many clients with one event each cost what they take, and long names of
// namespaces count.
func TestOnceClientCost(t *testing.T) {
	const clientTakes = 1000 // bytes, with one event; measured
	var m memory
	l := onceLimits{time.Hour, 100, 1 << 20, 100_000}
	for i := range 1000 {
		r, _ := m.begin(fmt.Sprint(i), eventID{"/", "e", "a"}, l, t.Context())
		r.returned(false)
	}
	if n := len(m.clients); n == 0 || n*clientTakes > l.all {
		t.Errorf("%d clients within %d bytes", n, l.all)
	}
	before := m.bytes
	l.all = 1 << 20
	r, _ := m.begin("c", eventID{strings.Repeat("n", 5000), "e", "a"}, l, t.Context())
	r.returned(false)
	if m.bytes-before < 5000 {
		t.Errorf("%d bytes for an event of a namespace with a long name", m.bytes-before)
	}
}

// timeless hides the deadline of a context.
type timeless struct{ context.Context }

func (timeless) Deadline() (time.Time, bool) { return time.Time{}, false }

// TestOnceDeadline: the context of a handler has the deadline of middleware outside of Once,
// also when the socket ends before.
func TestOnceDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		socket, end := context.WithCancel(t.Context())
		outer, stop := context.WithTimeout(socket, 2*time.Second)
		defer stop()
		ctx, cancel := outliving(outer)
		defer cancel()
		hidden, cancel := outliving(timeless{outer})
		defer cancel()
		if at, ok := ctx.Deadline(); !ok || at.Sub(begun) != 2*time.Second {
			t.Errorf("deadline %v, %v", at, ok)
		}
		short, stop := context.WithTimeout(socket, 4*time.Second)
		defer stop()
		ended, cancel := outliving(short)
		defer cancel()
		time.Sleep(2*time.Second - 1)
		if ctx.Err() != nil || hidden.Err() != nil {
			t.Errorf("%v and %v before the deadline", ctx.Err(), hidden.Err())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) || hidden.Err() == nil {
			t.Errorf("%v and %v after the deadline", ctx.Err(), hidden.Err())
		}
		end()
		time.Sleep(2*time.Second - 1)
		if ended.Err() != nil {
			t.Error("the context ends with the socket")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !errors.Is(ended.Err(), context.DeadlineExceeded) {
			t.Errorf("%v after the deadline, when the socket has ended", ended.Err())
		}
	})
}
