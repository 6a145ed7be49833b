package acl

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
)

// Gate is a Policy with an access list for each subject, as the ACL methods of
// gevent-socketio have it. Every subject starts with the initial list. Allow, Deny,
// Lift and Reset change the list of one subject; they may be called from any goroutine
// and take effect with the next packet. The list is kept with the subject and ends with
// it. One gate may guard several namespaces: a client has a list of its own in each.
//
// A Gate abstains when a client wants to enter a room (Join); RoomPrefix is for that.
type Gate struct {
	initial rights
}

var _ Policy = (*Gate)(nil)

// rights are immutable: a change makes new ones.
type rights struct {
	open  bool            // what is not named is allowed
	named map[string]bool // exceptions
}

func (r *rights) allow(name string) bool {
	if ok, named := r.named[name]; named {
		return ok
	}
	return r.open
}

// cell holds the rights of one subject.
type cell struct {
	mu sync.Mutex // for changes
	r  atomic.Pointer[rights]
}

// NewGate returns a gate whose initial list holds the named events. RecvConnect,
// RecvMessage and RecvJSON may be in the list; "message" stands for the last two.
// Whatever is not listed is refused. Without RecvConnect no client can join the
// namespace. Without any name the gate refuses everything.
func NewGate(initial ...string) *Gate {
	g := &Gate{}
	g.initial.named = set(nil, initial, true)
	return g
}

// set copies named and sets names in it.
func set(named map[string]bool, names []string, to bool) map[string]bool {
	m := make(map[string]bool, len(named)+len(names))
	maps.Copy(m, named)
	for _, name := range names {
		if name == "message" {
			m[RecvMessage], m[RecvJSON] = to, to
			continue
		}
		m[name] = to
	}
	return m
}

func (g *Gate) change(s Subject, f func(old *rights) rights) {
	c := s.GetOrSet(g, func() any { return new(cell) }).(*cell)
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.r.Load()
	if old == nil {
		old = &g.initial
	}
	r := f(old)
	c.r.Store(&r)
}

func (g *Gate) rights(s Subject) *rights {
	if c, ok := s.Get(g).(*cell); ok {
		if r := c.r.Load(); r != nil {
			return r
		}
	}
	return &g.initial
}

// Allow adds names to the list of s (add_acl_method in gevent-socketio).
func (g *Gate) Allow(s Subject, names ...string) {
	g.change(s, func(old *rights) rights { return rights{old.open, set(old.named, names, true)} })
}

// Deny removes names from the list of s, also after Lift (del_acl_method in
// gevent-socketio).
func (g *Gate) Deny(s Subject, names ...string) {
	g.change(s, func(old *rights) rights { return rights{old.open, set(old.named, names, false)} })
}

// Lift allows s everything, until Reset (lift_acl_restrictions in gevent-socketio). A
// later Deny makes exceptions.
func (g *Gate) Lift(s Subject) {
	g.change(s, func(*rights) rights { return rights{open: true} })
}

// Reset gives s the initial list again (reset_acl in gevent-socketio).
func (g *Gate) Reset(s Subject) {
	g.change(s, func(*rights) rights { return g.initial })
}

// Allowed reports whether the gate allows s the action with this name. RecvConnect,
// RecvMessage and RecvJSON mean the packets, not events of these names, which a gate
// refuses.
func (g *Gate) Allowed(s Subject, name string) bool { return g.rights(s).allow(name) }

func (g *Gate) Check(_ context.Context, s Subject, a Action) error {
	switch {
	case a.Kind == Join:
		return ErrAbstain
	case a.Kind == Event && packetName(a.Name): // an event that poses as another packet
		return ErrDenied
	case g.rights(s).allow(a.Name):
		return nil
	}
	return ErrDenied
}

// packetName reports whether name is that of a packet that has no event name. An event with
// such a name poses as another packet.
func packetName(name string) bool {
	return name == RecvConnect || name == RecvMessage || name == RecvJSON
}
