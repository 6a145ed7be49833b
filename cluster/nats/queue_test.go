package natsbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/siokit/siokit/internal/testkit"
)

// TestQueueBounds: nothing that waits for a Receiver grows without end.
func TestQueueBounds(t *testing.T) {
	var q queue
	q.init(nil)
	for range 10_000 {
		q.event(event{up: true})
		q.event(event{down: true})
	}
	if len(q.waiting) > 2 || !q.waiting[len(q.waiting)-1].down {
		t.Errorf("%d events of a connection that comes and goes", len(q.waiting))
	}
	for range 10_000 {
		q.event(event{err: errors.New("refused")})
	}
	if len(q.waiting) > maxNews+2 {
		t.Errorf("%d errors wait", len(q.waiting))
	}
	q.event(event{up: true})
	if !q.waiting[len(q.waiting)-1].up {
		t.Error("the errors hide that the bus is there")
	}
	for i := range 2 * maxWaiting {
		q.event(event{msg: &nats.Msg{Data: make([]byte, 10)}})
		if i%1000 == 0 {
			q.event(event{down: i%2000 == 0, up: i%2000 != 0})
		}
	}
	lost := 0
	for _, e := range q.waiting {
		lost += e.lost
	}
	if q.count != maxWaiting || lost != maxWaiting {
		t.Errorf("%d messages wait, %d lost", q.count, lost)
	}
	q = queue{}
	q.init(nil)
	for range 200 {
		q.event(event{msg: &nats.Msg{Data: make([]byte, 1<<20)}})
	}
	if q.bytes > maxWaitingBytes+1<<20+messageCost || q.count+q.waiting[len(q.waiting)-1].lost != 200 {
		t.Errorf("%d messages of %d bytes wait, %d lost", q.count, q.bytes, q.waiting[len(q.waiting)-1].lost)
	}
	for range q.count {
		if e, ok := q.next(false); !ok || e.msg == nil {
			t.Fatal("a message is missing")
		}
	}
	if q.bytes != 0 || q.count != 0 {
		t.Errorf("%d bytes of %d messages are left", q.bytes, q.count)
	}
}

// TestQueueBehind: the Receiver is behind while what had come before waits, or is handed over, and
// when something was dropped.
func TestQueueBehind(t *testing.T) {
	var q queue
	q.init(nil)
	behind := func(when string, more int, want bool) {
		t.Helper()
		if got := q.behind(more); got != want {
			t.Errorf("%s: %v", when, got)
		}
	}
	put := func(n int) {
		for range n {
			q.event(event{msg: &nats.Msg{}})
		}
	}
	behind("at first", 0, false)
	put(2)
	q.event(event{err: errors.New("refused")})
	behind("they have just come", 1, false)
	behind("they wait", 0, true)
	q.next(false)
	q.next(true)
	behind("one is handed over", 0, true)
	q.next(true)
	behind("both were", 1, false)
	behind("one was about to come", 0, true)
	behind("it has never come", 0, false)
	put(maxWaiting + 1)
	for handed := false; ; handed = true {
		if e, ok := q.next(handed); !ok || e.lost > 0 {
			break
		}
	}
	behind("one was dropped", 0, true)
	behind("long ago", 0, false)
}

// TestDenials: what the server says in its words, and who hears it.
func TestDenials(t *testing.T) {
	publish := fmt.Errorf("%w: %s", nats.ErrPermissionViolation, `Permissions Violation for Publish to "sio.a.nodes"`)
	room := fmt.Errorf("%w: %s", nats.ErrPermissionViolation, `Permissions Violation for Subscription to "sio.a.Lw.r.cg"`)
	ended := fmt.Errorf("%w: %s", nats.ErrPermissionViolation, `Permissions Violation for Subscription to "sio.a.Lw.r.cg" (sid "3")`)
	other := fmt.Errorf("%w: %s", nats.ErrPermissionViolation, "something else")
	full := nats.ErrMaxSubscriptionsExceeded
	list := []error{publish, room, ended, full, other, nats.ErrSlowConsumer}
	want := []denial{{"sio.a.nodes", true, publish}, {"sio.a.Lw.r.cg", false, room}, {"sio.a.Lw.r.cg", false, ended}, {"", false, full}, {}, {}}
	var nc nats.Conn
	for _, row := range []struct {
		when      string
		begin     bool
		claimed   map[string]struct{}
		collected []bool
	}{
		{"nothing is collected", false, nil, make([]bool, 6)},
		{"a Publish", true, nil, []bool{true, false, false, false, false, false}},
		{"a Watch of the room", true, map[string]struct{}{"sio.a.Lw.r.cg": {}}, []bool{true, true, true, true, false, false}},
		{"a Watch of another room", true, map[string]struct{}{"x": {}}, []bool{true, false, false, true, false, false}},
	} {
		var d denials
		if row.begin {
			d.begin(&nc, row.claimed)
		}
		for i, err := range list {
			if got, collected := d.note(err); got != want[i] || collected != row.collected[i] {
				t.Errorf("%s: %v: %+v, collected: %v", row.when, err, got, collected)
			}
		}
		if got := d.end(); row.begin && !slices.Equal(got, want[:4]) || !row.begin && got != nil {
			t.Errorf("%s: %+v", row.when, got)
		}
		if _, collected := d.note(publish); collected || d.slow != 1 {
			t.Errorf("%s: collected behind the end, or %d times slow", row.when, d.slow)
		}
	}
}

// TestTellBehind: what is told of a connection comes behind what the connection has brought, also
// when the goroutine for that has not been given a processor for a while.
func TestTellBehind(t *testing.T) {
	for range 20 {
		b := &backend{taken: make(chan *nats.Msg, 50), news: make(chan event, 1)}
		b.life, b.end = context.WithCancel(t.Context())
		b.queue.init(nil)
		for range cap(b.taken) {
			b.taken <- &nats.Msg{}
		}
		b.tell(event{down: true})
		b.wg.Go(b.collect)
		var list []event
		testkit.Until(t, 10*time.Second, "all is in the queue", func() bool {
			b.queue.mu.Lock()
			defer b.queue.mu.Unlock()
			list = slices.Clone(b.queue.waiting)
			return len(list) == cap(b.taken)+1
		})
		if i := slices.IndexFunc(list, func(e event) bool { return e.down }); i != cap(b.taken) {
			t.Fatalf("%d of %d messages come before the end of their connection", i, cap(b.taken))
		}
		b.end()
		b.wg.Wait()
	}
}
