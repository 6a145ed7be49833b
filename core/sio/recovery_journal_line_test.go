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

// TestJournalComesBackFirst: a client is back on another connection before what its old socket has
// emitted has come back from the log. It gets what is for it alone, and not what that socket has
// emitted to others; also when it is taken out before that comes back.
func TestJournalComesBackFirst(t *testing.T) {
	v := newValve(journalBus().Backend())
	a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
	n := a.Of("/")
	sockets := connected(n)
	c := serve(t, a)
	r := newReturning(t, c, "")
	s := <-sockets
	s.Join("room")
	r.stored(a)
	if !r.connect("") { // from here on memory is complete
		t.Fatal("not recovered")
	}
	s = <-sockets
	other := newReturning(t, c, "")
	(<-sockets).Join("room")
	_ = n.Emit("one")
	r.expect("one")
	other.expect("one")
	v.shut(false)
	_ = s.Emit("two")
	_ = s.To("room").Emit("three")
	_ = s.Emit("four")
	r.stored(a)
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	<-sockets
	v.open(nil)
	r.expect("two", "four")
	other.expect("three")
	flush(t, a)
	r.stored(a)
	_ = n.Emit("five")
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	r.expect("five")
	other.expect("five")
	s = <-sockets
	v.shut(false)
	_ = s.Emit("six")
	_ = s.To("room").Emit("seven")
	r.stored(a)
	if !r.connect("") {
		t.Fatal("not recovered")
	}
	(<-sockets).Disconnect()
	r.expect("six")
	if m := r.w.Next(); m != "41" {
		t.Error(m)
	}
	v.open(nil)
	other.expect("seven")
}

// TestJournalNextNamespace: a namespace of a pattern ends while its events are on their way, and the
// next one of its name begins. What comes back of the first is not taken for what the second waits
// for.
func TestJournalNextNamespace(t *testing.T) {
	const path = "/room/7"
	bus := journalBus()
	v := newValve(bus.Backend())
	a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
	b := NewServer(&Options{Cluster: bus.Backend(), Recovery: &Recovery{}})
	a.OfPattern("/room/{number}")
	b.OfPattern("/room/{number}")
	ca, far := serve(t, a), newReturning(t, serve(t, b), path)
	first := newReturning(t, ca, path)
	for range 3 {
		_ = a.Lookup(path).Emit("before")
		first.expect("before")
		far.expect("before")
	}
	v.holding.Lock()
	for range 3 {
		_ = a.Lookup(path).Emit("old")
		far.expect("old")
	}
	first.w.Reset()
	until(t, "the namespace ends", func() bool { return a.Lookup(path) == nil })
	next := newReturning(t, ca, path)
	_ = a.Lookup(path).Emit("new")
	_ = a.Lookup(path).Emit("newer")
	if err := a.node.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.holding.Unlock()
	for _, e := range []string{"new", "newer"} {
		next.expect(e)
		far.expect(e)
		if next.offset != far.offset {
			t.Errorf("%q is at %s and at %s", e, next.offset, far.offset)
		}
	}
	flush(t, a)
	if n := a.recovery.breaks.count.Load(); n != 0 {
		t.Errorf("%d breaks", n)
	}
}

// TestJournalNextNamespaceComesBack: the client of a namespace that has ended comes back while an
// event of it is on its way to the log, and gets it.
func TestJournalNextNamespaceComesBack(t *testing.T) {
	v := newValve(journalBus().Backend())
	a := NewServer(&Options{Cluster: v, Recovery: &Recovery{}})
	a.OfPattern("/room/{number}")
	c := serve(t, a)
	for i := range 10 {
		path := fmt.Sprint("/room/", i)
		r := newReturning(t, c, path)
		_ = a.Lookup(path).Emit("one")
		r.expect("one")
		flush(t, a)
		v.shut(false)
		_ = a.Lookup(path).Emit("two")
		r.w.Reset()
		until(t, "the namespace ends", func() bool { return a.Lookup(path) == nil })
		pid, back := r.pid, make(chan bool)
		go func() { back <- r.connect("") }()
		until(t, "the session is there", func() bool {
			a.recovery.mu.Lock()
			defer a.recovery.mu.Unlock()
			return a.recovery.byPID[pid] != nil
		})
		v.open(nil)
		if !<-back {
			t.Fatal("not recovered")
		}
		r.expect("two")
	}
}
