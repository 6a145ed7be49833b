package node

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestForeignRoomsCost: a node with 100 rooms costs the same, whether the other node has none or
// a million.
func TestForeignRoomsCost(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a million rooms take hundreds of megabytes")
	}
	const most = 1 << 20 // beyond noise
	alone, heard := foreignRooms(t, 0)
	beside, heardBeside := foreignRooms(t, 1_000_000)
	t.Logf("100 rooms beside none: %d KiB, %d messages heard; beside 1 000 000: %d KiB, %d messages", alone>>10, heard, beside>>10, heardBeside)
	if beside-alone > most {
		t.Errorf("%d KiB are kept of rooms of the other node", (beside-alone)>>10)
	}
}

// foreignRooms is what a node with 100 rooms takes of the heap: what its end frees, while the
// other node, with so many rooms, stays. heard is how many messages the node was given.
func foreignRooms(t *testing.T, rooms int) (bytes, heard int64) {
	bus := cluster.NewBus()
	other := newPeer(bus.Backend(), "aaaaa", func(o *Options) { o.MaxMessages, o.MaxBytes = 1<<20, 1<<30 }).start(t)
	counted := &hearing{Backend: bus.Backend()}
	mine := newPeer(counted, "bbbbb")
	if err := mine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*peer{other, mine} {
		p.Enter("/", "", false)
	}
	for i := range 100 {
		mine.Enter("/", fmt.Sprint("mine ", i), false)
	}
	for i := range rooms {
		other.Enter("/", fmt.Sprint("theirs ", i), false)
	}
	for i := range 200 { // some come and go, and some are spoken to
		name := fmt.Sprint("theirs ", i)
		if i < rooms {
			other.Exit("/", name, false)
			other.Enter("/", name, false)
		}
		mine.Publish(emit("x", name))
		other.Publish(emit("x", name))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, p := range []*peer{other, mine} {
		if err := p.Listening(ctx, "/", ""); err != nil {
			t.Fatal(err)
		}
		if err := p.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		// The answer comes behind what was said before.
		if err := p.Request(ctx, &cluster.Message{Kind: cluster.Count, Namespace: "/"}, func(*cluster.Message) {}); err != nil {
			t.Fatal(err)
		}
	}
	with := heap()
	heard = counted.heard.Load()
	mine.leave(t)
	mine, counted = nil, nil
	without := heap()
	runtime.KeepAlive(other)
	return with - without, heard
}

// heap is how much of the heap is in use.
func heap() int64 {
	for range 3 { // what pools keep goes with the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// hearing counts what its Receiver is given.
type hearing struct {
	cluster.Backend
	heard atomic.Int64
}

func (c *hearing) Start(ctx context.Context, node string, r cluster.Receiver) error {
	return c.Backend.Start(ctx, node, &hearingReceiver{r, &c.heard})
}

type hearingReceiver struct {
	cluster.Receiver
	heard *atomic.Int64
}

func (c *hearingReceiver) Receive(m *cluster.Message) {
	c.heard.Add(1)
	c.Receiver.Receive(m)
}
