package sio

import (
	"context"
	"fmt"
	"slices"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/internal/packet"
)

type registration struct {
	h  Handler
	mw []Middleware
}

// hooks are what was registered on a namespace.
type hooks struct {
	events          map[string]registration
	text, json, any registration
	middleware      []Middleware
	guards          []acl.Policy
	connect         []func(ctx context.Context, s *Socket) error
	connected       []func(ctx context.Context, s *Socket)
	disconnect      []func(ctx context.Context, s *Socket, r Reason)
	incoming        []func(ctx context.Context, ev *Event)
	outgoing        []func(out Outgoing)
	loop            func(ctx context.Context, s *Socket) error
	servers         map[string]serverHandler
	declared        []EventContract // of DeclareEvent and DeclareCall
}

// table is the form of hooks that events are looked up in. It never changes.
type table struct {
	hooks
	events          map[string]*entry
	text, json, any *entry
}

type entry struct {
	name string // "" for events without a handler of their own
	h    Handler
	// keeps: application code sees the event itself and may keep it.
	keeps bool
}

func isNil(mw Middleware) bool { return mw == nil }

// compile builds the table of hooks; n.mu is held, except in newNamespace.
func (n *Namespace) compile(hs *hooks) *table {
	middleware, connect := n.srv.common.get()
	t := &table{hooks: *hs, events: make(map[string]*entry, len(hs.events))}
	t.middleware = slices.Concat(middleware, hs.middleware)
	t.connect = slices.Concat(connect, hs.connect)
	t.guards = slices.Clone(hs.guards)
	t.connected = slices.Clone(hs.connected)
	t.disconnect = slices.Clone(hs.disconnect)
	t.incoming = slices.Clone(hs.incoming)
	t.outgoing = slices.Clone(hs.outgoing)

	wrap := func(name string, r registration) *entry {
		if slices.ContainsFunc(r.mw, isNil) {
			panic(fmt.Sprintf("sio: nil for middleware of event %q of namespace %s", name, n.path))
		}
		_, owns := r.h.(*typed)
		wrapped := len(r.mw)+len(t.middleware) > 0
		e := &entry{name: name, h: r.h, keeps: !owns || wrapped}
		for _, list := range [][]Middleware{r.mw, t.middleware} {
			for _, mw := range slices.Backward(list) {
				if e.h = mw(e.h); e.h == nil {
					panic(fmt.Sprintf("sio: a middleware of namespace %s has returned no handler for event %q", n.path, name))
				}
			}
		}
		if wrapped || len(t.guards) > 0 {
			e.h = checked{e.h}
		}
		return e
	}
	for name, r := range hs.events {
		t.events[name] = wrap(name, r)
	}
	if hs.any.h != nil {
		t.any = wrap("", hs.any)
	}
	// Messages have handlers of their own, or that of the event, or none.
	message := t.events["message"]
	if message == nil {
		message = t.any
	}
	t.text, t.json = message, message
	if hs.text.h != nil {
		t.text = wrap("message", hs.text)
	}
	if hs.json.h != nil {
		t.json = wrap("message", hs.json)
	}
	return t
}

// handlers is the table for the namespace's events.
func (n *Namespace) handlers() *table {
	if n.parent != nil {
		n = n.parent
	}
	return n.table.Load()
}

// find returns the handler of a packet, nil when there is none, and what kind of
// action it is. An event "message" counts as the packet that it was before there
// were events, or else the policies for one could be had around with the other.
func (t *table) find(p *packet.Packet) (*entry, acl.Kind) {
	if p.Type == packet.Event && string(p.Name) != "message" {
		if e := t.events[string(p.Name)]; e != nil {
			return e, acl.Event
		}
		return t.any, acl.Event
	}
	if p.Type == packet.Text || p.Type == packet.Event && (len(p.Args) == 0 || p.Args[0][0] == '"') {
		return t.text, acl.Message
	}
	return t.json, acl.JSON
}

// action describes a packet for the policies.
func action(e *entry, kind acl.Kind, p *packet.Packet) acl.Action {
	a := acl.Action{Kind: kind, Args: p.Args}
	switch {
	case kind == acl.Message:
		a.Name = acl.RecvMessage
	case kind == acl.JSON:
		a.Name = acl.RecvJSON
	case e != nil && e.name != "":
		a.Name = e.name
	default:
		a.Name = string(p.Name)
	}
	return a
}
