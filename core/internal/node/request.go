package node

import (
	"maps"
	"slices"
	"sync"

	"github.com/siokit/siokit/core/cluster"
)

// maxHeard is how many nodes may answer one request, and maxAsked how many clients of one
// node, and clients without an id of all nodes, so that nobody's answers use up the memory.
const (
	maxHeard = 4096
	maxAsked = 1 << 20
)

// request is one question to the other nodes. It is over when all of them have answered, or
// nobody waits any more.
type request struct {
	kind      cluster.Kind
	namespace string
	to        string // the one node that is asked, "" for all
	single    bool   // the first ack is the last
	each      func(m *cluster.Message)

	mu      sync.Mutex
	waiting map[string]struct{} // nodes whose answer is awaited by name
	others  int                 // how many answers of nodes of other kinds are awaited
	heard   map[string]struct{} // nodes that have answered
	parts   map[string]parts    // nodes of whose answers a part has come
	acks    map[string]*acks    // of clients, that are to come still, by their nodes
	unnamed int                 // clients among them whose ids are not known, also those that have answered
	lost    []string            // nodes that have gone, or cannot answer, and owe an answer
	why     error               // why one of them cannot
	over    bool
	err     error         // why it is over, nil when all have answered
	done    chan struct{} // closed when it is over
}

// acks are the clients of one node that have not answered.
type acks struct {
	n   int
	ids map[string]struct{} // nil when the node does not say them
}

func newRequest(m *cluster.Message, each func(m *cluster.Message)) *request {
	return &request{
		kind: m.Kind, namespace: m.Namespace, to: m.To, single: m.Single, each: each,
		waiting: make(map[string]struct{}), heard: make(map[string]struct{}), done: make(chan struct{}),
	}
}

// answered takes an answer. What was answered before, by the same node or the same client,
// is ignored.
func (r *request) answered(m *cluster.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.to != "" && m.Node != "" && m.Node != r.to {
		return
	}
	switch {
	case m.Kind == cluster.Acked:
		if !r.ack(m) {
			return
		}
	case m.Kind == cluster.Answer && r.kind != cluster.ServerEvent:
		r.cannot(m)
		return
	case !r.part(m):
		return
	}
	number := max(0, m.Number)
	if m.Kind == cluster.Asked {
		number = r.expectAcks(m)
	}
	if number != m.Number {
		c := *m
		c.Number = number
		m = &c
	}
	r.each(m)
	if m.Kind == cluster.Acked && r.single {
		r.end(nil)
	}
	r.check()
}

// node marks a node as heard; r.mu is held. A node without a name, or with a name that no
// node of siokit has, is one of the others. One of siokit that is not awaited has come after
// the request was made: its answer stands for nobody's.
func (r *request) node(name string) bool {
	if name == "" {
		r.others--
		return true
	}
	if _, again := r.heard[name]; again || len(r.heard) >= maxHeard {
		return false
	}
	r.heard[name] = struct{}{}
	if len(name) != NameLength {
		r.others--
	}
	delete(r.waiting, name)
	return true
}

// expectAcks notes the clients that a node has asked, and returns how many of them may answer;
// r.mu is held. Nodes without a name are counted together.
func (r *request) expectAcks(m *cluster.Message) int {
	if r.acks == nil {
		r.acks = make(map[string]*acks)
	}
	a := r.acks[m.Node]
	if a == nil {
		a = new(acks)
		r.acks[m.Node] = a
	}
	if len(m.Names) > 0 && m.Node != "" {
		if a.ids == nil {
			a.ids = make(map[string]struct{}, min(len(m.Names), maxAsked))
		}
		before := len(a.ids)
		for _, id := range m.Names[:min(len(m.Names), maxAsked-before)] {
			a.ids[id] = struct{}{}
		}
		a.n += len(a.ids) - before
		return max(m.Number, len(m.Names))
	}
	n := min(maxAsked-r.unnamed, max(0, m.Number))
	r.unnamed += n
	a.n += n
	return n
}

// ack notes the ack of a client; r.mu is held. It reports false for one that was not asked,
// or has answered.
func (r *request) ack(m *cluster.Message) bool {
	a := r.acks[m.Node]
	if a == nil || a.n == 0 {
		return r.single
	}
	if a.ids != nil {
		if len(m.Names) != 1 {
			return false
		}
		if _, asked := a.ids[m.Names[0]]; !asked {
			return false
		}
		delete(a.ids, m.Names[0])
	}
	a.n--
	return true
}

// gone gives up the answers of a node, with an error that makes it one of those missing.
func (r *request) gone(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	owes := false
	if _, named := r.waiting[name]; named {
		delete(r.waiting, name)
		owes = true
	}
	if a := r.acks[name]; a != nil && a.n > 0 {
		a.n, a.ids = 0, nil
		owes = true
	}
	if owes && err != nil {
		r.loses(name)
	}
	r.check()
}

// asked is for a request that is published: one that nobody is to answer is over.
func (r *request) asked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.check()
}

// check ends the request when nothing more is awaited; r.mu is held.
func (r *request) check() {
	if r.over || len(r.waiting) > 0 || r.others > 0 {
		return
	}
	for _, a := range r.acks {
		if a.n > 0 {
			return
		}
	}
	if len(r.lost) == 0 {
		r.end(nil)
		return
	}
	r.end(&cluster.Missing{Nodes: slices.Sorted(slices.Values(r.lost)), Err: first(r.why, cluster.ErrGone)})
}

// loses notes a node that owes an answer; r.mu is held.
func (r *request) loses(name string) {
	if !slices.Contains(r.lost, name) {
		r.lost = append(r.lost, name)
	}
}

func (r *request) end(err error) {
	r.over, r.err = true, err
	close(r.done)
}

// fail ends the request, and says who is missing.
func (r *request) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	missing := &cluster.Missing{Others: max(0, r.others), Err: err}
	names := make(map[string]struct{})
	for name := range r.waiting {
		names[name] = struct{}{}
	}
	for _, name := range r.lost {
		names[name] = struct{}{}
	}
	for name, a := range r.acks {
		if name != "" && a.n > 0 { // one without a name has said how many clients it has asked
			names[name] = struct{}{}
		}
	}
	missing.Nodes = slices.Sorted(maps.Keys(names))
	r.end(missing)
}
