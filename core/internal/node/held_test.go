package node

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/siokit/siokit/core/cluster"
)

// held is a backend without a bus: it writes down what it is given, unless the test says
// what it does.
type held struct {
	cluster.Backend
	r        cluster.Receiver
	publish  func(ctx context.Context, ms []*cluster.Message) error
	watch    func(changes []cluster.Interest) error
	start    func(ctx context.Context) error
	closing  func(ctx context.Context) error
	mu       sync.Mutex
	batches  []int
	said     []cluster.Message
	watchLog []string
}

func (h *held) Start(ctx context.Context, node string, r cluster.Receiver) error {
	h.r = r
	if h.start != nil {
		return h.start(ctx)
	}
	r.Up()
	return nil
}

func (h *held) Publish(ctx context.Context, ms []*cluster.Message) error {
	var err error
	if h.publish != nil {
		err = h.publish(ctx, ms)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches = append(h.batches, len(ms))
	for _, m := range ms {
		h.said = append(h.said, *m.Clone())
	}
	return nil
}

func (h *held) Watch(_ context.Context, changes []cluster.Interest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		h.watchLog = append(h.watchLog, fmt.Sprint(map[bool]string{true: "+", false: "-"}[c.On], c.Namespace, c.Room))
	}
	if h.watch != nil {
		return h.watch(changes)
	}
	return nil
}

func (h *held) Close(ctx context.Context) error {
	if h.closing != nil {
		return h.closing(ctx)
	}
	return nil
}

// watched is what Watch was told.
func (h *held) watched() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.watchLog)
}

// lastID is the ID of what was published last.
func (h *held) lastID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said[len(h.said)-1].ID
}

func (h *held) kinds(k cluster.Kind) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.said {
		if m.Kind == k {
			n++
		}
	}
	return n
}
