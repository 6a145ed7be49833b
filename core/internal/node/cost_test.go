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

// TestPublishAllocates nothing, neither the sender nor the publisher behind it.
func TestPublishAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector throws away what a sync.Pool keeps")
	}
	p := newPeer(nothing{}, "aaaaa", func(o *Options) { o.Heartbeat = time.Hour }).start(t)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := emit(`["said","hello"]`, "lobby")
	m.Except, m.Attachments = []string{"x"}, [][]byte{{1, 2, 3}}
	publish := func() {
		for i := range 64 {
			if !p.Publish(m) {
				t.Fatal(i)
			}
		}
		for p.out.waiting() > 0 {
			runtime.Gosched()
		}
	}
	for range 20 {
		publish()
	}
	if n := testing.AllocsPerRun(100, publish); n >= 1 {
		t.Errorf("%v allocations for 64 messages", n)
	}
}

// TestRoomCost: a room of this node costs an entry of a map, and nothing once it is left.
func TestRoomCost(t *testing.T) {
	p := newPeer(nothing{}, "aaaaa", func(o *Options) { o.Linger = 0 })
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprint("room", i)
	}
	if n := testing.AllocsPerRun(1, func() {
		for _, name := range names {
			p.Enter("/", name, false)
		}
		p.interests.take(time.Now(), true)
	}); n/float64(len(names)) > 0.1 {
		t.Errorf("%v allocations for %d rooms", n, len(names))
	}
	for _, name := range names {
		p.Exit("/", name, false)
	}
	p.interests.take(time.Now().Add(time.Second), true)
	if in := &p.interests; len(in.rooms) != 0 || in.leaving != nil || in.changes != nil {
		t.Errorf("%d rooms are kept", len(in.rooms))
	}
}

// nothing is a bus that takes everything.
type nothing struct{}

func (nothing) Start(_ context.Context, _ string, r cluster.Receiver) error { r.Up(); return nil }
func (nothing) Publish(context.Context, []*cluster.Message) error           { return nil }
func (nothing) Watch(context.Context, []cluster.Interest) error             { return nil }
func (nothing) Close(context.Context) error                                 { return nil }

func BenchmarkPublish(b *testing.B) {
	p := newPeer(nothing{}, "aaaaa", func(o *Options) { o.MaxMessages, o.MaxBytes = 1<<30, 1<<40 })
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Shutdown(context.Background()) }()
	m := emit(`["said","hello"]`, "lobby")
	b.ReportAllocs()
	for b.Loop() {
		p.Publish(m)
	}
}

func BenchmarkEnterExit(b *testing.B) {
	p := newPeer(nothing{}, "aaaaa")
	b.ReportAllocs()
	for b.Loop() {
		p.Enter("/", "lobby", false)
		p.Exit("/", "lobby", false)
	}
}

// BenchmarkBus is the way from Publish of one node to Deliver of another.
func BenchmarkBus(b *testing.B) {
	bus := cluster.NewBus()
	var got atomic.Int64
	var ps []*Node
	for _, name := range []string{"aaaaa", "bbbbb"} {
		p := newPeer(bus.Backend(), name, func(o *Options) { o.MaxMessages, o.MaxBytes = 8192, 1<<30 })
		p.Node.host = deliver{p, &got}
		p.Enter("/", "", false)
		if err := p.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = p.Shutdown(context.Background()) }()
		_ = p.Ready(b.Context())
		ps = append(ps, p.Node)
	}
	m := emit(`["said","hello"]`)
	b.ReportAllocs()
	var sent int64
	for b.Loop() {
		for sent-got.Load() > 4096 {
			runtime.Gosched()
		}
		if ps[0].Publish(m) {
			sent++
		}
	}
	for got.Load() < sent {
		runtime.Gosched()
	}
}

// deliver is a Host that counts.
type deliver struct {
	Host
	n *atomic.Int64
}

func (d deliver) Deliver(*cluster.Message) { d.n.Add(1) }

// BenchmarkOwner is the look-up of a socket's node by those who emit, while messages come.
func BenchmarkOwner(b *testing.B) {
	p := newPeer(nothing{}, "aaaaa")
	p.members.add("bbbbb", "b", "", time.Now())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for now := time.Now(); pb.Next(); {
			p.members.seen("bbbbb", now)
			if p.Owner("bbbbb123456789012345") == "" {
				b.Error("not found")
			}
		}
	})
}
