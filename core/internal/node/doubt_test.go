package node

import (
	"context"
	"errors"
	"slices"
	"sync"
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

// TestDoubtBesideRefusal: a doubt is over at once also while a refusal lasts, and each of the two is
// told again with pauses of its own.
func TestDoubtBesideRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("forbidden")
		var mu sync.Mutex
		var doubted bool
		refused, tries := "bad", make(map[string][]time.Time)
		h := new(held)
		h.watch = func(changes []cluster.Interest) error {
			mu.Lock()
			defer mu.Unlock()
			var not part
			for i, c := range changes {
				if tries[c.Room] = append(tries[c.Room], time.Now()); c.Room == refused && c.On {
					not = append(not, i)
				}
			}
			if doubted {
				h.r.Lost(0, why)
			}
			if len(not) > 0 {
				return errors.Join(why, not)
			}
			return nil
		}
		set := func(room string, doubt bool) {
			mu.Lock()
			defer mu.Unlock()
			refused, doubted = room, doubt
		}
		told := func(room string) []time.Time {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(tries[room])
		}
		p := newPeer(h, "aaaaa").start(t)
		p.Enter("/", "good", false)
		p.Enter("/", "bad", false)
		time.Sleep(5 * time.Minute) // the pauses of the refusal are as long as they become
		before := len(told("bad"))
		for len(told("bad")) == before {
			time.Sleep(time.Second)
		}
		begin := time.Now()
		list := told("bad")
		next := list[len(list)-1].Add(maxRetryTime)
		before = len(list)
		for i, most := range []time.Duration{0, minRetryTime, 2 * minRetryTime} {
			h.r.Lost(0, why)
			from := time.Now()
			if err := p.Listening(t.Context(), "/", "good"); err != nil {
				t.Error(err)
			}
			if d := time.Since(from); d > most || d < most/2 {
				t.Errorf("doubt %d: who enters a room has waited %v", i, d)
			}
			if n := len(told("good")); n != i+2 {
				t.Errorf("doubt %d: a room that the bus has taken was told %d times", i, n)
			}
		}
		time.Sleep(90*time.Second - time.Since(begin))
		list = told("bad")[before+3:] // all rooms were told for each doubt, this one too
		if len(list) != 1 || list[0].Before(next) || list[0].After(next.Add(2*beat)) {
			t.Errorf("the room that is refused was tried at %v, it was due at %v", list, next)
		}
		// The same the other way round.
		set("", true)
		h.r.Lost(0, why)
		time.Sleep(5 * time.Minute)
		set("", false)
		time.Sleep(maxRetryTime + 2*beat)
		set("worse", false)
		p.Enter("/", "worse", false)
		list = told("worse")
		time.Sleep(minRetryTime + beat)
		if again := told("worse"); len(again) <= len(list) {
			t.Errorf("the room was tried at %v, and not again until %v", list, time.Now())
		}
	})
}
