package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
)

// noticed is how long the others take to notice that a node is dead: three heartbeats of 2 s, one
// more until they look, and what a busy machine adds.
const noticed = 12 * time.Second

// inTime returns how long the others may take from now on. A process that has stood still knows
// nothing of others, and begins to listen for them anew: they have so long again.
func inTime(t *testing.T) (most func() time.Duration) {
	var stalls atomic.Int64
	over, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for from := time.Now(); ; from = time.Now() {
			select {
			case <-tick.C:
			case <-over:
				return
			}
			if time.Since(from) >= time.Second {
				stalls.Add(1)
			}
		}
	}()
	return func() time.Duration { return time.Duration(1+stalls.Load()) * noticed }
}

// Killed kills the process of a node. arg is for its backend.
//
// The others notice within seconds, open requests give up its part and name the node, its members
// leave a Presence, and requests that follow ask nobody but those that are there. Between the
// others nothing is lost, and they report nothing.
func Killed(t *testing.T, bus Bus, arg string) {
	a, b := serve(t, 0, bus.Backend(), new(mixin.Presence)), serve(t, 1, bus.Backend(), new(mixin.Presence))
	c := Process(t, 2, arg)
	together(t, a, b, c)
	people := func(n *Node, want int) {
		t.Helper()
		for until := time.Now().Add(patience); len(n.people.Members(n.Of("/people"))) != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("node %d has the members %+v, not %d of them", n.number, n.people.Members(n.Of("/people")), want)
			}
		}
	}
	people(a, 3)
	people(b, 3)
	c.Emit(100)
	a.await("what the node has emitted", func() bool { return len(a.got[2]) == 100 })
	b.await("what the node has emitted", func() bool { return len(b.got[2]) == 100 })

	more, stop := traffic(a, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan string, 2)
	check := func(what string, got []string, err, why error, want ...string) {
		var missing *cluster.Missing
		slices.Sort(got)
		switch {
		case !errors.As(err, &missing) || !errors.Is(err, why) || !slices.Equal(missing.Nodes, []string{c.Name}) || missing.Others != 0:
			done <- fmt.Sprintf("%s: %v", what, err)
		case !slices.Equal(got, want):
			done <- fmt.Sprintf("%s: the answers %q, not %q", what, got, want)
		default:
			done <- ""
		}
	}
	go func() {
		list, err := sio.CallAll[string](ctx, a.Of("/").All(), "q")
		var got []string
		for _, x := range list {
			text := x.Value
			switch {
			case errors.Is(x.Err, sio.ErrAckTimeout) && strings.HasPrefix(x.ID, c.Name):
				text = "none of the killed node"
			case x.Err != nil:
				text = x.Err.Error()
			}
			got = append(got, text)
		}
		check("CallAll", got, err, cluster.ErrGone, "none of the killed node", "yes", "yes")
	}()
	go func() {
		c.await("CallAll", func() bool { return c.asked }) // so that the two do not wait for each other
		list, err := sio.CallServers[string](ctx, a.Of("/"), "ping")
		var got []string
		for _, x := range list {
			got = append(got, x.Value)
		}
		check("CallServers", got, err, cluster.ErrRequestTimeout, "pong") // which is sooner
	}()
	c.await("both questions", func() bool { return c.pinged })
	more(500)
	killed, most := time.Now(), inTime(t)
	c.kill()
	for range 2 {
		if text := <-done; text != "" {
			t.Error(text)
		}
	}
	answered := time.Since(killed)
	if answered > most() {
		t.Errorf("the questions took %v", answered)
	}
	for _, n := range []*Node{a, b} {
		n.await("the end of the node", func() bool { return slices.Equal(n.left, []string{c.Name}) })
		people(n, 2)
	}
	took := time.Since(killed)
	if took > most() {
		t.Errorf("noticed after %v", took)
	}
	stop()
	verify(t, a, b) // reaches two clients, without an error
	nothing(t, a, b)
	for _, n := range []*Node{a, b} {
		n.well()
	}
	t.Logf("questions given up after %v, all noticed after %v; %d and %d numbers between the others, none missing", answered.Round(10*time.Millisecond), took.Round(10*time.Millisecond), a.total(), b.total())
}

// Stalled stops the process of a node while the others emit much, more than the bus keeps for it, and
// lets it go on. arg is for its backend. counts: the node knows how many messages it has missed.
//
// Between the others nothing is lost, and they report nothing. The node reports what it has missed
// as one incident, and is one of the cluster again. What it has emitted before and emits later
// arrives; an answer that it gives when it goes on, and has no connection, may be lost.
func Stalled(t *testing.T, bus Bus, arg string, counts bool) {
	a, b, c := Serve(t, 0, bus.Backend()), Serve(t, 1, bus.Backend()), Process(t, 2, arg)
	together(t, a, b, c)
	for _, n := range []*Node{a, b, c} {
		n.Emit(100)
	}
	quiet(t, a, b, c)
	const rounds, size = 60, 50
	pad := strings.Repeat("x", 10_000) // 30 MB in all
	c.halt()
	stopped := time.Now()
	for range rounds {
		a.emit(size, pad)
		b.Emit(size)
		for _, n := range []*Node{a, b} {
			for _, from := range []*Node{a, b} {
				total := from.total()
				n.await("what is emitted meanwhile", func() bool { return len(n.got[from.number]) == total })
			}
		}
	}
	c.resume()
	i := c.incident(1)
	together(t, a, b, c)
	for _, n := range []*Node{a, b, c} {
		n.Emit(10)
	}
	verify(t, a, b, c)
	nothing(t, a, b)
	nothing(t, c)
	for _, n := range []*Node{a, b} {
		n.well()
		if list := n.missing(c); len(list) > 0 {
			t.Errorf("the client of node %d misses of the node that stood still: %v", n.number, list)
		}
	}
	missing := len(c.missing(a)) + len(c.missing(b))
	t.Logf("stopped for %v: of %d numbers %d are missing, and %d were counted", time.Since(stopped).Round(10*time.Millisecond),
		a.total()+b.total(), missing, i.Missed)
	if missing == 0 || counts && i.Missed != missing || !counts && i.Missed > missing {
		t.Errorf("%d are missing, the incident has %+v", missing, i)
	}
	for _, from := range []*Node{a, b} {
		if list := c.missing(from); len(list) > 0 && (list[0] < 100 || list[len(list)-1] >= from.total()-10) {
			t.Errorf("of node %d the numbers from %d to %d are missing", from.number, list[0], list[len(list)-1])
		}
	}
}

// First has the node that was there first leave, under traffic. On a bus that one of the nodes
// serves it is that one, so that the others are without a bus for a moment. One more joins them.
func First(t *testing.T, bus Bus) {
	ns := []*Node{Serve(t, 0, bus.Backend()), Serve(t, 1, bus.Backend()), Serve(t, 2, bus.Backend())}
	together(t, ns...)
	more, stop := traffic(ns[1:]...)
	more(100)
	ns[0].Emit(100)
	if err := ns[0].Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	goOn(t, bus, ns[1:], more, stop)
	for _, n := range ns[1:] {
		if list := n.missing(ns[0]); len(list) > 0 {
			t.Errorf("the client of node %d misses what a node has emitted before it left: %v", n.number, list)
		}
	}
}

// FirstKilled kills the process of the node that was there first, under traffic, as First. arg is
// for its backend.
func FirstKilled(t *testing.T, bus Bus, arg string) {
	first := Process(t, 0, arg)
	ns := []*Node{Serve(t, 1, bus.Backend()), Serve(t, 2, bus.Backend())}
	together(t, ns[0], ns[1], first)
	first.Emit(100)
	for _, n := range ns {
		n.await("what the node has emitted", func() bool { return len(n.got[0]) == 100 })
	}
	more, stop := traffic(ns...)
	more(100)
	first.kill()
	goOn(t, bus, ns, more, stop)
}

// goOn: two nodes have an incident each, and go on with one more.
func goOn(t *testing.T, bus Bus, ns []*Node, more func(int), stop func()) {
	t.Helper()
	var lost []Incident
	for _, n := range ns {
		lost = append(lost, n.incident(1))
	}
	more(100)
	late := Serve(t, 3, bus.Backend())
	stop()
	together(t, ns[0], ns[1], late)
	for _, n := range []*Node{ns[0], ns[1], late} {
		n.Emit(10)
	}
	verify(t, ns[0], ns[1], late)
	late.well()
	for i, from := range ns {
		n := gap(t, from, ns[1-i], 0, lost[i].Lost)
		t.Logf("of node %d, %d emitted: counted as lost %d, missing %d", from.number, from.total(), lost[i].Lost, n)
	}
}
