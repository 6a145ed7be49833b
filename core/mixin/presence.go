package mixin

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// Member is one entry of the list that Presence sends to clients, as {"id", "info"}.
type Member struct {
	ID   string `json:"id"`
	Info any    `json:"info,omitempty"`
}

// Presence tells the clients of a namespace who else is in it. A client that joins gets
// the event "presence" with the list of all members. The other clients get
// "presence-join" with the new member, and later "presence-leave" with the id of a member
// that has gone. A client neither misses a change nor gets one twice while it joins.
//
// Each socket is a member, unless Who gives several sockets the same id, such as the id
// of a user: then the first socket joins and the last one leaves.
//
// The first change is sent at once. Changes within Every after it are sent together, as
// their net result: a member that joins and leaves within that time is not mentioned. So
// a client that joins and leaves in a loop costs the others little.
//
// In a cluster (sio.Options.Cluster) the members are those of all nodes that have the
// Presence, with the same Event, in the namespace. Sockets with one id on several nodes are
// one member. A node's members leave when the node leaves the cluster or falls silent. What
// is lost on the way between nodes is noticed and asked for again, within ten seconds.
type Presence struct {
	Event string // "presence"
	// Who returns the member for a socket; the default has the socket's id and no
	// info. It is called once, when the socket has connected. The member is kept: what
	// is in it must not be changed later.
	Who func(s *sio.Socket) Member
	// Every is how long changes are collected before they are sent; 50 ms.
	Every time.Duration
	// MaxMembers is how many members a namespace has at most; 10 000. A socket that
	// joins beyond that gets the list but does not become a member. Each node of a
	// cluster counts those that it knows of: nodes that fill at the same time may have
	// some more together.
	MaxMembers int

	mu      sync.Mutex
	mixings []*mixing
}

// mixing is a Presence in a namespace of Server.Of, or in all that match a pattern.
type mixing struct {
	p     *Presence
	n     *sio.Namespace // the handlers are registered here
	event string
	node  string // of this server; "" without a cluster

	mu      sync.Mutex         // held while something is sent: lists and changes keep their order
	rosters map[string]*roster // by the name of the namespace, those that are not empty
	here    int                // sockets of this node in all rosters
	others  others
}

// roster is who is in one namespace, and what of it has not been told.
type roster struct {
	n       *sio.Namespace // where here are
	members map[string]*present
	here    map[*sio.Socket]*present // the sockets of this node; nil for one that is not a member
	said    map[string]struct{}      // members of this node that the others were told of

	changes []string                 // the ids of changes that are not told yet, in order
	was     map[string]bool          // whether those were members when it was last told
	coming  map[*sio.Socket]struct{} // who has not had the list
	told    time.Time                // when changes were last told
	waiting chan struct{}            // closed to end the wait for the next time; nil when nobody waits
}

// present is a member.
type present struct {
	Member
	here  int // sockets on this node
	there int // other nodes where it has some
}

// Members returns the members of a namespace now, sorted by id, those on other nodes of a
// cluster included. The slice is the caller's. Info of a member that another node has told
// of is a json.RawMessage, or what JSON decodes to when there are bytes in it.
func (p *Presence) Members(n *sio.Namespace) []Member {
	p.mu.Lock()
	mixings := p.mixings
	p.mu.Unlock()
	for _, x := range mixings {
		if x.n.Server() != n.Server() {
			continue
		}
		x.mu.Lock()
		x.expire(time.Now())
		r := x.rosters[n.Path()]
		if r == nil {
			x.mu.Unlock()
			continue
		}
		defer x.mu.Unlock()
		return r.list()
	}
	return []Member{}
}

func (r *roster) list() []Member {
	list := make([]Member, 0, len(r.members))
	for _, m := range r.members {
		list = append(list, m.Member)
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return list
}

var _ sio.Mixin = (*Presence)(nil)

func (p *Presence) Mix(n *sio.Namespace) {
	x := &mixing{p: p, n: n, event: p.Event, node: n.Server().Node(), rosters: make(map[string]*roster)}
	if x.event == "" {
		x.event = "presence"
	}
	p.mu.Lock()
	p.mixings = append(p.mixings[:len(p.mixings):len(p.mixings)], x)
	p.mu.Unlock()
	x.listen()
	n.OnConnected(func(_ context.Context, s *sio.Socket) {
		m := Member{ID: s.ID()}
		if p.Who != nil {
			m = p.Who(s)
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.connected(s, m)
	})
	n.OnDisconnect(func(_ context.Context, s *sio.Socket, _ sio.Reason) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.disconnected(s)
	})
}

// roster returns the roster of the namespace with this name; x.mu is held.
func (x *mixing) roster(path string) *roster {
	r := x.rosters[path]
	if r == nil {
		r = &roster{members: map[string]*present{}, here: map[*sio.Socket]*present{}, said: map[string]struct{}{},
			was: map[string]bool{}, coming: map[*sio.Socket]struct{}{}}
		x.rosters[path] = r
	}
	return r
}

// max is how many members a namespace has at most.
func (x *mixing) max() int { return or(x.p.MaxMembers, 10_000) }

// connected takes up a socket of this node; x.mu is held.
func (x *mixing) connected(s *sio.Socket, m Member) {
	r := x.roster(s.Namespace().Path())
	r.n = s.Namespace()
	var mine *present
	if r.members[m.ID] != nil || len(r.members) < x.max() {
		mine = r.member(m.ID)
		mine.Member = m
		mine.here++
	}
	r.here[s], r.coming[s] = mine, struct{}{}
	if x.here++; x.here == 1 {
		x.beats(s)
	}
	x.tell(s.Namespace().Path(), r)
}

// disconnected forgets a socket of this node; x.mu is held.
func (x *mixing) disconnected(s *sio.Socket) {
	path := s.Namespace().Path()
	r := x.rosters[path]
	if r == nil {
		return
	}
	m, ok := r.here[s]
	if !ok {
		return
	}
	delete(r.coming, s)
	delete(r.here, s)
	if m != nil {
		r.note(m.ID)
		m.here--
		r.tidy(m)
	}
	x.here--
	x.tell(path, r)
	if x.here == 0 {
		x.restBeats()
	}
}

// member returns the member with an id, which is about to change.
func (r *roster) member(id string) *present {
	r.note(id)
	m := r.members[id]
	if m == nil {
		m = &present{}
		r.members[id] = m
	}
	return m
}

// tidy forgets a member that is nowhere any more.
func (r *roster) tidy(m *present) {
	if m.here+m.there == 0 {
		delete(r.members, m.ID)
	}
}

// note remembers a member that is about to change.
func (r *roster) note(id string) {
	if _, noted := r.was[id]; !noted {
		_, r.was[id] = r.members[id]
		r.changes = append(r.changes, id)
	}
}

// tell tells of what has changed, now or when it is time; x.mu is held. Without sockets on
// this node nobody is told here, and the other nodes are told at once.
func (x *mixing) tell(path string, r *roster) {
	if wait := or(x.p.Every, 50*time.Millisecond) - time.Since(r.told); wait > 0 && len(r.here) > 0 {
		if r.waiting == nil {
			r.waiting = make(chan struct{})
			for s := range r.here {
				x.tellLater(path, r, s, wait, r.waiting)
				break
			}
		}
		return
	}
	x.tellNow(path, r)
}

// tellLater tells when it is time, or somebody else has done it. It runs as a task
// of a socket, so the server knows of it.
func (x *mixing) tellLater(path string, r *roster, s *sio.Socket, wait time.Duration, over chan struct{}) {
	s.Go(func(context.Context) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-over:
			return
		case <-timer.C:
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		if r.waiting == over {
			x.tellNow(path, r)
		}
	})
}

// tellNow emits what the changes come to, and the list to those who have not had it, and
// tells the other nodes what has changed on this one; x.mu is held.
func (x *mixing) tellNow(path string, r *roster) {
	if r.waiting != nil {
		close(r.waiting)
		r.waiting = nil
	}
	// All is taken out first: a value that cannot be encoded spoils one telling only.
	changes, was, coming := r.changes, r.was, r.coming
	r.changes, r.was, r.coming = nil, map[string]bool{}, map[*sio.Socket]struct{}{}
	r.told = time.Now()
	x.tellOthers(path, r, changes)
	if len(r.here) > 0 {
		r.emit(x.event, changes, was, coming)
	} else if len(r.members) == 0 {
		delete(x.rosters, path)
	}
}

// emit tells the sockets of this node.
func (r *roster) emit(event string, changes []string, was map[string]bool, coming map[*sio.Socket]struct{}) {
	// Those who have had the list. A socket gets what is emitted to all a little earlier.
	room := "\x00" + event
	all := r.n.To(room).Local()
	for _, id := range changes {
		switch m := r.members[id]; {
		case m != nil && !was[id]:
			_ = all.Emit(event+"-join", m.Member)
		case was[id] && m == nil:
			_ = all.Emit(event+"-leave", id)
		}
	}
	if len(coming) == 0 {
		return
	}
	ids := make([]string, 0, len(coming))
	for s := range coming {
		ids = append(ids, s.ID())
	}
	_ = r.n.To(ids...).Local().Emit(event, r.list()) // encoded once
	for s := range coming {
		s.Join(room)
	}
}
