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
type Presence struct {
	Event string // "presence"
	// Who returns the member for a socket; the default has the socket's id and no
	// info. It is called once, when the socket has connected. The member is kept: what
	// is in it must not be changed later.
	Who func(s *sio.Socket) Member
	// Every is how long changes are collected before they are sent; 50 ms.
	Every time.Duration
	// MaxMembers is how many members a namespace has at most; 10 000. A socket that
	// joins beyond that gets the list but does not become a member.
	MaxMembers int

	rosters sio.Key[*roster]
	ids     sio.Key[string] // of each socket: the id of its member
}

// roster is who is in one namespace, and what of it has not been told.
type roster struct {
	mu      sync.Mutex // held while something is sent: lists and changes keep their order
	members map[string]Member
	sockets map[string]int // how many each member has

	changes []string                 // the ids of changes that are not told yet, in order
	was     map[string]bool          // whether those were members when it was last told
	coming  map[*sio.Socket]struct{} // who has not had the list
	told    time.Time                // when changes were last told
	waiting chan struct{}            // closed to end the wait for the next time; nil when nobody waits
}

func (p *Presence) of(n *sio.Namespace) *roster {
	return p.rosters.GetOrSet(n, func() *roster {
		return &roster{members: map[string]Member{}, sockets: map[string]int{}, was: map[string]bool{}, coming: map[*sio.Socket]struct{}{}}
	})
}

// Members returns the members of a namespace now, sorted by id. The slice is the
// caller's.
func (p *Presence) Members(n *sio.Namespace) []Member {
	r := p.of(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list()
}

func (r *roster) list() []Member {
	list := make([]Member, 0, len(r.members))
	for _, m := range r.members {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return list
}

var _ sio.Mixin = (*Presence)(nil)

func (p *Presence) Mix(n *sio.Namespace) {
	event := p.Event
	if event == "" {
		event = "presence"
	}
	n.OnConnected(func(_ context.Context, s *sio.Socket) {
		m := Member{ID: s.ID()}
		if p.Who != nil {
			m = p.Who(s)
		}
		r := p.of(s.Namespace())
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.sockets[m.ID] > 0 || len(r.members) < or(p.MaxMembers, 10_000) {
			p.ids.Set(s, m.ID)
			r.note(m.ID)
			r.sockets[m.ID]++
			r.members[m.ID] = m
		}
		r.coming[s] = struct{}{}
		p.tell(r, s, event)
	})
	n.OnDisconnect(func(_ context.Context, s *sio.Socket, _ sio.Reason) {
		r := p.of(s.Namespace())
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.coming, s)
		id, ok := p.ids.Get(s)
		if !ok {
			return
		}
		r.note(id)
		if r.sockets[id]--; r.sockets[id] == 0 {
			delete(r.sockets, id)
			delete(r.members, id)
		}
		p.tell(r, s, event)
	})
}

// note remembers a member that is about to change; r.mu is held.
func (r *roster) note(id string) {
	if _, noted := r.was[id]; !noted {
		_, r.was[id] = r.members[id]
		r.changes = append(r.changes, id)
	}
}

// tell tells of what has changed, now or when it is time; r.mu is held. s is the
// socket whose coming or going is the change.
func (p *Presence) tell(r *roster, s *sio.Socket, event string) {
	if wait := or(p.Every, 50*time.Millisecond) - time.Since(r.told); wait > 0 && len(r.sockets) > 0 {
		if r.waiting == nil {
			r.waiting = make(chan struct{})
			p.tellLater(r, s, event, wait, r.waiting)
		}
		return
	}
	r.tell(s.Namespace(), event)
}

// tellLater tells when it is time, or somebody else has done it. It runs as a task
// of the socket, so the server knows of it.
func (p *Presence) tellLater(r *roster, s *sio.Socket, event string, wait time.Duration, over chan struct{}) {
	s.Go(func(context.Context) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-over:
			return
		case <-timer.C:
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.waiting == over {
			r.tell(s.Namespace(), event)
		}
	})
}

// tell emits what the changes come to, and the list to those who have not had it;
// r.mu is held.
func (r *roster) tell(n *sio.Namespace, event string) {
	if r.waiting != nil {
		close(r.waiting)
		r.waiting = nil
	}
	// All is taken out first: a value that cannot be encoded spoils one telling only.
	changes, was, coming := r.changes, r.was, r.coming
	r.changes, r.was, r.coming = nil, map[string]bool{}, map[*sio.Socket]struct{}{}
	r.told = time.Now()
	// Those who have had the list. A socket gets what is emitted to all a little earlier.
	room := "\x00" + event
	for _, id := range changes {
		switch m, is := r.members[id]; {
		case is && !was[id]:
			_ = n.To(room).Emit(event+"-join", m)
		case was[id] && !is:
			_ = n.To(room).Emit(event+"-leave", id)
		}
	}
	if len(coming) == 0 {
		return
	}
	ids := make([]string, 0, len(coming))
	for s := range coming {
		ids = append(ids, s.ID())
	}
	_ = n.To(ids...).Emit(event, r.list()) // encoded once
	for s := range coming {
		s.Join(room)
	}
}
