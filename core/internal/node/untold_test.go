package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestUntold: a node that was cut off tells the others in which namespaces they have missed
// events, once, and before it emits anything else. Nobody is told of what nobody would have kept.
func TestUntold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := cluster.NewBus()
		ps := nodes(t, bus, "aaaaa", "bbbbb")
		a, b := ps[0], ps[1]
		b.onDeliver = func(m *cluster.Message) {
			if m.Kind == cluster.Emit && len(b.untoldList()) != 1 {
				t.Errorf("%s came first", m.Data)
			}
		}
		before, _ := b.Deaf()
		lose := func(ms ...*cluster.Message) {
			bus.Cut("aaaaa")
			synctest.Wait()
			for _, m := range ms {
				if a.Publish(m) {
					t.Error("a message was taken")
				}
			}
			bus.Heal("aaaaa")
			synctest.Wait()
			a.Publish(emit("after"))
			time.Sleep(3 * beat)
			synctest.Wait()
		}
		chat := emit("lost")
		chat.Namespace = "/chat"
		lose(emit("lost"), chat, emit("lost"))
		equal(t, "told", b.untoldList(), []string{"aaaaa /,/chat"})
		if now, _ := b.Deaf(); now != before {
			t.Error("a node that has missed nothing on its own way is deaf")
		}
		b.set(func() { b.onDeliver = nil })
		volatile, question, join := emit("volatile"), emit("question"), emit("")
		volatile.Volatile, question.ID, join.Kind = true, "q", cluster.Join
		lose(volatile, question, join)
		equal(t, "told of what nobody keeps", b.untoldList(), []string{"aaaaa /,/chat"})
		equal(t, "told by the other", a.untoldList(), nil)
	})
}

// TestUntoldInOrder: what did not fit into the queue is told of when what stood before it was
// published, and what was lost later is told of again.
func TestUntoldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
			if ms[0].Kind == cluster.Emit {
				<-goOn
			}
			return nil
		}}
		p := newPeer(h, "aaaaa", func(o *Options) { o.PublishTimeout, o.Heartbeat = time.Hour, time.Hour }).start(t)
		synctest.Wait()
		fill := func() {
			for p.Publish(emit("x")) {
			}
			synctest.Wait()
		}
		fill() // one more than 1000
		for range 2 {
			goOn <- struct{}{} // a batch
			synctest.Wait()
		}
		fill()
		close(goOn)
		synctest.Wait()
		count, told := 0, []int(nil)
		for _, m := range h.said {
			switch m.Kind {
			case cluster.Emit:
				count++
			case cluster.Gap:
				told = append(told, count)
			}
		}
		if len(told) != 2 || told[0] < 1000 || told[0] == count || told[1] != count || count < 1000+maxBatch {
			t.Errorf("told behind %d of %d messages", told, count)
		}
	})
}

// TestUntoldPart: a message that the bus does not take is told of, and the node itself is not deaf
// for that.
func TestUntoldPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
			var lost part
			for i, m := range ms {
				if string(m.Data) == "large" {
					lost = append(lost, i)
				}
			}
			if lost == nil {
				return nil
			}
			return lost
		}}
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		before, deaf := p.Deaf()
		if deaf {
			t.Error("deaf at the beginning")
		}
		for _, text := range []string{"1", "large", "2"} {
			p.Publish(emit(text))
		}
		synctest.Wait()
		if n := h.kinds(cluster.Gap); n != 1 {
			t.Errorf("told %d times", n)
		}
		for range 10 {
			p.Publish(emit("large"))
			time.Sleep(beat)
		}
		if now, _ := p.Deaf(); now != before {
			t.Error("deaf because of what the node could not publish")
		}
		if n := h.kinds(cluster.Gap); n != 11 {
			t.Errorf("told %d times", n)
		}
	})
}

// TestUntoldAgain: when the bus does not take that either, the others are told later, and that
// anything may be missing; no more often than once in each heartbeat. So are they when there are
// too many namespaces.
func TestUntoldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		tried := 0
		h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
			if ms[0].Kind == cluster.Gap && broken.Load() {
				tried++
			}
			if broken.Load() {
				return errors.New("broken")
			}
			return nil
		}}
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		told := func(want ...string) {
			t.Helper()
			time.Sleep(3 * beat)
			synctest.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			var list []string
			for _, m := range h.said {
				if m.Kind == cluster.Gap {
					list = append(list, strings.Join(m.Names, ","))
				}
			}
			equal(t, "told", list, want)
		}
		broken.Store(true)
		for range 100 {
			p.Publish(emit("x"))
			time.Sleep(beat / 10)
		}
		synctest.Wait()
		if tried < 5 || tried > 12 {
			t.Errorf("tried %d times in ten heartbeats", tried)
		}
		broken.Store(false)
		told("")

		h.r.Down(cluster.ErrDown)
		for i := range maxUntold + 1 {
			m := emit("x")
			m.Namespace = fmt.Sprint("/", i)
			p.Publish(m)
		}
		h.r.Up()
		gaps := 0
		p.Publish(emit("after"))
		told("", "")
		for _, m := range h.said[:slices.IndexFunc(h.said, func(m cluster.Message) bool { return string(m.Data) == "after" })] {
			gaps += map[cluster.Kind]int{cluster.Gap: 1}[m.Kind]
		}
		if gaps != 2 {
			t.Error("what is emitted afterwards comes first")
		}
	})
}

// TestUntoldAtTheEnd: a node that leaves says so first, an emitter too.
func TestUntoldAtTheEnd(t *testing.T) {
	for _, opts := range [][]func(*Options){nil, {asEmitter}} {
		synctest.Test(t, func(t *testing.T) {
			failed := false
			h := &held{publish: func(_ context.Context, ms []*cluster.Message) error {
				first := ms[0].Kind == cluster.Gap && !failed
				failed = failed || first
				if first || ms[0].Kind == cluster.Emit {
					return errors.New("not now")
				}
				return nil
			}}
			p := newPeer(h, "aaaaa", opts...)
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.Publish(emit("x"))
			synctest.Wait()
			if err := shutdown(t, p); err != nil {
				t.Error(err)
			}
			names := map[bool]string{false: "aaaaa", true: emitterName}
			for _, m := range h.said {
				if m.Kind == cluster.Gap && m.Node == names[opts != nil] {
					return
				}
				if m.Kind == cluster.Bye {
					t.Error("Bye comes first")
				}
			}
			t.Errorf("never told: %+v", h.said)
		})
	}
}

// TestDeaf: messages of others may be missing before the bus was there, while it is away, and for
// a moment after some were dropped or a room was not subscribed to. What this node could not
// publish, and an application that does not return, have no part in that.
func TestDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{start: func(context.Context) error { return nil }}
		block := make(chan struct{})
		defer close(block)
		p := newPeer(h, "aaaaa", func(o *Options) { o.Report = func(Gap) { <-block } }).start(t)
		last := uint64(0)
		is := func(what string, want bool) {
			t.Helper()
			synctest.Wait()
			changes, deaf := p.Deaf()
			if deaf != want || changes <= last {
				t.Fatalf("%s: %v, %d changes after %d", what, deaf, changes, last)
			}
			last = changes
		}
		is("before Up", true)
		h.r.Up()
		is("with the bus", false)
		h.r.Down(cluster.ErrDown)
		is("without the bus", true)
		h.r.Up()
		is("with the bus again", false)
		h.r.Lost(1, cluster.ErrDown)
		is("messages were dropped", true)
		time.Sleep(beat / 2)
		h.r.Lost(1, cluster.ErrDown)
		time.Sleep(3 * beat)
		is("later", false)
		var refused atomic.Bool
		refused.Store(true)
		h.mu.Lock()
		h.watch = func([]cluster.Interest) error {
			if refused.Load() {
				return errors.New("no")
			}
			return nil
		}
		h.mu.Unlock()
		p.Enter("/", "r", false)
		is("a room is not subscribed to", true)
		for range 100 {
			time.Sleep(beat / 10)
			synctest.Wait()
			if changes, deaf := p.Deaf(); !deaf || changes != last {
				t.Fatal("a room is still not subscribed to")
			}
		}
		refused.Store(false)
		time.Sleep(10 * beat)
		is("later", false)
		h.r.Lost(0, errors.New("a subscription was refused"))
		is("nobody knows how many are missing", true)
		time.Sleep(3 * beat)
		is("later", false)
		h.r.Lost(1, cluster.ErrDown)
		h.r.Down(cluster.ErrDown)
		h.r.Up()
		is("a bus that has dropped something comes back", true)
		time.Sleep(3 * beat)
		is("later", false)
	})
}
