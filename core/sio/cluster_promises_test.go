package sio

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each promise of docs/cluster.md that no other test keeps has one here.

// TestClusterOrder: what one process emits, to all, to rooms, to one socket, here alone or by a
// socket, reaches each client in that order, whether it goes by the bus or not.
func TestClusterOrder(t *testing.T) {
	sockets := make(chan *Socket, 2)
	ns := clustered(t, 2, func(srv *Server) {
		srv.Of("/").OnConnected(func(_ context.Context, s *Socket) { s.Join("r"); sockets <- s })
	})
	here := ns.at[0].Join("")
	a := <-sockets
	there := ns.at[1].Join("")
	b := <-sockets
	n := ns.all[0].Of("/")
	ns.reach(n.To("r"), 2)
	ways := []struct {
		emit        func(k int) error
		here, there bool
	}{
		{func(k int) error { return n.Emit("n", k) }, true, true},
		{func(k int) error { return n.To("r").Emit("n", k) }, true, true},
		{func(k int) error { return n.To(b.ID()).Emit("n", k) }, false, true},
		{func(k int) error { return n.All().Local().Emit("n", k) }, true, false},
		{func(k int) error { return n.To(a.ID()).Emit("n", k) }, true, false},
		{func(k int) error { return a.Emit("n", k) }, true, false},
		{func(k int) error { return a.To("r").Emit("n", k) }, false, true},
		{func(k int) error { return a.Broadcast().Emit("n", k) }, false, true},
		{func(k int) error { return n.To("r", "other").Except("nobody").Emit("n", k) }, true, true},
		{func(k int) error { return n.To(a.ID(), b.ID()).Emit("n", k) }, true, true},
	}
	var wantHere, wantThere []string
	for k := range 50 * len(ways) {
		w := ways[k*7%len(ways)]
		if err := w.emit(k); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`42["n",%d]`, k)
		if w.here {
			wantHere = append(wantHere, text)
		}
		if w.there {
			wantThere = append(wantThere, text)
		}
	}
	for i, want := range wantHere {
		if got := here.Next(); got != want {
			t.Fatalf("%d here: %s instead of %s", i, got, want)
		}
	}
	for i, want := range wantThere {
		if got := there.Next(); got != want {
			t.Fatalf("%d there: %s instead of %s", i, got, want)
		}
	}
}

// TestClusterAtOnce: what a target is told has happened on this process when the call returns,
// with the bus away too.
func TestClusterAtOnce(t *testing.T) {
	sockets := make(chan *Socket, 2)
	ns := clustered(t, 2, func(srv *Server) {
		srv.Of("/").OnConnected(func(_ context.Context, s *Socket) { sockets <- s })
	})
	for _, away := range []bool{false, true} {
		if away {
			ns.bus.Cut()
		}
		w := ns.at[0].Join("")
		s := <-sockets
		n := ns.all[0].Of("/")
		if n.To(s.ID()).Join("r"); !s.In("r") {
			t.Error("Join has not happened")
		}
		if n.To("r").Leave("r"); s.In("r") {
			t.Error("Leave has not happened")
		}
		n.All().Join("r", "q")
		if n.To("q").LeaveAll(); s.RoomCount() != 0 {
			t.Errorf("LeaveAll has not happened: %v", s.Rooms())
		}
		if n.All().Disconnect(); s.Context().Err() == nil {
			t.Error("Disconnect has not happened")
		}
		if got := w.Next(); got != "41" {
			t.Error(got)
		}
	}
}

// TestClusterInOrder: joins, leaves and disconnects of a target happen on other processes in
// order with what the same process emits.
func TestClusterInOrder(t *testing.T) {
	ns := clustered(t, 2, nil)
	w := ns.at[1].Join("")
	n := ns.all[0].Of("/")
	ns.reach(n.All(), 1)
	for i := range 50 {
		_ = n.To("r").Emit("before", i) // nobody is in the room
		n.All().Join("r")
		_ = n.To("r").Emit("in", i)
		n.To("r").Leave("r")
		_ = n.To("r").Emit("after", i)
	}
	n.All().Disconnect()
	_ = n.Emit("gone")
	for i := range 50 {
		if got, want := w.Next(), fmt.Sprintf(`42["in",%d]`, i); got != want {
			t.Fatalf("%s instead of %s", got, want)
		}
	}
	if got := w.Next(); got != "41" {
		t.Error(got)
	}
	w.Send("40")
	if got := w.Next(); !strings.HasPrefix(got, "40") {
		t.Errorf("%s came after the disconnect", got)
	}
}

// TestClusterAwayTold: while the bus is away clients of the own process get what is emitted,
// those of others never do, and OnError, the log and Stats say from when to when, and how many.
func TestClusterAwayTold(t *testing.T) {
	fs := new(failures)
	ns := clusteredWith(t, 2, func(i int, o *Options) {
		if i == 0 {
			o.OnError = fs.told
		}
	}, nil)
	here, there := ns.at[0].Join(""), ns.at[1].Join("")
	n := ns.all[0].Of("/")
	ns.reach(n.All(), 2)
	from := time.Now().Truncate(time.Second)
	ns.bus.Cut(ns.all[0].Node())
	fs.await(t, 1)
	for i := range 3 {
		_ = n.Emit("away", i)
	}
	ns.bus.Heal(ns.all[0].Node())
	list := fs.await(t, 2)
	ns.reach(n.All(), 2)
	_ = n.Emit("back")
	for i := range 3 {
		if got, want := here.Next(), fmt.Sprintf(`42["away",%d]`, i); got != want {
			t.Errorf("here: %s instead of %s", got, want)
		}
	}
	if got := []string{here.Next(), there.Next()}; !slices.Equal(got, []string{`42["back"]`, `42["back"]`}) {
		t.Errorf("%q", got)
	}
	m := regexp.MustCompile(`^from (\S+) to (\S+) 3 messages to other nodes were lost, and 0 of theirs`).FindStringSubmatch(list[1].Reason)
	if m == nil {
		t.Fatalf("%q", list[1].Reason)
	}
	began, err1 := time.Parse(time.RFC3339, m[1])
	ended, err2 := time.Parse(time.RFC3339, m[2])
	if err1 != nil || err2 != nil || began.Before(from) || ended.Before(began) || ended.After(time.Now()) {
		t.Errorf("%q, and it was after %v", list[1].Reason, from)
	}
	if got := ns.all[0].Stats().Failures[FailureCluster]; got != 2 {
		t.Errorf("Stats counts %d", got)
	}
}

// TestClusterNoRecovery: a client that comes back after the bus was away, to whichever process, is
// a new one: it is not told that it was recovered, and gets nothing of what it has missed.
func TestClusterNoRecovery(t *testing.T) {
	ns := recoverables(t, 2, nil)
	n := ns.all[1].Of("/")
	for i, srv := range ns.all {
		r := newReturning(t, ns.at[0], "")
		ns.reach(n.All(), 1)
		r.away(ns.all[0])
		ns.bus.Cut(ns.all[0].Node())
		ns.deaf(ns.all[0], true)
		_ = n.Emit("missed")
		ns.bus.Heal(ns.all[0].Node())
		ns.deaf(ns.all[0], false)
		ns.reach(n.All(), 0)
		r.c = ns.at[i]
		if r.connect("") {
			t.Errorf("recovered by node %d", i)
		}
		r.expect("recovery")
		ns.reach(n.All(), 1)
		_ = n.Emit("new")
		r.expect("new")
		r.away(srv)
	}
}

// TestClusterLeavesLate: a server whose Shutdown is late says goodbye all the same: the others
// do not take it for one that has fallen silent.
func TestClusterLeavesLate(t *testing.T) {
	ns := clustered(t, 2, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ns.at[0].Join("")
	if err := ns.all[0].Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	from := time.Now()
	until(t, "the goodbye at the other node", func() bool { return len(ns.all[1].node.Nodes()) == 0 })
	if took := time.Since(from); took > 2*clusterHeartbeat {
		t.Errorf("after %v", took)
	}
}
