package clustertest

import (
	"fmt"
	"testing"
	"time"
)

// together waits until each node reaches all clients, by the room too.
func together(t *testing.T, ns ...*Node) {
	t.Helper()
	for _, n := range ns {
		if n.Server == nil {
			continue
		}
		for until := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			got, err := n.Of("/").To("r").Count(t.Context())
			if got == len(ns) && err == nil {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("node %d reaches %d clients of %d: %v", n.number, got, len(ns), err)
			}
		}
	}
}

// quiet waits until all clients have got all that was emitted, so that nothing is under way.
func quiet(t *testing.T, ns ...*Node) {
	t.Helper()
	together(t, ns...)
	for _, from := range ns {
		last := from.total() - 1
		for _, to := range ns {
			to.await(fmt.Sprintf("number %d of node %d", last, from.number), func() bool {
				list := to.got[from.number]
				return last < 0 || len(list) > 0 && list[len(list)-1] == last
			})
		}
	}
}

// verify waits until all clients have got all that will come: each all of its own node, of others
// in order and nothing twice.
func verify(t *testing.T, ns ...*Node) {
	t.Helper()
	together(t, ns...)
	for _, n := range ns {
		n.end()
	}
	for _, n := range ns {
		n.await("the ends", func() bool { return len(n.ends) >= len(ns) })
		n.mu.Lock()
		for from, list := range n.got {
			for i := 1; i < len(list); i++ {
				if list[i] <= list[i-1] {
					t.Errorf("the client of node %d got %d of node %d behind %d", n.number, list[i], from, list[i-1])
				}
			}
		}
		n.mu.Unlock()
		if missing := n.missing(n); len(missing) > 0 {
			t.Errorf("the client of node %d has not got %d that its own node has emitted", n.number, len(missing))
		}
	}
}

// missing are the numbers that a client has not got of another node.
func (n *Node) missing(from *Node) (list []int) {
	total := from.total()
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got[from.number]
	for k := range total {
		if len(got) > 0 && got[0] == k {
			got = got[1:]
		} else {
			list = append(list, k)
		}
	}
	return list
}

// nothing is missing between these nodes.
func nothing(t *testing.T, ns ...*Node) {
	t.Helper()
	for _, from := range ns {
		for _, to := range ns {
			if list := to.missing(from); len(list) > 0 {
				t.Errorf("the client of node %d misses %d of node %d, from %d to %d", to.number, len(list), from.number, list[0], list[len(list)-1])
			}
		}
	}
}

// within counts the numbers from first, before last.
func within(list []int, first, last int) (n int) {
	for _, k := range list {
		if k >= first && k < last {
			n++
		}
	}
	return n
}
