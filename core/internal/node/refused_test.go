package node

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// TestRefusedRooms: what the bus has not taken is a gap for as long as it lasts, is told to who
// waits for the room, and is tried again.
func TestRefusedRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("forbidden")
		var open atomic.Bool
		tries := 0
		h := &held{watch: func(changes []cluster.Interest) error {
			var bad part
			for i, c := range changes {
				if c.Room == "bad" && c.On && !open.Load() {
					tries++
					bad = append(bad, i)
				}
			}
			if len(bad) > 0 {
				return errors.Join(why, bad)
			}
			return nil
		}}
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		listening := func(room string, want error) {
			t.Helper()
			if err := p.Listening(t.Context(), "/", room); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: %v", room, err)
			}
		}
		p.Enter("/", "", false)
		p.Enter("/", "good", false)
		p.Enter("/", "bad", false)
		p.Enter("/", "other", false)
		listening("bad", why)
		listening("good", nil)
		listening("other", nil)
		for range 100 {
			p.Publish(emit("x"))
			time.Sleep(3 * time.Second)
		}
		synctest.Wait()
		if g := p.gapList(); len(g) != 1 || !errors.Is(g[0].Err, why) {
			t.Errorf("%+v", g)
		}
		if tries < 5 || tries > 15 {
			t.Errorf("%d tries in five minutes", tries)
		}
		listening("bad", why)
		before := tries // the bus is told at once when it has been away
		h.r.Down(why)
		h.r.Up()
		synctest.Wait()
		if tries != before+1 {
			t.Errorf("%d tries when the bus is there again", tries-before)
		}
		open.Store(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		listening("bad", nil)
		if g := p.gapList(); len(g) != 2 || g[1].Missed != 0 {
			t.Errorf("%+v", g)
		}
		// A room that has left is not tried again.
		open.Store(false)
		p.Enter("/", "x", false)
		p.Exit("/", "bad", false)
		time.Sleep(time.Minute)
		p.Enter("/", "bad", false)
		listening("bad", why)
		p.Exit("/", "bad", false)
		time.Sleep(time.Minute)
		synctest.Wait()
		before = tries
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if tries != before {
			t.Errorf("%d tries for a room that has left", tries-before)
		}
		// Without the namespace nothing comes for its rooms either.
		h.mu.Lock()
		h.watch = func([]cluster.Interest) error { return why }
		h.mu.Unlock()
		p.Enter("/ns", "", false)
		p.Enter("/ns", "r", false)
		if err := p.Listening(t.Context(), "/ns", "r"); !errors.Is(err, why) {
			t.Error(err)
		}
		listening("good", nil)
	})
}

// TestLostWithoutNumber: nobody knows how many messages are missing, but that some are.
func TestLostWithoutNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("no subscription")
		h := new(held)
		p := newPeer(h, "aaaaa").start(t)
		synctest.Wait()
		h.r.Lost(0, why)
		time.Sleep(3 * beat)
		synctest.Wait()
		if g := p.gapList(); len(g) != 2 || g[0].Err != why || g[1].Missed != 0 {
			t.Errorf("%+v", g)
		}
	})
}
