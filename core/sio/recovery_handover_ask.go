package sio

import (
	"context"
	"encoding/json"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/node"
)

// What follows is the node to which a client comes back whose session another node has.

// fetch gives a socket the session that its client names, from another node. Nil: there is none, or
// it cannot be had whole.
func (r *recovery) fetch(s *Socket, pid, offset string) *recoverable {
	if len(pid) != node.IDLength || offset == "" || len(offset) > maxOffset || !r.reaches() {
		return nil
	}
	if r.asking.Add(1) > maxHandovers {
		r.asking.Add(-1)
		return nil
	}
	defer r.asking.Add(-1)
	q := question{PID: pid, Offset: offset, Bound: s.client.boundTo(), ns: s.ns.path}
	from, o := r.find(&q)
	if o == nil {
		return nil
	}
	q.Turn = o.Turn
	rec := r.adopt(s, &q, o)
	if rec == nil {
		return nil
	}
	if r.bring(s, rec, from, &q) {
		return rec
	}
	rec.release()
	return nil
}

// bring has the other node give the session up.
func (r *recovery) bring(s *Socket, rec *recoverable, from string, q *question) bool {
	ctx, cancel := context.WithTimeout(r.srv.life, r.times.handover)
	defer cancel()
	if r.srv.node.Listening(ctx, s.ns.busName(), rec.id) != nil || s.client.hasEnded() { // it may come back to the other node
		return false
	}
	q.Give = true
	m := r.ask(ctx, from, q)
	if m == nil {
		return false
	}
	events, past, ok := rec.log.decodeGiven(m)
	return ok && rec.take(events, past) && r.install(rec)
}

// find asks who has a session, and what it is: first the node that its secret names, and then all,
// for it may have been handed over before. A node that was killed may be the one that is named.
func (r *recovery) find(q *question) (from string, o *sessionOffer) {
	ctx, cancel := context.WithTimeout(r.srv.life, r.times.takeover)
	defer cancel()
	n := r.srv.node
	owner := n.Owner(q.PID)
	if owner != "" {
		half, enough := context.WithTimeout(ctx, r.times.takeover/2)
		o, known := r.offered(half, owner, q)
		if enough(); known {
			return owner, o
		}
	}
	asking, found := context.WithCancel(ctx)
	defer found()
	m := cluster.Message{Kind: cluster.Count, Namespace: q.ns, Rooms: []string{whoRoom + q.PID}}
	_ = n.Poll(asking, &m, func(m *cluster.Message) {
		if m.Number > 0 && from == "" {
			from = m.Node
			found() // the others need not say anything
		}
	})
	if from == "" {
		return "", nil
	}
	o, _ = r.offered(ctx, from, q)
	return from, o
}

// offered asks a node what a session is. known: the node has it, also when the offer is nil.
func (r *recovery) offered(ctx context.Context, from string, q *question) (o *sessionOffer, known bool) {
	m := r.ask(ctx, from, q)
	if m == nil { // it has not said, or has left the cluster
		return nil, false
	}
	var list []json.RawMessage
	if json.Unmarshal(m.Data, &list) != nil || len(list) == 0 {
		return nil, false
	}
	if o = new(sessionOffer); json.Unmarshal(list[0], o) != nil || len(o.ID) != node.IDLength {
		return nil, true
	}
	return o, true
}

// patience is how long a node may take for a question.
func (r *recovery) patience(q *question) time.Duration {
	if q.Give {
		return r.times.handover
	}
	return r.times.takeover
}

// ask asks one node, and returns its answer, or nil.
func (r *recovery) ask(ctx context.Context, to string, q *question) (answer *cluster.Message) {
	data, err := json.Marshal([]any{questionEvent, q})
	if err != nil {
		return nil
	}
	m := cluster.Message{Kind: cluster.ServerEvent, To: to, Namespace: q.ns, Data: data, Timeout: r.patience(q)}
	if r.srv.node.Request(ctx, &m, func(m *cluster.Message) { answer = m.Clone() }) != nil {
		return nil
	}
	return answer
}

// adopt makes a session that is in the rooms of an offer, from now on. Nobody finds it yet. Nil: not
// all of its values can be had here.
func (r *recovery) adopt(s *Socket, q *question, o *sessionOffer) *recoverable {
	values, ok := r.srv.decodeValues(o.Values)
	if !ok {
		return nil
	}
	l := r.logAlone(s.ns)
	rec := &recoverable{pid: q.PID, id: o.ID, bound: q.Bound, log: l, socket: s, ended: make(chan struct{}),
		values: values, ends: o.Ends, joined: make(map[string]stay), moved: &moved{log: l, base: q.Offset}}
	rec.until = r.wheel.Now() + max(0, min(o.Left, r.opts.MaxDisconnection))
	s.ns.again()
	l.mu.Lock()
	l.whole()
	l.position++ // no client has its offset: those before are from an earlier time at this node
	p := l.position
	rec.from, rec.all, rec.last, rec.since = p, p, p, p
	for _, room := range o.Rooms {
		rec.joined[string(room.Name)] = stay{p, room.Placed}
	}
	l.mu.Unlock()
	rec.holdRooms()
	s.ns.rooms.hold(rec.id, s.ns)
	return rec
}

// logAlone returns the log of a namespace while nothing is emitted of which it does not know.
func (r *recovery) logAlone(n *Namespace) *recoveryLog {
	r.beside.Lock()
	defer r.beside.Unlock()
	return r.log(n)
}

// take gives a session what its client has missed at the other node. It reports false when that, and
// what has come here meanwhile, is not all, or nobody knows whether it is.
func (rec *recoverable) take(events []keptEvent, past map[string]uint64) bool {
	l, m := rec.log, rec.moved
	l.mu.Lock()
	defer l.mu.Unlock()
	m.past = past
	for i := range events {
		events[i].position = rec.from
		m.size += events[i].cost
	}
	m.carried = events
	l.carried += m.size
	l.r.bytes.Add(int64(m.size))
	rec.lacks = len(events)
	rec.asked = rec.from
	if l.over || l.carried > l.r.opts.MaxBytes || l.r.bytes.Load() > int64(l.r.opts.MaxTotalBytes) || !l.whole() || !l.r.reaches() || !rec.has(rec.asked) {
		return false
	}
	behind := l.behind(rec.from)
	for i := range behind {
		if behind[i].stamp.anonymous() && rec.meant(&behind[i]) {
			return false // the other node may have had it, or not
		}
	}
	return rec.fits(rec.missed(rec.asked))
}

// install has the session found from now on.
func (r *recovery) install(rec *recoverable) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over.Load() || r.byPID[rec.pid] != nil {
		return false
	}
	r.byPID[rec.pid] = rec
	r.wheel.Set(&rec.moved.timer, rec.moved, r.kept)
	return true
}

// again is for a session in a dynamic namespace, which keeps the namespace as a client does.
func (n *Namespace) again() {
	if n.parent == nil {
		return
	}
	n.srv.mu.Lock()
	defer n.srv.mu.Unlock()
	n.refs++
}
