package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// maxRequests is how many requests of one node may be open.
const maxRequests = 10_000

var errTooManyRequests = errors.New("cluster: too many open requests")

// requests are those that this node has made and that are not over.
type requests struct {
	prefix string // of the ids: no other node has it

	mu   sync.Mutex
	last uint64
	open map[string]*request
}

func (rs *requests) add(r *request) (id string, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.open) >= maxRequests {
		return "", errTooManyRequests
	}
	if rs.open == nil {
		rs.open = make(map[string]*request)
	}
	rs.last++
	id = rs.prefix + strconv.FormatUint(rs.last, 36)
	rs.open[id] = r
	return id, nil
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

// unsaid ends the requests among messages that were not published.
func (rs *requests) unsaid(ms []*cluster.Message, err error) {
	for _, m := range ms {
		if m.ID == "" {
			continue
		}
		switch m.Kind {
		case cluster.Emit, cluster.Fetch, cluster.Count, cluster.ListRooms, cluster.ServerEvent:
			if r := rs.get(m.ID); r != nil {
				r.fail(err)
			}
		}
	}
}

// Request publishes m, a request, and hands every answer to each, one at a time, until all
// nodes have answered, or ctx or the time for requests is over, or the bus goes away. each
// must not block, nor make a request; it is not called after Request has returned, and
// what it is given is valid until it returns. The error says who has not answered: a
// *cluster.Missing. A node that has left in order is not missed.
//
// The answers to an Emit are, from each node, an Asked, which says how many Acked are to
// come; none is handed over that was not asked for. With m.To only that node is asked.
func (n *Node) Request(ctx context.Context, m *cluster.Message, each func(m *cluster.Message)) error {
	return n.request(ctx, m, each, true)
}

// Poll is Request for what nodes of this kind alone answer: nobody waits for others. It takes as long
// as ctx.
func (n *Node) Poll(ctx context.Context, m *cluster.Message, each func(m *cluster.Message)) error {
	return n.request(ctx, m, each, false)
}

func (n *Node) request(ctx context.Context, m *cluster.Message, each func(m *cluster.Message), others bool) error {
	if others {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, n.patience(m), cluster.ErrRequestTimeout)
		defer cancel()
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer context.AfterFunc(n.staying, func() { leave(cluster.ErrClosed) })()
	defer leave(nil)
	r := newRequest(m, each)
	if err := n.Ready(ctx); err != nil {
		return &cluster.Missing{Err: err}
	}
	if others && m.To == "" && n.counter != nil {
		if err := n.countOthers(ctx, r); err != nil {
			return err
		}
	}
	id, err := n.open(r)
	if err != nil {
		return err
	}
	defer n.requests.remove(id)
	n.emitter.asks(m.Namespace)
	defer n.emitter.asked(m.Namespace)
	q := *m
	q.ID = id
	if _, err := n.publish(&q, ""); err != nil {
		r.fail(err)
	}
	r.asked()
	select {
	case <-r.done:
	case <-ctx.Done():
		r.fail(context.Cause(ctx))
	}
	r.mu.Lock() // each is not running any more
	defer r.mu.Unlock()
	return r.err
}

// patience is how long a request may take. One that clients answer takes as long as they may.
func (n *Node) patience(m *cluster.Message) time.Duration {
	if m.Timeout > 0 {
		return m.Timeout
	}
	return n.opts.RequestTimeout
}

// countOthers sets how many nodes of other kinds are to answer.
func (n *Node) countOthers(ctx context.Context, r *request) error {
	count, err := n.counter.Others(ctx, r.namespace)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &cluster.Missing{Nodes: n.members.names(), Err: err}
	}
	r.others = max(0, count)
	return nil
}

// open sets who is to answer, and takes up the request before anybody can. Who leaves meanwhile
// is either not asked, or is taken out when r.mu is released: lost takes a node out of the members
// before it goes through the open requests, and this is the other way round.
func (n *Node) open(r *request) (id string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, err = n.requests.add(r); err != nil {
		return "", &cluster.Missing{Nodes: n.members.names(), Err: err}
	}
	names := n.members.names()
	if r.to != "" {
		if !slices.Contains(names, r.to) {
			n.requests.remove(id)
			return "", &cluster.Missing{Nodes: []string{r.to}, Err: cluster.ErrGone}
		}
		names = []string{r.to}
	}
	for _, name := range names {
		r.waiting[name] = struct{}{}
	}
	return id, nil
}
