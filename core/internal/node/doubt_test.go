package node

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestRefusedWhileAway: what the bus refuses when it is there again is a gap for as long as it lasts,
// as what it refuses at once, and is told to who waits for the room.
func TestRefusedWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("forbidden")
		var open, up atomic.Bool
		tries := 0
		h := &held{start: func(context.Context) error { return nil }}
		h.watch = func(changes []cluster.Interest) error {
			var bad part
			for i, c := range changes {
				if c.Room == "bad" && c.On && up.Load() && !open.Load() {
					tries++
					bad = append(bad, i)
				}
			}
			if len(bad) > 0 {
				return errors.Join(why, bad)
			}
			return nil
		}
		p := newPeer(h, "aaaaa").start(t)
		p.Enter("/", "", false)
		p.Enter("/", "good", false)
		p.Enter("/", "gone", false)
		p.Enter("/", "bad", false)
		p.Exit("/", "gone", false)
		synctest.Wait()
		listening := func(room string, want error) {
			t.Helper()
			if err := p.Listening(t.Context(), "/", room); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: %v", room, err)
			}
		}
		back := func(before bool) { // the refusal is told before the bus is there, or after that
			t.Helper()
			tries = 0
			up.Store(false)
			h.r.Down(cluster.ErrDown)
			synctest.Wait()
			if before {
				h.r.Lost(0, why)
			}
			up.Store(true)
			h.r.Up()
			if !before {
				h.r.Lost(0, why)
			}
			listening("bad", why) // it waits until the bus was told again
			listening("good", nil)
			for range 100 {
				p.Publish(emit("x"))
				if _, deaf := p.Deaf(); !deaf {
					t.Fatal("the node believes that it gets everything")
				}
				time.Sleep(3 * time.Second)
			}
			synctest.Wait()
			if tries < 5 || tries > 15 {
				t.Errorf("%d tries in five minutes", tries)
			}
		}
		back(true)
		if g := p.gapList(); len(g) != 1 {
			t.Errorf("%+v", g)
		}
		if list := h.watched(); slices.Contains(list[len(list)-3:], "+/gone") {
			t.Errorf("told %v", list)
		}
		open.Store(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		listening("bad", nil)
		if g := p.gapList(); len(g) != 2 {
			t.Errorf("%+v", g)
		}
		if _, deaf := p.Deaf(); deaf {
			t.Error("deaf, and the bus has taken all")
		}
		open.Store(false)
		back(false)
		if g := p.gapList(); len(g) != 3 {
			t.Errorf("%+v", g)
		}
	})
}

// TestDoubtWithoutEnd: a bus that says again and again that something may be missing is told of the
// rooms with pauses, and who waits for a room meanwhile does not wait for a bus that has gone.
func TestDoubtWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("forbidden")
		var ends atomic.Bool
		told := 0
		h := new(held)
		h.watch = func([]cluster.Interest) error {
			if told++; !ends.Load() {
				h.r.Lost(0, why)
			}
			return nil
		}
		p := newPeer(h, "aaaaa").start(t)
		h.r.Lost(0, why) // there are no rooms: nobody waits
		if err := p.Listening(t.Context(), "/", "r"); err != nil {
			t.Error(err)
		}
		p.Enter("/", "r", false)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if told < 5 || told > 15 {
			t.Errorf("told %d times in five minutes", told)
		}
		if g := p.gapList(); len(g) < 1 || len(g)%2 != 1 {
			t.Errorf("%+v", g)
		}
		waits := make(chan error, 1)
		go func() { waits <- p.Listening(t.Context(), "/", "r") }()
		synctest.Wait()
		if len(waits) > 0 {
			t.Error("nobody has waited")
		}
		h.r.Down(cluster.ErrDown)
		synctest.Wait()
		if len(waits) != 1 || <-waits != nil {
			t.Error("a bus that has gone is waited for")
		}
		ends.Store(true)
		h.r.Up()
		time.Sleep(3 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g)%2 != 0 {
			t.Errorf("%+v", g)
		}
		// After a quiet time the bus is told at once.
		time.Sleep(3 * time.Minute)
		before := told
		h.r.Lost(0, why)
		synctest.Wait()
		if told != before+1 {
			t.Errorf("told %d times", told-before)
		}
	})
}
