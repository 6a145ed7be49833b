package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestBusAway: what is published while the bus is away is lost, counted, and one gap; what
// comes after it arrives, and is not mixed with what was lost.
func TestBusAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		a, b := ps[0], ps[1]
		a.Publish(emit("before"))
		synctest.Wait()
		time.Sleep(time.Second)
		since := time.Now()
		bus.Cut()
		synctest.Wait()
		for range 7 {
			if a.Publish(emit("lost")) {
				t.Error("a message was taken while the bus is away")
			}
			time.Sleep(10 * time.Second)
		}
		if g := a.gapList(); len(g) != 1 || !g[0].Until.IsZero() || !errors.Is(g[0].Err, cluster.ErrDown) || !g[0].Since.Equal(since) {
			t.Errorf("while the bus is away: %+v", g)
		}
		until := time.Now()
		bus.Heal()
		synctest.Wait()
		a.Publish(emit("after"))
		time.Sleep(3 * beat)
		synctest.Wait()
		g := a.gapList()
		if len(g) != 2 || g[1].Lost != 7 || !g[1].Since.Equal(since) || !g[1].Until.Equal(until) {
			t.Errorf("the gap: %+v; want 7 lost from %v to %v", g, since, until)
		}
		if g := b.gapList(); len(g) != 2 || g[1].Lost != 0 {
			t.Errorf("the gap of a node that has said nothing: %+v", g)
		}
		equal(t, "delivered", b.texts("aaaaa"), []string{"before", "after"})
		if a.news() != "+bbbbb" || b.news() != "+aaaaa" {
			t.Errorf("nodes came and went: %s; %s", a.news(), b.news())
		}
		if s := a.Stats(); s.Lost != 7 || s.Missed != 0 || s.Sent != 2 || !s.Up || s.Nodes != 1 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestFlapping: a bus that comes and goes is one gap, and is not greeted each time.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		for range 1000 {
			h.r.Down(cluster.ErrDown)
			synctest.Wait()
			h.r.Up()
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 2 {
			t.Errorf("%d reports", len(g))
		}
		if n := h.kinds(cluster.Hello); n > 102 {
			t.Errorf("%d hellos in 10 s", n)
		}
	})
}

// TestQueueBound: beyond the bound messages are refused, those that are being published
// count, and the loss is one gap that ends when the bus takes messages again.
func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		h := &held{publish: func(ctx context.Context, ms []*cluster.Message) error {
			if ms[0].Kind == cluster.Emit {
				<-goOn
			}
			return nil
		}}
		p := newPeer(h, "aaaaa", func(o *Options) { o.MaxMessages, o.PublishTimeout = 500, time.Hour }).start(t)
		synctest.Wait()
		taken := 0
		for i := range 600 {
			if p.Publish(emit(fmt.Sprint(i))) {
				taken++
			}
			if i%50 == 0 {
				synctest.Wait() // the publisher takes a batch
			}
		}
		if taken != 500 {
			t.Errorf("%d messages were taken, the bound is 500", taken)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if g := p.gapList(); len(g) != 1 || !errors.Is(g[0].Err, errFull) {
			t.Errorf("while the queue is full: %+v", g)
		}
		close(goOn)
		time.Sleep(3 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 2 || g[1].Lost != 100 {
			t.Errorf("the gap: %+v", g)
		}
		if n := h.kinds(cluster.Emit); n != 500 {
			t.Errorf("%d messages were published", n)
		}
		if !p.Publish(emit("again")) || p.Stats().Waiting > 1 {
			t.Errorf("the queue is not empty: %+v", p.Stats())
		}
	})
}

// TestQueueBytes: the message that reaches the bound passes, the next one does not.
func TestQueueBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{publish: func(ctx context.Context, _ []*cluster.Message) error { <-ctx.Done(); return ctx.Err() }}
		p := newPeer(h, "aaaaa", func(o *Options) { o.MaxBytes = 10_000 })
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !p.Publish(emit(string(make([]byte, 20_000)))) || p.Publish(emit("x")) {
			t.Error("the bound is not kept")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestHungBus: a bus that takes nothing, and says nothing, is one gap for as long as it
// lasts, and each message is counted once.
func TestHungBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Bool
		hung.Store(true)
		h := &held{publish: func(ctx context.Context, _ []*cluster.Message) error {
			if hung.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		// The bus may take longer than a heartbeat.
		p := newPeer(h, "aaaaa", func(o *Options) { o.PublishTimeout = 5 * beat }).start(t)
		for range 10 {
			p.Publish(emit("x"))
			time.Sleep(20 * beat)
		}
		synctest.Wait()
		if g := p.gapList(); len(g) != 1 || !errors.Is(g[0].Err, errBusSlow) {
			t.Errorf("%+v", g)
		}
		hung.Store(false)
		time.Sleep(10 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 2 || g[1].Lost != 10 {
			t.Errorf("%+v", g)
		}
	})
}

// TestLostByBackend: what a backend has dropped is a gap too; so is a failed Watch.
func TestLostByBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("slow")
		failed := false
		h := &held{watch: func([]cluster.Interest) error {
			if !failed {
				failed = true
				return why
			}
			return nil
		}}
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		h.r.Lost(0, nil)
		h.r.Lost(3, why)
		h.r.Lost(4, why)
		time.Sleep(3 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 2 || g[1].Missed != 7 || g[1].Lost != 0 || g[1].Err != why {
			t.Errorf("%+v", g)
		}
		p.Enter("/", "r", false)
		time.Sleep(5 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 4 || g[3].Missed != 0 || g[3].Err != why {
			t.Errorf("%+v", g)
		}
	})
}

// TestGapGoesOn while something is lost in each heartbeat, and while the bus is away, whatever
// it has taken before.
func TestGapGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var block atomic.Pointer[chan struct{}]
		h := &held{publish: func(context.Context, []*cluster.Message) error {
			if c := block.Load(); c != nil {
				<-*c
			}
			return nil
		}}
		p := newPeer(h, "aaaaa", func(o *Options) { o.PublishTimeout = time.Hour }).start(t)
		synctest.Wait()
		for range 20 {
			h.r.Lost(1, cluster.ErrDown)
			time.Sleep(beat / 2)
		}
		synctest.Wait()
		if g := p.gapList(); len(g) != 1 {
			t.Errorf("%+v", g)
		}
		time.Sleep(3 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 2 || g[1].Missed != 20 {
			t.Errorf("%+v", g)
		}

		c := make(chan struct{})
		block.Store(&c)
		p.Publish(emit("x"))
		synctest.Wait()
		h.r.Down(cluster.ErrDown)
		close(c) // it had been taken
		time.Sleep(10 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 3 {
			t.Errorf("while the bus is away: %+v", g)
		}
		h.r.Up()
		time.Sleep(3 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 4 || g[3].Lost != 0 {
			t.Errorf("%+v", g)
		}
	})
}

// TestReportMayWait: an application that takes its time with a report, or publishes in it,
// holds up nothing.
func TestReportMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		goOn := make(chan struct{})
		var p *peer
		p = newPeer(h, "aaaaa", func(o *Options) {
			o.Report = func(Gap) { p.Publish(emit("from the report")); <-goOn }
		}).start(t)
		synctest.Wait()
		h.r.Down(cluster.ErrDown)
		h.r.Up()
		for range 10 {
			p.Publish(emit("x"))
			time.Sleep(beat)
		}
		synctest.Wait()
		if n := h.kinds(cluster.Emit); n != 11 {
			t.Errorf("%d messages were published while the report waits", n)
		}
		if n := h.kinds(cluster.Heartbeat); n < 9 {
			t.Errorf("%d heartbeats while the report waits", n)
		}
		close(goOn)
	})
}

// TestBeforeStart: what is published before the node has reached the bus is lost, and
// counted.
func TestBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{start: func(context.Context) error { return nil }}
		p := newPeer(h, "aaaaa")
		p.Publish(emit("before Start"))
		p.Enter("/", "r", false)
		p.start(t)
		p.Publish(emit("before Up"))
		time.Sleep(time.Minute)
		h.r.Up()
		p.Publish(emit("after Up"))
		time.Sleep(3 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 2 || g[1].Lost != 2 {
			t.Errorf("%+v", g)
		}
		if n := h.kinds(cluster.Emit); n != 1 {
			t.Errorf("%d messages were published", n)
		}
		equal(t, "watched", h.watched(), []string{"+/r"})
	})
}
