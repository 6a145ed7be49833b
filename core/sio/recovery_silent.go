package sio

import (
	"context"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// silences are the nodes that had a question about a session for takeoverTime, have not answered,
// and of which nothing has come since: they were killed, most likely, and the cluster has not noticed
// yet. Whoever asks later does not wait for them. So a node that many clients come to after a kill
// waits once, and not for each of them.
type silences struct {
	mu    sync.Mutex // a leaf, but for what Node.Heard takes
	since map[string]time.Time
}

// silent reports whether a node is one of these.
func (r *recovery) silent(name string) bool {
	sl := &r.silences
	sl.mu.Lock()
	defer sl.mu.Unlock()
	since, silent := sl.since[name]
	if !silent {
		return false
	}
	if last, there := r.srv.node.Heard(name); !there || last.After(since) {
		delete(sl.since, name)
		return false
	}
	return true
}

// inquiry is a question to other nodes, as far as it is about who is silent.
type inquiry struct {
	r       *recovery
	began   time.Time
	changes uint64 // see Node.Deaf
	open    map[string]struct{}
}

// inquire begins a question to nodes, without those that are silent.
func (r *recovery) inquire(names ...string) inquiry {
	q := inquiry{r: r, began: time.Now(), open: make(map[string]struct{})}
	q.changes, _ = r.srv.node.Deaf()
	for _, name := range names {
		if !r.silent(name) {
			q.open[name] = struct{}{}
		}
	}
	return q
}

// over notes who is silent, when the question is over.
func (q *inquiry) over() {
	node := q.r.srv.node
	changes, deaf := node.Deaf()
	if time.Since(q.began) < takeoverTime || deaf || changes != q.changes {
		return // they had less time, or what they said could not come
	}
	sl := &q.r.silences
	sl.mu.Lock()
	defer sl.mu.Unlock()
	for name := range sl.since { // who has gone
		if _, there := node.Heard(name); !there {
			delete(sl.since, name)
		}
	}
	for name := range q.open {
		if last, there := node.Heard(name); there && !last.After(q.began) {
			if sl.since == nil {
				sl.since = make(map[string]time.Time)
			}
			sl.since[name] = q.began
		}
	}
}

// askAll asks the other nodes of siokit for a session, and reports whether one of them has it, or
// has it saved by now.
func (r *recovery) askAll(ctx context.Context, s *Socket, pid string) bool {
	n := r.srv.node
	names, settled := n.Nodes(), n.Settled()
	q := r.inquire(names...)
	if settled && len(q.open) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, takeoverTime)
	defer cancel()
	found, some := false, settled && len(q.open) < len(names)
	m := cluster.Message{Kind: cluster.Count, Rooms: asksFor(s, pid), Timeout: takeoverTime}
	_ = n.Request(ctx, &m, func(a *cluster.Message) {
		delete(q.open, a.Node)
		if found = found || a.Number > 0; found || some && len(q.open) == 0 {
			cancel()
		}
	})
	q.over()
	return found
}

// askOne asks one node for a session.
func (r *recovery) askOne(ctx context.Context, s *Socket, pid, name string) (has, answered bool) {
	q := r.inquire(name)
	if len(q.open) == 0 {
		return false, false
	}
	ctx, cancel := context.WithTimeout(ctx, takeoverTime)
	defer cancel()
	m := cluster.Message{Kind: cluster.Count, To: name, Rooms: asksFor(s, pid), Timeout: takeoverTime}
	_ = r.srv.node.Request(ctx, &m, func(a *cluster.Message) {
		delete(q.open, name)
		answered, has = true, a.Number > 0
	})
	q.over()
	return has, answered
}
