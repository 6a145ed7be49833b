package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"

	"github.com/siokit/siokit/core/cluster"
)

// The rows of servers that leave, one after the other. Nothing runs on the world afterwards.
const (
	shutdownRow = "requests after a siokit server has shut down"
	killedRow   = "requests open when a Node process is killed"
	afterRow    = "requests after a Node process was killed"
	endRow      = "requests after a Node process has ended in order"
)

func (w *world) lifecycle() {
	w.t.Helper()
	go1, go2, node1, node2 := w.servers[0].(*goServer), w.servers[1].(*goServer), w.servers[2].(*nodeActor), w.servers[3].(*nodeActor)
	em := w.actors[len(w.actors)-1].(*goActor)
	go2.stop(w.t)
	w.left(go2)
	w.whole(shutdownRow, "siokit", go1, node1, em)
	w.killed([]*goActor{&go1.goActor, em}, node1, node2)
	w.left(node2)
	w.whole(afterRow, "node", go1, node1, em)
	w.must(node1.do(nil, "end", nil))
	w.must(node1.cmd.Wait())
	w.left(node1)
	w.whole(endRow, "node", go1, em)
}

// left takes a server out of the world, with its clients.
func (w *world) left(s server) {
	w.servers = slices.DeleteFunc(w.servers, func(o server) bool { return o.name() == s.name() })
	w.clients = slices.DeleteFunc(w.clients, func(c *client) bool { return c.at.name() == s.name() })
}

func (w *world) cells(row string, a actor) *cells {
	return &cells{world: w, op: operation{name: row}, by: a, bad: map[string]map[string][]string{}, all: map[string]map[string]string{}}
}

// whole checks that requests have the answers of all who are there, and wait for nobody who has left.
func (w *world) whole(row, left string, by ...asker) {
	w.t.Helper()
	for _, a := range by {
		x := w.cells(row, a)
		list, err := a.sockets(target{})
		x.check(left, "", err == nil && len(list) == len(w.clients), "%d sockets instead of %d: %v", len(list), len(w.clients), err)
		n, err := a.counted(target{})
		x.check(left, "", err == nil && n == len(w.clients), "count %d instead of %d: %v", n, len(w.clients), err)
		r, err := a.askServers("ask servers", "who is there")
		others := len(x.others())
		x.check(left, "", err == nil && r.Err == "" && len(r.Answers) == others, "answers %v of %d servers: %s %v", r.Answers, others, r.Err, err)
		r, err = a.call(target{}, patience, "ask", "who is there")
		x.check(left, "", err == nil && r.Err == "" && len(r.Answers) == len(w.clients), "%d answers of %d clients: %s %v", len(r.Answers), len(w.clients), r.Err, err)
		x.report()
	}
}

// killed kills a process of Node that owes answers to several: the acks of its clients, and its sockets.
func (w *world) killed(by []*goActor, node1, node2 *nodeActor) {
	w.t.Helper()
	control := w.cells(killedRow, node1)
	var silent, theirs []string // names of the clients at node2, ids of those at node1
	for _, c := range w.clients {
		switch c.at.name() {
		case node2.name():
			silent = append(silent, c.name)
		case node1.name():
			theirs = append(theirs, c.id)
		}
	}
	w.must(w.peer.do(nil, "silent", map[string]any{"names": silent, "on": true}))
	var ended, answered sync.WaitGroup
	lists := make([]*cells, len(by))
	for i, a := range by {
		x := w.cells(killedRow, a)
		lists[i] = x
		ended.Go(func() {
			r, err := a.call(target{}, 2*silence, "ask", "killed, asks "+a.name())
			unnamed := len(r.Silent) - len(slices.DeleteFunc(slices.Clone(r.Silent), func(id string) bool { return id == "" }))
			x.check("node", "", err == nil && len(r.Answers) == len(w.clients)-len(silent) && unnamed == len(silent) && len(r.Silent) == unnamed,
				"%d answers of clients, silent %q: %s %v", len(r.Answers), r.Silent, r.Err, err)
		})
	}
	var heard bool
	for _, a := range by {
		w.must(w.peer.do(&heard, "got", map[string]any{"names": silent, "args": []any{"ask", "killed, asks " + a.name()}, "ms": patience.Milliseconds()}))
		if !heard {
			w.t.Error("not all clients have heard the question of ", a.name())
		}
	}
	// Node writes a question to its clients before it tells the bus how many they are. The note
	// comes behind that.
	w.must(node2.note("all have heard"))
	if n, err := node1.noted(patience, "all have heard"); n != 1 || err != nil {
		w.t.Errorf("node1 has noted it %d times: %v", n, err)
	}
	w.must(node2.cmd.Process.Signal(syscall.SIGSTOP))
	errs, counts := make([]error, len(by)), make([]int, len(by))
	for i, a := range by {
		answered.Add(1)
		ended.Go(func() {
			left := len(theirs)
			for s, err := range a.namespace("/").All().Sockets(context.Background()) {
				if errs[i] = err; err != nil {
					continue
				}
				counts[i]++
				if slices.Contains(theirs, s.ID()) {
					if left--; left == 0 {
						answered.Done()
					}
				}
			}
			if left > 0 {
				answered.Done()
			}
		})
	}
	ended.Go(func() {
		_, err := node1.sockets(target{})
		control.check("node", "", err != nil, "no error")
	})
	answered.Wait()
	w.must(node2.cmd.Process.Kill())
	_ = node2.cmd.Wait()
	ended.Wait()
	for i, x := range lists {
		var missing *cluster.Missing
		x.check("node", "", errors.As(errs[i], &missing) && len(missing.Nodes)+missing.Others == 1 && counts[i] == len(w.clients)-len(silent),
			"%d sockets: %v", counts[i], errs[i])
		x.report()
	}
	control.report()
}
