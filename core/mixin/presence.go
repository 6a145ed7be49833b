package mixin

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// Member is one entry of a presence list.
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

	mine sio.Key[*here]
	as   sio.Key[string]
}

// here are the members of one namespace.
type here struct {
	mu      sync.Mutex // held while something is sent: lists and changes keep their order
	members map[string]Member
	sockets map[string]int // how many each member has

	changes []string                 // the ids of changes that are not told yet, in order
	was     map[string]bool          // whether those were members when it was last told
	coming  map[*sio.Socket]struct{} // who has not had the list
	told    time.Time                // when changes were last told
	waiting chan struct{}            // closed to end the wait for the next time; nil when nobody waits
}

func (p *Presence) of(n *sio.Namespace) *here {
	return p.mine.GetOrSet(n, func() *here {
		return &here{members: map[string]Member{}, sockets: map[string]int{}, was: map[string]bool{}, coming: map[*sio.Socket]struct{}{}}
	})
}

// Members returns the members of a namespace now, sorted by id.
func (p *Presence) Members(n *sio.Namespace) []Member {
	h := p.of(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list()
}

func (h *here) list() []Member {
	list := make([]Member, 0, len(h.members))
	for _, m := range h.members {
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
		h := p.of(s.Namespace())
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.sockets[m.ID] > 0 || len(h.members) < or(p.MaxMembers, 10_000) {
			p.as.Set(s, m.ID)
			h.note(m.ID)
			h.sockets[m.ID]++
			h.members[m.ID] = m
		}
		h.coming[s] = struct{}{}
		p.tell(h, s, event)
	})
	n.OnDisconnect(func(_ context.Context, s *sio.Socket, _ sio.Reason) {
		h := p.of(s.Namespace())
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.coming, s)
		id, ok := p.as.Get(s)
		if !ok {
			return
		}
		h.note(id)
		if h.sockets[id]--; h.sockets[id] == 0 {
			delete(h.sockets, id)
			delete(h.members, id)
		}
		p.tell(h, s, event)
	})
}

// note remembers a member that is about to change; h.mu is held.
func (h *here) note(id string) {
	if _, noted := h.was[id]; !noted {
		_, h.was[id] = h.members[id]
		h.changes = append(h.changes, id)
	}
}

// tell tells of what has changed, now or when it is time; h.mu is held. s is the
// socket whose coming or going is the change.
func (p *Presence) tell(h *here, s *sio.Socket, event string) {
	if wait := or(p.Every, 50*time.Millisecond) - time.Since(h.told); wait > 0 && len(h.sockets) > 0 {
		if h.waiting == nil {
			h.waiting = make(chan struct{})
			p.tellLater(h, s, event, wait, h.waiting)
		}
		return
	}
	h.tell(s.Namespace(), event)
}

// tellLater tells when it is time, or somebody else has done it. It runs as a task
// of the socket, so the server knows of it.
func (p *Presence) tellLater(h *here, s *sio.Socket, event string, wait time.Duration, over chan struct{}) {
	s.Go(func(context.Context) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-over:
			return
		case <-timer.C:
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.waiting == over {
			h.tell(s.Namespace(), event)
		}
	})
}

// tell emits what the changes come to, and the list to those who have not had it;
// h.mu is held.
func (h *here) tell(n *sio.Namespace, event string) {
	if h.waiting != nil {
		close(h.waiting)
		h.waiting = nil
	}
	// All is taken out first: a value that cannot be encoded spoils one telling only.
	changes, was, coming := h.changes, h.was, h.coming
	h.changes, h.was, h.coming = nil, map[string]bool{}, map[*sio.Socket]struct{}{}
	h.told = time.Now()
	// Those who have had the list. A socket gets what is emitted to all a little earlier.
	room := "\x00" + event
	for _, id := range changes {
		switch m, is := h.members[id]; {
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
	_ = n.To(ids...).Emit(event, h.list()) // encoded once
	for s := range coming {
		s.Join(room)
	}
}
