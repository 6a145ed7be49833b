package node

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// maxRequests is how many requests of one node may be open.
const maxRequests = 10_000

// requests are those that this node has made and that are not over.
type requests struct {
	mu   sync.Mutex
	last uint64
	open map[string]*request
}

// request is one question to the other nodes. It is over when all of them have answered, or
// nobody waits any more.
type request struct {
	namespace string
	each      func(m *cluster.Message)

	mu       sync.Mutex
	waiting  map[string]struct{} // nodes whose answer is awaited by name
	others   int                 // how many more answers are awaited
	heard    map[string]struct{} // nodes that have answered
	nameless int                 // answers of nodes without a name
	clients  int                 // clients that are to answer still
	known    []string            // nodes that may be among the others
	over     bool
	err      error         // why it is over, nil when all have answered
	done     chan struct{} // closed when it is over
}

func (rs *requests) add(r *request) (id string, ok bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.open) >= maxRequests {
		return "", false
	}
	if rs.open == nil {
		rs.open = make(map[string]*request)
	}
	rs.last++
	id = strconv.FormatUint(rs.last, 36)
	rs.open[id] = r
	return id, true
}

func (rs *requests) remove(id string) {
	rs.mu.Lock()
	delete(rs.open, id)
	rs.mu.Unlock()
}

func (rs *requests) get(id string) *request {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.open[id]
}

func (rs *requests) all() []*request {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.Collect(maps.Values(rs.open))
}

// answered takes an answer. Those of nodes that have answered already are ignored, but for
// the acks of clients.
func (r *request) answered(m *cluster.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	if m.Kind == cluster.Acked {
		r.clients--
	} else if !r.node(m.Node) {
		return
	}
	if m.Kind == cluster.Asked {
		r.clients += max(0, m.Number)
	}
	r.each(m)
	r.check()
}

// node marks a node as heard; r.mu is held. A node without a name is one of the others.
func (r *request) node(name string) bool {
	if name != "" {
		if _, again := r.heard[name]; again {
			return false
		}
		r.heard[name] = struct{}{}
		if _, named := r.waiting[name]; named {
			delete(r.waiting, name)
			return true
		}
	} else {
		r.nameless++
	}
	r.others--
	return true
}

// gone gives up the answer of a node.
func (r *request) gone(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, name)
	r.check()
}

// expect sets how many others answer in all, of which alive says who is still there.
func (r *request) expect(total int, alive func(name string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others = total - r.nameless
	for name := range r.heard {
		if alive(name) {
			r.others--
		}
	}
	r.check()
}

// check ends the request when nothing more is awaited; r.mu is held.
func (r *request) check() {
	if !r.over && len(r.waiting) == 0 && r.others <= 0 && r.clients <= 0 {
		r.over = true
		close(r.done)
	}
}

// fail ends the request, and says who is missing.
func (r *request) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	missing := &cluster.Missing{Nodes: slices.Sorted(maps.Keys(r.waiting)), Others: max(0, r.others), Err: err}
	silent := slices.DeleteFunc(slices.Clone(r.known), func(name string) bool { _, heard := r.heard[name]; return heard })
	if len(silent) <= missing.Others { // else it is not known which of them were to answer
		missing.Nodes, missing.Others = append(missing.Nodes, silent...), missing.Others-len(silent)
	}
	r.over, r.err = true, missing
	close(r.done)
}

// Request publishes m, a request, and hands every answer to each, one at a time, until all
// nodes have answered, or ctx or the time for requests is over, or the bus goes away. each
// must not block, and is not called after Request has returned; what it is given is valid
// until it returns. The error says who has not answered: a *cluster.Missing.
//
// The answers to an Emit are, from each node, an Asked, which says how many Acked are to
// come.
func (n *Node) Request(ctx context.Context, m *cluster.Message, each func(m *cluster.Message)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.patience(m), cluster.ErrRequestTimeout)
	defer cancel()
	if err := n.settled(ctx); err != nil {
		return err
	}
	r := &request{namespace: m.Namespace, each: each, heard: make(map[string]struct{}), waiting: make(map[string]struct{}), done: make(chan struct{})}
	if err := n.audience(ctx, m.Namespace, r); err != nil {
		return err
	}
	id, ok := n.requests.add(r) // before anybody can answer
	if !ok {
		return errTooManyRequests
	}
	defer n.requests.remove(id)
	q := *m
	q.ID = id
	n.pruned(r) // who has gone since it was asked for
	if !n.Publish(&q) {
		r.fail(cluster.ErrDown)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		r.fail(context.Cause(ctx))
	case <-n.ctx.Done():
		r.fail(cluster.ErrClosed)
	}
	r.mu.Lock() // each is not running any more
	defer r.mu.Unlock()
	return r.err
}

// pruned takes out of a request who has gone while it was made, and ends one that asks
// nobody.
func (n *Node) pruned(r *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.waiting {
		if !n.members.alive(name) {
			delete(r.waiting, name)
		}
	}
	r.check()
}

// patience is how long a request may take. One that clients answer takes as long as they may.
func (n *Node) patience(m *cluster.Message) time.Duration {
	if m.Timeout > 0 {
		return m.Timeout
	}
	return n.opts.RequestTimeout
}

// audience sets who is to answer.
func (n *Node) audience(ctx context.Context, namespace string, r *request) error {
	if n.counter != nil {
		total, err := n.counter.Nodes(ctx, namespace)
		r.others, r.known = max(0, total-1), n.members.names()
		return err
	}
	for _, name := range n.members.names() {
		r.waiting[name] = struct{}{}
	}
	return nil
}

// recount asks the backend again how many nodes answer: one of them has left.
func (n *Node) recount() {
	open := n.requests.all()
	if len(open) == 0 {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.opts.PublishTimeout)
		defer cancel()
		for _, r := range open {
			if total, err := n.counter.Nodes(ctx, r.namespace); err == nil {
				r.expect(max(0, total-1), n.members.alive)
			}
		}
	}()
}
