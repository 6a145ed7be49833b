package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/siokit/siokit/core/cluster"
)

// TestListening: Listening returns when the bus has taken all rooms, and not before the bus
// was reached for the first time; a bus that is away is not waited for.
func TestListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{start: func(context.Context) error { return nil }}
		taken := make(chan struct{})
		h.watch = func([]cluster.Interest) error { <-taken; return nil }
		p := newPeer(h, "aaaaa").start(t)
		returned := make(chan error, 10)
		listen := func() { go func() { returned <- p.Listening(t.Context(), "/", "r") }() }
		none := func(what string) {
			t.Helper()
			if synctest.Wait(); len(returned) > 0 {
				t.Fatalf("%s: Listening has returned %v", what, <-returned)
			}
		}
		one := func(what string) {
			t.Helper()
			synctest.Wait()
			if len(returned) != 1 {
				t.Fatalf("%s: Listening waits", what)
			}
			if err := <-returned; err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		p.Publish(emit("lost")) // a gap begins before the bus was ever there
		listen()
		none("before Up")
		h.r.Up()
		one("nothing was entered")
		p.Enter("/", "r", false)
		listen()
		none("the bus takes the first room")
		p.Enter("/", "s", false) // while Watch runs
		listen()
		taken <- struct{}{}
		one("the first room is taken")
		none("the bus takes the second room")
		p.Enter("/", "s", false)
		taken <- struct{}{}
		one("both are taken")
		listen()
		one("nothing is new")

		p.Enter("/", "t", false)
		ended, end := context.WithCancelCause(t.Context())
		end(errors.New("enough"))
		if err := p.Listening(ended, "/", "r"); err == nil || err.Error() != "enough" {
			t.Errorf("a context that has ended: %v", err)
		}
		h.r.Down(nil)
		listen()
		one("the bus is away")
		close(taken)
	})
}

// TestListeningAtTheEnd: a node that has left does not keep anybody waiting, and neither does
// one whose bus was never there.
func TestListeningAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{start: func(context.Context) error { return nil }}
		p := newPeer(h, "aaaaa").start(t)
		returned := make(chan error, 2)
		go func() { returned <- p.Listening(t.Context(), "/", "r") }()
		synctest.Wait()
		if err := p.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-returned; !errors.Is(err, cluster.ErrClosed) {
			t.Errorf("after Shutdown: %v", err)
		}
		h = &held{start: func(context.Context) error { return nil }}
		p = newPeer(h, "bbbbb").start(t)
		p.Enter("/", "r", false)
		go func() { returned <- p.Listening(t.Context(), "/", "r") }()
		synctest.Wait()
		h.r.Down(cluster.ErrDown)
		if err := <-returned; err != nil {
			t.Errorf("without a bus: %v", err)
		}
	})
}
