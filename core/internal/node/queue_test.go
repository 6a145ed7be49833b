package node

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// TestQueue: whatever is put and taken in whatever portions comes out in order, and the
// memory of what was taken is used again.
func TestQueue(t *testing.T) {
	q := queue{maxMessages: 1000, maxBytes: 1 << 20, wake: func() {}}
	rnd := rand.New(rand.NewPCG(1, 2))
	put, took := 0, 0
	for range 10_000 {
		for range rnd.IntN(40) {
			if _, err := q.put(emit(fmt.Sprint(put)), ""); err == nil {
				put++
			} else if put-took < 1000 {
				t.Fatal(err)
			}
		}
		list := q.take(nil, rnd.IntN(40))
		for _, e := range list {
			if string(e.m.Data) != fmt.Sprint(took) {
				t.Fatalf("message %d is %s", took, e.m.Data)
			}
			took++
		}
		flushed, waiting := q.flushed(), put > took
		if !q.done(list) {
			t.Fatal("dropped")
		}
		q.settle(len(list))
		select {
		case <-flushed:
			if waiting {
				t.Fatalf("flushed, and %d wait", put-took)
			}
		default:
			if !waiting {
				t.Fatal("not flushed")
			}
		}
		if q.count != put-took || q.bytes < q.count*messageCost || len(q.list)-q.head != q.count {
			t.Fatalf("%d messages, %d bytes; %d wait", q.count, q.bytes, put-took)
		}
	}
	if cap(q.list) > 8192 {
		t.Errorf("the queue has grown to %d", cap(q.list))
	}
	flushed := q.flushed()
	if n := q.drop(); n != put-took || q.drop() != 0 {
		t.Errorf("%d messages dropped of %d", n, put-took)
	}
	if _, err := q.put(emit("x"), ""); err == nil {
		t.Error("a queue that has ended takes more")
	}
	<-flushed
}

// TestQueueFull: a message that is refused is not copied first, and the next one is taken when there
// is room.
func TestQueueFull(t *testing.T) {
	for _, q := range []*queue{{maxMessages: 1, maxBytes: 1 << 20, wake: func() {}}, {maxMessages: 10, maxBytes: 1, wake: func() {}}} {
		large := emit(string(make([]byte, 2*maxPooled)))
		for range 3 {
			if _, err := q.put(emit("x"), ""); err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() {
				if _, err := q.put(large, ""); err != errFull {
					t.Error(err)
				}
			}); n != 0 {
				t.Errorf("%v allocations for a message that is refused", n)
			}
			q.done(q.take(nil, 10))
		}
		q.end()
		if _, err := q.put(large, ""); err != cluster.ErrClosed {
			t.Error(err)
		}
	}
}

// TestQueueWakes: who puts something wakes a publisher that sleeps, once, and none that is at work.
func TestQueueWakes(t *testing.T) {
	woken := 0
	q := queue{maxMessages: 1000, maxBytes: 1 << 20, wake: func() { woken++ }}
	put := func(want int) {
		t.Helper()
		for range 3 {
			_, _ = q.put(emit("x"), "")
		}
		if woken != want {
			t.Errorf("woken %d times, want %d", woken, want)
		}
	}
	put(0)
	if q.sleep() {
		t.Error("the publisher sleeps while something waits")
	}
	put(0)
	list := q.take(nil, 100)
	put(0) // while the list is published
	q.done(append(list, q.take(nil, 100)...))
	if !q.sleep() {
		t.Error("the publisher does not sleep")
	}
	put(1)
	put(1)
	q.done(q.take(nil, 100))
	q.sleep()
	q.take(nil, 100) // woken by something else
	put(1)
}
