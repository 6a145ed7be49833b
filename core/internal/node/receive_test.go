package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestStormOfHellos: many nodes that come together are answered together.
func TestStormOfHellos(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		watch := new(held) // what all of them say
		tap := bus.Backend()
		if err := tap.Start(t.Context(), "watch", tapped{watch}); err != nil {
			t.Fatal(err)
		}
		var ps []*peer
		for i := range 32 {
			ps = append(ps, newPeer(bus.Backend(), fmt.Sprint("node", string(rune('A'+i)))).start(t))
		}
		time.Sleep(settleTime)
		synctest.Wait()
		for _, p := range ps {
			if n := len(p.Nodes()); n != 31 {
				t.Errorf("%s knows %d nodes", p.Name(), n)
			}
		}
		if h, b := watch.kinds(cluster.Hello), watch.kinds(cluster.Heartbeat); h != 32 || b != 32 {
			t.Errorf("%d hellos, %d heartbeats", h, b)
		}
		if err := tap.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHellosWithoutEnd put no answer off.
func TestHellosWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		newPeer(h, "aaaaa", func(o *Options) { o.Heartbeat = time.Hour }).start(t)
		for range 50 {
			time.Sleep(answerTime / 2)
			h.r.Receive(&cluster.Message{Kind: cluster.Hello, Node: "bbbbb"})
		}
		synctest.Wait()
		if n := h.kinds(cluster.Heartbeat); n < 15 || n > 26 {
			t.Errorf("%d answers to 50 hellos in %v", n, 25*answerTime)
		}
	})
}

// TestHelloLost: a Hello that the bus has not taken is said again.
func TestHelloLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := false
		h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
			if ms[0].Kind == cluster.Hello && !failed {
				failed = true
				return cluster.ErrDown
			}
			return nil
		}}
		p := newPeer(h, "aaaaa").start(t)
		if err := p.Ready(t.Context()); err != nil || h.kinds(cluster.Hello) != 1 {
			t.Errorf("%v, %d hellos", err, h.kinds(cluster.Hello))
		}
	})
}

// TestForOthers: what is for another node is not done here.
func TestForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		for _, to := range []string{"bbbbb", "aaaaa"} {
			m := emit("to " + to)
			m.Node, m.To = "ccccc", to
			h.r.Receive(m)
		}
		equal(t, "delivered", p.texts("ccccc"), []string{"to aaaaa"})
	})
}

// TestManyNodes: beyond the bound they are not known.
func TestManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		for i := range 2 * maxMembers {
			h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: fmt.Sprint(10_000 + i)})
		}
		if n := len(p.Nodes()); n != maxMembers {
			t.Errorf("%d nodes", n)
		}
		if n := len(lines(p, "ignored")); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

// TestSpared: what could not be heard while the bus was away is nobody's silence.
func TestSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		h.r.Receive(&cluster.Message{Kind: cluster.Heartbeat, Node: "bbbbb"})
		h.r.Down(cluster.ErrDown)
		time.Sleep(10*beat + beat/2)
		h.r.Up()
		time.Sleep(2 * beat)
		synctest.Wait()
		if n := len(p.Nodes()); n != 1 {
			t.Error("the other node was given up")
		}
		time.Sleep(2 * beat)
		synctest.Wait()
		if n := len(p.Nodes()); n != 0 {
			t.Error("the other node was not given up")
		}
	})
}

// TestGreeting: requests wait for the last Hello that is due, and not while the bus is away.
func TestGreeting(t *testing.T) {
	g := greeting{open: true, over: make(chan struct{})}
	open := func(want bool) {
		t.Helper()
		select {
		case <-g.wait():
			if want {
				t.Error("requests may be made")
			}
		default:
			if !want {
				t.Error("requests may not be made")
			}
		}
	}
	g.begin()
	g.end()
	open(true)
	g.said()
	g.end()
	open(false)
	g.begin()
	g.begin()
	open(true)
	g.abort()
	open(false)
	g.again() // the Hello was lost because the bus is away
	if g.isDue() {
		t.Error("a Hello is due while the bus is away")
	}
	g.begin()
	g.said()
	g.again()
	if !g.isDue() {
		t.Error("no Hello is due after one was lost")
	}
}

// tapped is a Receiver that keeps what it gets.
type tapped struct{ h *held }

func (tapped) Up()             {}
func (tapped) Down(error)      {}
func (tapped) Lost(int, error) {}
func (x tapped) Receive(m *cluster.Message) {
	_ = x.h.Publish(context.Background(), []*cluster.Message{m})
}

// TestAnything: whatever comes from the bus, in whatever order, ends nothing, and uses up
// no memory.
func TestAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa", func(o *Options) { o.MaxMessages = 1 << 20; o.MaxBytes = 1 << 30 }).start(t)
		p.ids = []string{"a1"}
		rnd := rand.New(rand.NewPCG(1, 2))
		pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
		for range 20_000 {
			m := &cluster.Message{
				Kind: cluster.Kind(rnd.IntN(40)), Node: pick("", "emitter", "aaaaa", "bbbbb", fmt.Sprint(rnd.Int()), strings.Repeat("n", 1000)),
				To: pick("", "aaaaa", "bbbbb"), Namespace: pick("", "/", fmt.Sprint("/", rnd.Int())), ID: pick("", "1", "x"),
				Number: int(int32(rnd.Uint32())), Info: strings.Repeat("i", rnd.IntN(3000)),
			}
			if rnd.IntN(2) == 0 {
				m.Names, m.Rooms, m.Attachments, m.Data = []string{""}, []string{"", ""}, [][]byte{nil}, []byte("x")
			}
			h.r.Receive(m)
		}
		synctest.Wait()
		if n := len(p.Nodes()); n > maxMembers {
			t.Errorf("%d nodes", n)
		}
		if n := len(lines(p, "ignored")); n != 1 {
			t.Errorf("%d lines about nodes that are ignored", n)
		}
		if n := p.Stats().Requests; n != 0 {
			t.Errorf("%d requests", n)
		}
		time.Sleep(10 * beat)
		synctest.Wait()
		if n := len(p.Nodes()); n != 0 {
			t.Errorf("%d nodes are left", n)
		}
	})
}

// TestServerEvents: those of one namespace are handled in order, those of others do not
// wait for them, and what there is no room for is missed.
func TestServerEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		goOn := make(chan struct{})
		p.set(func() {
			p.onEvent = func(m *cluster.Message) {
				if m.Namespace == "/slow" {
					<-goOn
				}
			}
		})
		for i := range maxServerEvents + 11 {
			serverEvent(h, "/slow", fmt.Sprint(i))
			if i == 0 {
				synctest.Wait() // one is handled
			}
		}
		serverEvent(h, "/", "quick")
		synctest.Wait()
		equal(t, "meanwhile", p.texts("bbbbb"), []string{"quick"})
		if s := p.Stats(); s.Missed != 10 {
			t.Errorf("%+v", s)
		}
		close(goOn)
		synctest.Wait()
		for i, text := range p.texts("bbbbb")[1:] {
			if text != fmt.Sprint(i) {
				t.Fatalf("event %d is %s", i, text)
			}
		}
	})
}

// serverEvent hands a node an event for servers, and takes its memory away.
func serverEvent(h *held, ns, data string) {
	b := []byte(data)
	h.r.Receive(&cluster.Message{Kind: cluster.ServerEvent, Node: "bbbbb", Namespace: ns, Data: b})
	clear(b)
}

// TestServerEventBounds: by size, and by the number of namespaces.
func TestServerEventBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		wait := make(chan struct{})
		p.set(func() { p.onEvent = func(*cluster.Message) { <-wait } })
		for range 80 {
			serverEvent(h, "/", strings.Repeat("x", 1<<20))
		}
		if n := p.Stats().Missed; n < 16 || n > 20 {
			t.Errorf("%d of 80 MiB are missed", n)
		}
		for i := range 2 * maxServerEventRuns {
			serverEvent(h, fmt.Sprint("/", i), "")
		}
		p.events.mu.Lock()
		if n := len(p.events.waiting); n != maxServerEventRuns {
			t.Errorf("%d goroutines", n)
		}
		p.events.mu.Unlock()
		close(wait)
		synctest.Wait()
		p.events.mu.Lock()
		defer p.events.mu.Unlock()
		if p.events.bytes != 0 || len(p.events.waiting) != 0 {
			t.Errorf("%d bytes of %d namespaces are left", p.events.bytes, len(p.events.waiting))
		}
	})
}

// TestRestart: another process with the name of one that has ended takes its place: nobody
// waits for answers of the first.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		ps[1].set(func() { ps[1].answer = func(func([]byte)) {} })
		done := ps[0].ask(t.Context(), &cluster.Message{Kind: cluster.ServerEvent, Namespace: "/", Timeout: time.Hour})
		synctest.Wait()
		bus.Cut("bbbbb")
		synctest.Wait()
		if err := ps[1].Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		bus.Heal("bbbbb")
		newPeer(bus.Backend(), "bbbbb").start(t)
		_, err := done()
		missing(t, err, cluster.ErrGone, "bbbbb")
		// The Bye of the first comes late.
		receiver{ps[0].Node}.Receive(&cluster.Message{Kind: cluster.Bye, Node: "bbbbb", ID: ps[1].instance})
		synctest.Wait()
		if ps[0].news() != "+bbbbb" || len(ps[0].Nodes()) != 1 {
			t.Errorf("nodes: %s", ps[0].news())
		}
	})
}

// TestStoodStill: a node that has stood still, or could not speak, gives up nobody when it
// goes on, and then those that stay silent.
func TestStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
			if string(ms[0].Data) == "stand still" {
				time.Sleep(10 * beat)
			}
			return nil
		}}
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		h.r.Receive(&cluster.Message{Kind: cluster.Hello, Node: "bbbbb", ID: "b"})
		p.Publish(emit("stand still"))
		time.Sleep(11 * beat)
		synctest.Wait()
		if p.news() != "+bbbbb" {
			t.Errorf("nodes: %s", p.news())
		}
		time.Sleep(4 * beat)
		synctest.Wait()
		if p.news() != "+bbbbb -bbbbb" {
			t.Errorf("nodes: %s", p.news())
		}
	})
}
