package clustertest

import (
	"fmt"
	"testing"
	"time"
)

// Away takes the bus away from all nodes and gives it back, when nothing is under way and under
// traffic. take and give are called twice each.
//
// What is emitted while the bus is away is lost, counted exactly, and reported as one incident of
// each node. Of what was under way at that moment the number is not known better than by one
// batch; and what a bus that Keeps has taken, and nobody has read, is lost with it. A node that
// comes back later than others misses what those emit until then. Nothing comes twice, nor late,
// and nothing else is missing.
func Away(t *testing.T, bus Bus, take, give func()) {
	var ns []*Node
	for i := range 3 {
		ns = append(ns, Serve(t, i, bus.Backend()))
	}
	together(t, ns...)
	for _, n := range ns {
		n.Emit(100)
	}
	quiet(t, ns...)
	take()
	for i, n := range ns {
		n.begins(1)
		n.Emit(50 + i)
	}
	give()
	for i, n := range ns {
		if got := n.incident(1); !got.counts(50 + i) {
			t.Errorf("node %d has reported %+v, and %d numbers are lost", i, got, 50+i)
		}
	}
	together(t, ns...)
	for _, n := range ns {
		n.Emit(10)
	}
	quiet(t, ns...)
	for i, to := range ns {
		for k, from := range ns {
			list := to.missing(from)
			if k != i && (len(list) != 50+k || list[0] != 100 || list[len(list)-1] != 149+k) || k == i && len(list) > 0 {
				t.Errorf("the client of node %d misses of node %d: %v", i, k, list)
			}
		}
	}
	began := time.Now()
	more, stop := traffic(ns...)
	more(500)
	take()
	kept := make([]int, len(ns)) // what was emitted until then may have gone with the bus, unread
	for k, n := range ns {
		if bus.Keeps {
			kept[k] = n.total()
		}
	}
	for _, n := range ns {
		n.begins(2)
	}
	more(500)
	give()
	var lost []Incident
	for _, n := range ns {
		lost = append(lost, n.incident(2))
	}
	more(100)
	stop()
	verify(t, ns...)
	uncounted := batch + 1
	for k, from := range ns {
		text := fmt.Sprintf("of node %d, %d emitted in %v: counted as lost %d, missing", k, from.total()-160-k, time.Since(began).Round(100*time.Millisecond), lost[k].Lost)
		least := from.total()
		for _, to := range ns {
			if to != from {
				n, unread := gap(t, from, to, 160+k, lost[k].Lost), within(to.missing(from), 160+k, kept[k]-1)
				text, least = text+fmt.Sprintf(" %d (%d unread)", n, unread), min(least, n-unread)
			}
		}
		t.Log(text)
		uncounted = min(uncounted, least-lost[k].Lost)
	}
	if uncounted > batch { // of the node that came back last nobody misses more than it has counted
		t.Error("each node has counted too few")
	}
}

// gap is how many numbers from first on a client misses of another node. They are one gap: of
// what was counted as lost all are missing, but for what was under way.
func gap(t *testing.T, from, to *Node, first, lost int) int {
	t.Helper()
	list := to.missing(from)
	for len(list) > 0 && list[0] < first {
		list = list[1:]
	}
	if len(list) > 0 && list[len(list)-1]-list[0]+1-len(list) > batch {
		t.Errorf("the client of node %d misses %d numbers of node %d between %d and %d", to.number, len(list), from.number, list[0], list[len(list)-1])
	}
	if len(list) < lost-batch {
		t.Errorf("the client of node %d misses %d of node %d, which has counted %d as lost", to.number, len(list), from.number, lost)
	}
	return len(list)
}

// Cut cuts one node off the bus, when nothing is under way and under traffic, with cut, and heals
// that with heal. cutOff makes the backend of that node.
//
// The other nodes notice nothing but that one is away: they report nothing, and their clients miss
// nothing of each other. What the node that is cut off emits meanwhile is lost, counted exactly,
// and reported as one incident. With waits, what is for that node may wait in the network, and be
// there when the node has not given up its connection yet.
func Cut(t *testing.T, bus, cutOff Bus, cut, heal func(), waits bool) {
	ns := []*Node{Serve(t, 0, bus.Backend()), Serve(t, 1, bus.Backend()), Serve(t, 2, cutOff.Backend())}
	alone := ns[2]
	together(t, ns...)
	for _, n := range ns {
		n.Emit(100)
	}
	quiet(t, ns...)
	cut()
	alone.begins(1)
	for i, n := range ns {
		n.Emit(60 + i)
	}
	ns[1].await("the numbers of the other", func() bool { return len(ns[1].got[0]) == 160 })
	ns[0].await("the numbers of the other", func() bool { return len(ns[0].got[1]) == 161 })
	heal()
	if got := alone.incident(1); !got.counts(62) {
		t.Errorf("the node that was cut off has reported %+v, and 62 numbers are lost", got)
	}
	together(t, ns...)
	for _, n := range ns {
		n.Emit(10)
	}
	quiet(t, ns...)
	for i, n := range ns[:2] {
		if list := n.missing(alone); len(list) != 62 || list[0] != 100 {
			t.Errorf("the client of node %d misses of the node that was cut off: %v", i, list)
		}
		want := 60 + i
		if bus.Keeps {
			want = 0
		}
		if list := alone.missing(n); len(list) != want && !(waits && len(list) < want) || len(list) > 0 && list[0] < 100 {
			t.Errorf("the client of the node that was cut off misses of node %d: %v", i, list)
		}
	}
	more, stop := traffic(ns...)
	more(500)
	cut()
	alone.begins(2)
	more(500)
	heal()
	lost := alone.incident(2)
	more(100)
	stop()
	verify(t, ns...)
	nothing(t, ns[:2]...)
	there, own := 0, 0 // missing at the node that was cut off, under traffic; what it has added itself
	for i, n := range ns[:2] {
		n.well()
		to, from := gap(t, alone, n, 172, lost.Lost), within(alone.missing(n), 170+i, n.total())
		t.Logf("node %d and the one that was cut off under traffic: of %d from there %d are missing and %d were counted; of %d to there %d are missing",
			i, alone.total()-172, to, lost.Lost, n.total()-170-i, from)
		if to > lost.Lost+batch || lost.Lost == 0 {
			t.Errorf("the client of node %d misses %d, counted are %d", i, to, lost.Lost)
		}
		there, own = there+from, alone.total()-172-to
	}
	// What is dropped of a stream is counted, whoever has added it: what this node has added itself
	// and not read yet, too.
	most, missed := there+batch, lost.Missed
	if bus.Keeps {
		most = there + own
		// What is dropped while the node reads what has waited may be an incident of its own.
		alone.await(fmt.Sprintf("that %d were counted as missed", there), func() bool {
			missed = 0
			for _, i := range alone.over[1:] {
				missed += i.Missed
			}
			return missed >= there
		})
	}
	if missed > most {
		t.Errorf("%d are missing at the node that was cut off, %d were counted", there, missed)
	}
}
