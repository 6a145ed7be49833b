package node

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestQueue: whatever is put and taken in whatever portions comes out in order, and the
// memory of what was taken is used again.
func TestQueue(t *testing.T) {
	q := queue{maxMessages: 1000, maxBytes: 1 << 20, wake: func() {}}
	rnd := rand.New(rand.NewPCG(1, 2))
	put, took := 0, 0
	for range 10_000 {
		for range rnd.IntN(40) {
			if err := q.put(emit(fmt.Sprint(put)), ""); err == nil {
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
	if n := q.drop(); n != put-took || q.drop() != 0 || q.put(emit("x"), "") == nil {
		t.Errorf("%d messages dropped of %d", n, put-took)
	}
	<-flushed
}
