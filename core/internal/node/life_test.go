package node

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// shutdown ends a node with a second of patience, and fails when it takes longer.
func shutdown(t *testing.T, p *peer) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	began := time.Now()
	err := p.Shutdown(ctx)
	if took := time.Since(began); took > time.Second {
		t.Errorf("Shutdown took %v", took)
	}
	return err
}

// TestShutdownFlushes: what waits is published, then Bye, which is the last.
func TestShutdownFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa")
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 900 {
			p.Publish(emit("x"))
		}
		if err := shutdown(t, p); err != nil {
			t.Error(err)
		}
		if n := h.kinds(cluster.Emit); n != 900 {
			t.Errorf("%d messages were published", n)
		}
		if last := h.said[len(h.said)-1]; last.Kind != cluster.Bye || last.ID != p.instance {
			t.Errorf("the last message is %+v", last)
		}
		if p.Publish(emit("x")) {
			t.Error("a message was taken after Shutdown")
		}
		if s := p.Stats(); s.Lost != 0 || s.Sent != 900 {
			t.Errorf("%+v", s)
		}
		// What still comes from the bus is ignored.
		h.r.Receive(&cluster.Message{Kind: cluster.Emit, Node: "bbbbb", Namespace: "/"})
		h.r.Receive(&cluster.Message{Kind: cluster.ServerEvent, Node: "bbbbb", Namespace: "/"})
		h.r.Down(cluster.ErrDown)
		h.r.Lost(1, cluster.ErrDown)
		h.r.Up()
		synctest.Wait()
		if s := p.Stats(); s.Received != 0 || s.Missed != 0 || len(p.gapList()) != 0 {
			t.Errorf("after Shutdown: %+v, %+v", s, p.gapList())
		}
		if err := p.Start(t.Context()); err == nil {
			t.Error("Start after Shutdown succeeded")
		}
		_, err := p.ask(t.Context(), &cluster.Message{Kind: cluster.Count, Namespace: "/"})()
		missing(t, err, cluster.ErrClosed)
	})
}

// TestShutdownDeadBus: a full queue, and a backend that blocks in each of its methods and
// looks at no context, do not keep Shutdown; all that waited is counted as lost.
func TestShutdownDeadBus(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			free := make(chan struct{})
			block := func(ctx context.Context) error {
				if !obeys {
					ctx = context.Background()
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-free:
					return nil
				}
			}
			h := &held{
				publish: func(ctx context.Context, ms []*cluster.Message) error {
					if ms[0].Kind != cluster.Emit {
						return nil
					}
					return block(ctx)
				},
				closing: block,
			}
			p := newPeer(h, "aaaaa", func(o *Options) { o.PublishTimeout = time.Hour })
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for range 1100 {
				p.Publish(emit("x"))
			}
			done := p.ask(t.Context(), &cluster.Message{Kind: cluster.Count, Namespace: "/"})
			synctest.Wait()
			ended := make(chan time.Time, 1)
			go func() {
				_, err := done()
				missing(t, err, cluster.ErrClosed)
				ended <- time.Now()
			}()
			began := time.Now()
			if err := shutdown(t, p); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v", err)
			}
			if at := <-ended; !at.Equal(began) {
				t.Errorf("the request ended after %v", at.Sub(began))
			}
			synctest.Wait()
			if s := p.Stats(); s.Lost != 1100 {
				t.Errorf("%+v", s)
			}
			if g := p.gapList(); len(g) != 2 || g[1].Lost != 1100 || g[1].Until.IsZero() {
				t.Errorf("%+v", g)
			}
			close(free)
		})
	}
}

// TestStartFails: a backend that will never reach its bus.
func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("a wrong address")
		closed := 0
		h := &held{
			start:   func(context.Context) error { return why },
			closing: func(context.Context) error { closed++; return nil },
		}
		p := newPeer(h, "aaaaa")
		if err := p.Start(t.Context()); !errors.Is(err, why) {
			t.Error(err)
		}
		if p.Publish(emit("x")) || closed != 1 {
			t.Errorf("the node lives; Close was called %d times", closed)
		}
		_, err := p.ask(t.Context(), &cluster.Message{Kind: cluster.Count})()
		missing(t, err, cluster.ErrClosed)
		if err := shutdown(t, p); err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownWithoutStart and during Start: nothing hangs, and nothing is left.
func TestShutdownWithoutStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(new(held), "aaaaa")
		p.Publish(emit("x"))
		if err := shutdown(t, p); err != nil {
			t.Error(err)
		}
		if err := shutdown(t, p); err != nil {
			t.Error("again:", err)
		}

		h := &held{start: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		p = newPeer(h, "aaaaa")
		started := make(chan error)
		go func() { started <- p.Start(context.Background()) }()
		synctest.Wait()
		if err := shutdown(t, p); err != nil {
			t.Error(err)
		}
		if err := <-started; err == nil {
			t.Error("Start succeeded")
		}

		// A Start that succeeds all the same is closed again.
		goOn := make(chan struct{})
		var closed atomic.Int32
		h = &held{
			start:   func(context.Context) error { <-goOn; return nil },
			closing: func(context.Context) error { closed.Add(1); return nil },
		}
		p = newPeer(h, "aaaaa")
		go func() { started <- p.Start(context.Background()) }()
		synctest.Wait()
		if err := shutdown(t, p); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		close(goOn)
		if err := <-started; !errors.Is(err, cluster.ErrClosed) || closed.Load() != 2 {
			t.Errorf("%v; Close was called %d times", err, closed.Load())
		}
	})
}

// TestShutdownWaitsForHandlers of events for servers, as long as its context.
func TestShutdownWaitsForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa")
		goOn := make(chan struct{})
		ran := 0
		p.onEvent = func(*cluster.Message) { ran++; <-goOn }
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			h.r.Receive(&cluster.Message{Kind: cluster.ServerEvent, Node: "bbbbb", Namespace: "/"})
		}
		synctest.Wait()
		if err := shutdown(t, p); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(goOn)
		synctest.Wait()
		if ran != 1 {
			t.Errorf("%d handlers ran; those behind the first were to be dropped", ran)
		}
	})
}

// TestNames: the id of a socket begins with the name of its node.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := newPeer(new(held), "longer").Start(t.Context()); err == nil {
			t.Error("a name of any length is taken")
		}
		ps := nodes(t, cluster.NewBus(), "", "")
		id := ps[0].NewID()
		if len(id) != IDLength || ps[1].Owner(id) != ps[0].Name() || ps[0].Owner(id) != "" || ps[1].Owner(id[1:]) != "" {
			t.Errorf("the owner of %s is %q", id, ps[1].Owner(id))
		}
	})
}
