package conformance

import (
	"context"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
)

// spaces are one namespace at all servers of a case: what is registered is registered with all,
// what is emitted is emitted by one.
type spaces struct {
	list []*sio.Namespace
	one  *sio.Namespace // that of the server that emits
}

// of is a namespace at all servers of the case.
func (c *env) of(path string) spaces {
	ns := spaces{one: c.server().Of(path)}
	c.each(func(srv *sio.Server) { ns.list = append(ns.list, srv.Of(path)) })
	return ns
}

// theirs is a room that the only client has joined. What is emitted to a room does not come to a
// client that connects later, however late another server hears of it: a bus need not keep the
// order between what is emitted to clients and what settle waits for.
func (c *env) theirs() sio.Target {
	c.T.Helper()
	ns := c.of("/")
	is := func(t sio.Target) bool {
		n, err := t.Count(context.Background())
		return n == 1 && err == nil
	}
	// A client may know that it is connected before the server finds its socket among all.
	c.Eventually("the only client is in the room", func() bool {
		ns.All().Join("theirs")
		return is(ns.All()) && is(ns.To("theirs"))
	})
	c.settle()
	return ns.To("theirs")
}

func (ns spaces) each(f func(n *sio.Namespace)) {
	for _, n := range ns.list {
		f(n)
	}
}

func (ns spaces) On(event string, h sio.Handler, mw ...sio.Middleware) {
	ns.each(func(n *sio.Namespace) { n.On(event, h, mw...) })
}

func (ns spaces) OnMessage(h sio.Handler) { ns.each(func(n *sio.Namespace) { n.OnMessage(h) }) }

func (ns spaces) OnJSON(h sio.Handler) { ns.each(func(n *sio.Namespace) { n.OnJSON(h) }) }

func (ns spaces) OnUnhandled(h sio.Handler) { ns.each(func(n *sio.Namespace) { n.OnUnhandled(h) }) }

func (ns spaces) Guard(p ...acl.Policy) { ns.each(func(n *sio.Namespace) { n.Guard(p...) }) }

func (ns spaces) OnConnect(f func(ctx context.Context, s *sio.Socket) error) {
	ns.each(func(n *sio.Namespace) { n.OnConnect(f) })
}

func (ns spaces) OnDisconnect(f func(ctx context.Context, s *sio.Socket, r sio.Reason)) {
	ns.each(func(n *sio.Namespace) { n.OnDisconnect(f) })
}

func (ns spaces) All() sio.Target { return ns.one.All() }

func (ns spaces) To(rooms ...string) sio.Target { return ns.one.To(rooms...) }

func (ns spaces) Emit(event string, args ...any) error { return ns.one.Emit(event, args...) }
