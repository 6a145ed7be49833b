package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
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
	go1, go2, node1, node2 := w.servers[0].(*goActor), w.servers[1].(*goActor), w.servers[2].(*nodeActor), w.servers[3].(*nodeActor)
	go2.stop(w.t)
	w.left(go2)
	w.whole(shutdownRow, "siokit", go1, node1)
	w.killed(go1, node1, node2)
	w.left(node2)
	w.whole(afterRow, "node", go1, node1)
	w.must(node1.do(nil, "end", nil))
	w.must(node1.cmd.Wait())
	w.left(node1)
	w.whole(endRow, "node", go1)
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
func (w *world) whole(row, left string, by ...server) {
	w.t.Helper()
	for _, a := range by {
		x := w.cells(row, a)
		list, err := a.sockets(target{})
		x.check(left, "", err == nil && len(list) == len(w.clients), "%d sockets instead of %d: %v", len(list), len(w.clients), err)
		n, err := a.counted(target{})
		x.check(left, "", err == nil && n == len(w.clients), "count %d instead of %d: %v", n, len(w.clients), err)
		r, err := a.askServers("ask servers", "who is there")
		x.check(left, "", err == nil && r.Err == "" && len(r.Answers) == len(w.servers)-1, "answers %v of %d servers: %s %v", r.Answers, len(w.servers)-1, r.Err, err)
		r, err = a.call(target{}, patience, "ask", "who is there")
		x.check(left, "", err == nil && r.Err == "" && len(r.Answers) == len(w.clients), "%d answers of %d clients: %s %v", len(r.Answers), len(w.clients), r.Err, err)
		x.report()
	}
}

// killed kills a process of Node that owes answers: the acks of its clients, and its sockets.
func (w *world) killed(go1 *goActor, node1, node2 *nodeActor) {
	w.t.Helper()
	x, control := w.cells(killedRow, go1), w.cells(killedRow, node1)
	var silent []*client
	for _, c := range w.clients {
		if c.at.name() == node2.name() {
			silent = append(silent, c)
		}
	}
	w.must(w.peer.do(nil, "silent", map[string]any{"names": namesOf(silent), "on": true}))
	var all sync.WaitGroup
	all.Go(func() {
		r, err := go1.call(target{}, 2*silence, "ask", "killed")
		unnamed := len(r.Silent) - len(slices.DeleteFunc(slices.Clone(r.Silent), func(id string) bool { return id == "" }))
		x.check("node", "", err == nil && len(r.Answers) == len(w.clients)-len(silent) && unnamed == len(silent) && len(r.Silent) == unnamed,
			"%d answers of clients, silent %q: %s %v", len(r.Answers), r.Silent, r.Err, err)
	})
	var heard bool
	w.must(w.peer.do(&heard, "got", map[string]any{"names": namesOf(silent), "args": []any{"ask", "killed"}, "ms": patience.Milliseconds()}))
	w.must(node2.cmd.Process.Signal(syscall.SIGSTOP))
	answered := make(chan struct{})
	var again error
	var list int
	all.Go(func() {
		theirs := 0
		for s, err := range go1.srv.Of("/").All().Sockets(context.Background()) {
			if again = err; err != nil {
				continue
			}
			list++
			if _, own := s.(*sio.Socket); !own {
				if theirs++; theirs == len(silent) { // node1 has as many as node2
					close(answered)
				}
			}
		}
	})
	all.Go(func() {
		_, err := node1.sockets(target{})
		control.check("node", "", err != nil, "no error")
	})
	<-answered
	w.must(node2.cmd.Process.Kill())
	_ = node2.cmd.Wait()
	all.Wait()
	var missing *cluster.Missing
	x.check("node", "", heard && errors.As(again, &missing) && len(missing.Nodes)+missing.Others == 1 && list == len(w.clients)-len(silent),
		"clients have heard %t, %d sockets: %v", heard, list, again)
	x.report()
	control.report()
}
