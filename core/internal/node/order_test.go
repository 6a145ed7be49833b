package node

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestOrder: three nodes publish at once, each from several goroutines in turn; every other
// node gets all, and those of one node in their order.
func TestOrder(t *testing.T) {
	const each = 900
	ps := func() (ps []*peer) {
		bus := cluster.NewBus()
		for _, name := range []string{"aaaaa", "bbbbb", "ccccc"} {
			p := newPeer(bus.Backend(), name).start(t)
			p.Enter("/", "", false)
			ps = append(ps, p)
		}
		for _, p := range ps {
			if err := p.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return ps
	}()
	var wg sync.WaitGroup
	for _, p := range ps {
		var mu sync.Mutex
		next := 0
		for range 4 {
			wg.Go(func() {
				for {
					mu.Lock()
					i := next
					next++
					if i < each && !p.Publish(emit(fmt.Sprint(i))) {
						t.Errorf("%s: message %d was refused", p.Name(), i)
					}
					mu.Unlock()
					if i >= each {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	deadline := time.After(20 * time.Second)
	for _, p := range ps {
		for _, from := range ps {
			for p != from && len(p.texts(from.Name())) < each {
				select {
				case <-deadline:
					t.Fatalf("%s got %d messages of %s", p.Name(), len(p.texts(from.Name())), from.Name())
				case <-time.After(time.Millisecond):
				}
			}
			if p == from {
				continue
			}
			for i, text := range p.texts(from.Name()) {
				if text != fmt.Sprint(i) {
					t.Fatalf("%s: message %d of %s is %s", p.Name(), i, from.Name(), text)
				}
			}
		}
	}
}

// TestEnterBeforePublish: the bus is told of each room before it is given what was published
// after Enter, also when both happen while it is told of another one.
func TestEnterBeforePublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rooms = 300
		h := new(held)
		p := newPeer(h, "aaaaa")
		var told, given int // by the publisher alone
		var mu sync.Mutex
		next := 0
		enter := func() {
			mu.Lock()
			defer mu.Unlock()
			if next < rooms {
				p.Enter("/", fmt.Sprint(next), false)
				p.Publish(emit(fmt.Sprint(next)))
				next++
			}
		}
		h.watch = func(changes []cluster.Interest) error {
			told += len(changes)
			enter()
			return nil
		}
		h.publish = func(_ context.Context, ms []*cluster.Message) error {
			for _, m := range ms {
				if m.Kind != cluster.Emit {
					continue
				}
				if room, err := strconv.Atoi(string(m.Data)); err != nil || room != given || room >= told {
					t.Errorf("the bus is given %s behind %d others, and knows %d rooms", m.Data, given, told)
				}
				given++
			}
			return nil
		}
		p.start(t)
		synctest.Wait()
		for range 100 {
			enter()
		}
		synctest.Wait()
		if given != rooms || told != rooms {
			t.Errorf("%d messages, %d rooms", given, told)
		}
	})
}

// TestInterestLinger: a room that is left and entered again within the time is not spoken of,
// whoever often that happens; one that is left for good is given up once.
func TestInterestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa", func(o *Options) { o.Heartbeat = time.Hour }).start(t)
		p.Enter("/", "r", false)
		for range 1000 {
			p.Exit("/", "r", false)
			p.Enter("/", "r", false)
		}
		synctest.Wait()
		p.interests.mu.Lock()
		if n := len(p.interests.leaving); n > 1 {
			t.Errorf("%d entries for one room", n)
		}
		p.interests.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "kept", h.watched(), []string{"+/r"})

		p.Exit("/", "r", false)
		time.Sleep(4 * time.Second)
		p.Enter("/", "r", false)
		p.Exit("/", "r", false) // a new start for the time
		time.Sleep(4 * time.Second)
		synctest.Wait()
		equal(t, "left again", h.watched(), []string{"+/r"})
		time.Sleep(7 * time.Second)
		synctest.Wait()
		equal(t, "left", h.watched(), []string{"+/r", "-/r"})
		p.Exit("/", "r", false)
		p.Exit("/", "never", false)
		p.Enter("/", "r", false)
		synctest.Wait()
		equal(t, "entered", h.watched(), []string{"+/r", "-/r", "+/r"})
		p.interests.mu.Lock()
		defer p.interests.mu.Unlock()
		if n := len(p.interests.rooms); n != 1 {
			t.Errorf("%d rooms are kept", n)
		}
	})
}

// TestSocketInterests: ids of sockets are for a backend that asks for them.
func TestSocketInterests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		q := newPeer(&struct {
			held
			watcher
		}{}, "bbbbb")
		if p.Node.sockets || !q.Node.sockets {
			t.Error("who wants ids is not told apart")
		}
		p.Enter("/", "id", true)
		p.Exit("/", "id", true)
		synctest.Wait()
		equal(t, "watched", h.watched(), nil)
	})
}

type watcher struct{}

func (watcher) WatchSockets() {}
