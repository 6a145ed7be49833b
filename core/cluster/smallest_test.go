package cluster_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/cluster"
)

// pipes is the smallest bus: a channel of Go to each node.
type pipes struct {
	mu    sync.Mutex
	nodes []*pipe
}

// pipe is the backend of one node.
type pipe struct {
	bus  *pipes
	in   chan []byte
	end  chan struct{} // closed by Close
	once sync.Once
	wg   sync.WaitGroup
}

var _ cluster.Backend = (*pipe)(nil)

func (b *pipes) backend() cluster.Backend {
	return &pipe{bus: b, in: make(chan []byte), end: make(chan struct{})}
}

// Start joins the bus, which is always there: so it tells r once, and never of a loss.
func (p *pipe) Start(_ context.Context, _ string, r cluster.Receiver) error {
	r.Up()
	p.bus.mu.Lock()
	p.bus.nodes = append(p.bus.nodes, p)
	p.bus.mu.Unlock()
	p.wg.Go(func() { // one goroutine calls Receive
		var m cluster.Message
		for {
			select {
			case text := <-p.in:
				if err := cluster.Parse(text, &m); err != nil {
					r.Lost(1, err)
				} else {
					r.Receive(&m)
				}
			case <-p.end:
				return
			}
		}
	})
	return nil
}

// Publish sends everything to every node: a bus with channels would look at m.To, m.Namespace
// and m.Rooms. A message that is too large for Append is lost, and counts as such.
func (p *pipe) Publish(ctx context.Context, ms []*cluster.Message) error {
	p.bus.mu.Lock()
	nodes := slices.Clone(p.bus.nodes)
	p.bus.mu.Unlock()
	for _, m := range ms {
		text, err := cluster.Append(nil, m)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			select {
			case n.in <- text:
			case <-n.end:
			case <-p.end:
				return cluster.ErrClosed
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// Watch has nothing to do, because every node gets everything.
func (p *pipe) Watch(context.Context, []cluster.Interest) error { return nil }

// Close leaves the bus and waits for Receive to return.
func (p *pipe) Close(context.Context) error {
	p.bus.mu.Lock()
	p.bus.nodes = slices.DeleteFunc(p.bus.nodes, func(n *pipe) bool { return n == p })
	p.bus.mu.Unlock()
	p.once.Do(func() { close(p.end) })
	p.wg.Wait()
	return nil
}

func TestSmallestBus(t *testing.T) { conformance.RunCluster(t, new(pipes).backend) }
