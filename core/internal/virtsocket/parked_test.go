package virtsocket

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/packet"
)

// room is a hub with members that get a broadcast.
type room struct {
	h       *Hub
	members []*Socket
}

func newRoom(n int) *room { return boundedRoom(n, 1024) }

func boundedRoom(n, queue int) *room {
	o := every(fakeDuplex{})
	o.MaxQueueMessages = queue
	o.Accept = func(*Socket, host.Exchange) (Handler, *dialect.Refusal) { return nil, nil }
	r := &room{h: NewHub(o)}
	for range n {
		r.members = append(r.members, r.enter())
	}
	return r
}

func (r *room) enter() *Socket {
	s := r.h.newSocket(eio4.New(packet.DefaultLimits))
	s.handler = &recorder{}
	s.conn = &fakeConn{link: s, from: time.Now()} // without a heartbeat
	s.out.attach(s.conn)
	return s
}

func (r *room) emit(text string) {
	f := r.queue(text, false)
	f.Done()
}

func (r *room) volatile(text string) {
	f := r.queue(text, true)
	f.Done()
}

// queue is a broadcast whose rest is not handed on yet.
func (r *room) queue(text string, mayDrop bool) (f Fanout) {
	m := packet.TextMessage(text)
	f.Begin(r.h)
	for _, s := range r.members {
		f.Send(s, m, mayDrop)
	}
	return f
}

// have counts the members that have been written n messages.
func (r *room) have(n int) (members int) {
	for _, s := range r.members {
		if len(s.conn.(*fakeConn).all()) == n {
			members++
		}
	}
	return members
}

// TestParked: what a handler emits to a small room is written when its batch ends, by the
// goroutine that ends it.
func TestParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(parkedChunk)
		s := r.enter()
		s.Begin()
		s.WatchHandler()
		r.emit("a")
		r.emit("b")
		synctest.Wait()
		if n := r.have(0); n != parkedChunk {
			t.Errorf("%d members have nothing before the batch ends", n)
		}
		s.End()
		if n := r.have(2); n != parkedChunk {
			t.Errorf("%d members have both when the batch has ended", n)
		}
		time.Sleep(time.Second)
	})
}

// TestParkedBurst: a handler emits more to a small room than a client may have waiting, by number
// and by size. The members that read keep their connections, and get all of that.
func TestParkedBurst(t *testing.T) {
	for name, row := range map[string]struct{ many, bytes, bound int }{
		"messages":     {5000, 1, 1 << 20},
		"bytes":        {40, 64 << 10, 1 << 20},
		"small bound":  {100, 1 << 10, 32 << 10},
		"beyond bound": {3, 1 << 20, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := boundedRoom(3, 100)
				r.h.queues = newOutboxLimits(100, row.bound)
				s := r.enter()
				s.Begin()
				s.WatchHandler()
				text := strings.Repeat("a", row.bytes)
				for range row.many {
					r.emit(text)
				}
				s.End()
				synctest.Wait()
				if n := r.have(row.many); n != 3 {
					t.Errorf("%d members have all", n)
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// TestParkedVolatile: what waits for the end of a batch is no reason to drop a volatile message for
// a client that keeps up. One that does not keep up loses it, and a member whose flusher is far
// behind does not come to its bounds by such messages.
func TestParkedVolatile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := boundedRoom(3, 100)
		slow := r.members[2].conn.(*fakeConn)
		slow.jam = true
		s := r.enter()
		s.Begin()
		s.WatchHandler()
		r.emit("a")
		r.volatile("b")
		r.volatile("c")
		s.End()
		if n := r.have(3); n != 2 {
			t.Errorf("%d members have all three", n)
		}
		r.volatile("d")
		slow.mu.Lock()
		slow.jam = false
		slow.mu.Unlock()
		slow.Flush()
		synctest.Wait()
		if got := slow.all(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("the slow client has %q", got)
		}
		time.Sleep(time.Second)
	})
	limits := newOutboxLimits(100, 1<<20)
	for how, most := range map[delivery]int{shared | volatile: 1, shared | volatile | parked: 50} {
		o := outbox{limits: &limits, to: &fakeConn{}}
		for range 1000 {
			_, err := o.add(packet.TextMessage("a"), how)
			if err != nil && err != errDropped {
				t.Fatal(err)
			}
		}
		if o.count != most {
			t.Errorf("%b: %d messages wait for a flusher", how, o.count)
		}
	}
}

// heldUp is the connection of a client whose writes take long.
type heldUp struct{ *fakeConn }

func (c heldUp) Flush() { time.Sleep(100 * time.Millisecond); c.fakeConn.Flush() }

// TestParkedBytes: whoever ends a batch writes a part of what is too much, and a flusher the rest.
func TestParkedBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(8)
		const now = parkedBytes/corkBytes + 1
		for _, m := range r.members[now:] {
			m.out.attach(heldUp{m.conn.(*fakeConn)})
		}
		s := r.enter()
		s.Begin()
		s.WatchHandler()
		r.emit(strings.Repeat("a", corkBytes-100))
		from := time.Now()
		s.End()
		if n := r.have(1); n != now || time.Since(from) > 0 {
			t.Errorf("%d members are written at the end of the batch, which takes %v", n, time.Since(from))
		}
		time.Sleep(time.Second)
		if n := r.have(1); n != 8 {
			t.Errorf("%d members have it", n)
		}
	})
}

// TestParkedBeforeHandlers: when the watch has much to do for handlers that take long, what is
// parked does not wait for that.
func TestParkedBeforeHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(3)
		s := r.enter()
		s.out.attach(heldUp{s.conn.(*fakeConn)})
		s.Begin()
		s.WatchHandler()
		r.emit("a")
		time.Sleep(watchTick + time.Millisecond)
		if n := r.have(1); n != 3 {
			t.Errorf("%d members have it", n)
		}
		time.Sleep(time.Second)
		s.End()
		time.Sleep(time.Second)
	})
}

// TestNotParked: a broadcast leaves by itself when no handler runs, and one for many at once.
func TestNotParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(3)
		r.emit("a")
		synctest.Wait()
		if n := r.have(1); n != 3 {
			t.Errorf("%d members have what was emitted outside of a handler", n)
		}
		big := newRoom(parkedChunk + 1)
		s := big.enter()
		s.Begin()
		s.WatchHandler()
		big.emit("a")
		synctest.Wait()
		if n := big.have(1); n != parkedChunk+1 {
			t.Errorf("%d members of a large room have it", n)
		}
		s.End()
		time.Sleep(time.Second)
	})
}

// TestParkedBehindALongHandler: what a handler emits to a room leaves before its sleep ends,
// also when the handler has run for long already.
func TestParkedBehindALongHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(3)
		s := r.enter()
		s.Begin()
		s.WatchHandler()
		for i := range 5 {
			r.emit("a")
			from := time.Now()
			time.Sleep(50 * time.Millisecond)
			if n := r.have(i + 1); n != 3 {
				t.Errorf("after 50 ms %d members have event %d", n, i)
			}
			for _, m := range r.members {
				c := m.conn.(*fakeConn)
				if late := c.at[i] - from.Sub(c.from); late > 5*time.Millisecond {
					t.Errorf("event %d left only after %v", i, late)
				}
			}
		}
		s.End()
		time.Sleep(time.Second)
	})
}

// TestNotParkedForWhoWaits: what is emitted by whoever is about to wait for an answer, of its own
// client or of others, does not wait for the end of the batch.
func TestNotParkedForWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(3)
		s := r.enter()
		s.Begin()
		s.WatchHandler()
		r.emit("a")
		s.Detach()
		if n := r.have(1); n != 3 {
			t.Errorf("%d members have it before the handler waits for its client", n)
		}
		f := r.queue("b", false)
		f.Hurry()
		synctest.Wait()
		if n := r.have(2); n != 3 {
			t.Errorf("%d members have it before the handler waits for them", n)
		}
		s.End()
		time.Sleep(time.Second)
	})
}

// TestParkedRace: a broadcast beside the end of the last batch is written by one of the two.
func TestParkedRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(3)
		var handlers []*Socket
		for range 3 {
			handlers = append(handlers, r.enter())
		}
		for i := range 2000 {
			var wg sync.WaitGroup
			for _, s := range handlers {
				wg.Go(func() {
					s.Begin()
					s.WatchHandler()
					s.End()
				})
			}
			wg.Go(func() { r.emit(fmt.Sprint(i)) })
			wg.Wait()
			synctest.Wait() // no time passes: the watch is not who has it written
			if n := r.have(i + 1); n != 3 {
				t.Fatalf("%d members have event %d", n, i)
			}
		}
		time.Sleep(time.Second)
	})
}
