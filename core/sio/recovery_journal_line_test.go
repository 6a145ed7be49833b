package sio

import (
	"fmt"
	"testing"
)

// TestJournalVolatile: a volatile event goes to the clients of all nodes, once, and not to the socket
// that emits it to others.
func TestJournalVolatile(t *testing.T) {
	bus := journalBus()
	a := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	sockets := connected(a.Of("/"))
	ra, rb := newReturning(t, serve(t, a), ""), newReturning(t, serve(t, b), "")
	s := <-sockets
	for _, c := range []struct {
		target Target
		at     []*returning
	}{
		{a.Of("/").All(), []*returning{ra, rb}},
		{a.Of("/").To(rb.sid), []*returning{rb}},
		{a.Of("/").To(ra.sid), []*returning{ra}},
		{s.Broadcast(), []*returning{rb}},
	} {
		got := make(map[*returning]int)
		for tries := 1; len(got) < len(c.at); tries++ {
			dropped := a.Stats().DroppedVolatile + b.Stats().DroppedVolatile
			_ = c.target.Volatile().Emit("volatile")
			_ = a.Of("/").Emit("end", tries)
			end := fmt.Sprintf(`["end",%d]`, tries)
			for _, r := range []*returning{ra, rb} {
				for m := r.next(); m != end; m = r.next() {
					got[r]++
				}
			}
			if len(got) < len(c.at) && a.Stats().DroppedVolatile+b.Stats().DroppedVolatile == dropped {
				t.Fatalf("to %v: %d clients have got it, of %d", c.target.rooms, len(got), len(c.at))
			}
			for _, n := range got {
				if n > tries {
					t.Errorf("to %v: it has come %d times", c.target.rooms, n)
				}
			}
		}
		for _, r := range c.at {
			if got[r] == 0 {
				t.Errorf("to %v: another one has got it", c.target.rooms)
			}
		}
	}
}
