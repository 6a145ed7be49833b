package mixin

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/sio"
)

// Member is somebody who is here.
type Member struct {
	ID   string `json:"id"`
	Info any    `json:"info,omitempty"`
}

// Presence tells the clients of a namespace who else is here: who joins gets the
// event "presence" with all members, and the others "presence-join" with the new
// one; "presence-leave" has the id of one who has gone. Nobody misses or sees twice
// what happens while they join.
//
// Members are sockets unless Who gives several sockets one id, such as a user's:
// then the first of them joins and the last one leaves.
type Presence struct {
	Event string // "presence"
	// Who is the member that a socket stands for; its own id and no info. It is
	// asked once, when the socket has connected.
	Who func(s *sio.Socket) Member

	mine sio.Key[*here]
	as   sio.Key[string]
}

// here are the members of one namespace, and how many sockets each has.
type here struct {
	mu      sync.Mutex
	members map[string]Member
	sockets map[string]int
}

func (p *Presence) of(n *sio.Namespace) *here {
	return p.mine.GetOrSet(n, func() *here { return &here{members: map[string]Member{}, sockets: map[string]int{}} })
}

// Members are those who are in a namespace now, by id.
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

// Mix implements sio.Mixin.
func (p *Presence) Mix(n *sio.Namespace) {
	event := p.Event
	if event == "" {
		event = "presence"
	}
	// Those who have had the list. A socket gets what is emitted to all a little earlier.
	room := "\x00" + event
	n.OnConnected(func(_ context.Context, s *sio.Socket) {
		m := Member{ID: s.ID()}
		if p.Who != nil {
			m = p.Who(s)
		}
		p.as.Set(s, m.ID)
		h := p.of(s.Namespace())
		h.mu.Lock() // until everything is sent: lists and changes keep their order
		defer h.mu.Unlock()
		h.sockets[m.ID]++
		h.members[m.ID] = m
		_ = s.Emit(event, h.list())
		if h.sockets[m.ID] == 1 {
			_ = s.To(room).Emit(event+"-join", m)
		}
		s.Join(room)
	})
	n.OnDisconnect(func(_ context.Context, s *sio.Socket, _ sio.Reason) {
		id, ok := p.as.Get(s)
		if !ok {
			return
		}
		h := p.of(s.Namespace())
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.sockets[id]--; h.sockets[id] == 0 {
			delete(h.sockets, id)
			delete(h.members, id)
			_ = s.To(room).Emit(event+"-leave", id)
		}
	})
}
