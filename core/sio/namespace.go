package sio

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/host"
)

// Namespace is a channel of its own over the clients' connections, with its own
// handlers, middleware and rooms. Its handlers are registered before the server
// is mounted; all methods are safe for concurrent use.
type Namespace struct {
	srv  *Server
	path string

	mu         sync.Mutex
	handlers   map[string]registration
	any        Handler
	middleware []Middleware
	connect    []func(ctx context.Context, s *Socket) error
	disconnect []func(ctx context.Context, s *Socket, r Reason)
	table      atomic.Pointer[table] // what the fields above come to

	rooms rooms
}

type registration struct {
	h  Handler
	mw []Middleware
}

// table is the compiled form of a namespace's handlers.
type table struct {
	events     map[string]*entry
	any        *entry
	connect    []func(ctx context.Context, s *Socket) error
	disconnect []func(ctx context.Context, s *Socket, r Reason)
}

type entry struct {
	name string
	h    Handler
	// keeps: application code sees the event itself and may keep it.
	keeps bool
}

func newNamespace(srv *Server, path string) *Namespace {
	n := &Namespace{srv: srv, path: path, handlers: make(map[string]registration)}
	n.rooms.init()
	n.compile()
	return n
}

// Path is the namespace's name; "/" is the default one.
func (n *Namespace) Path() string { return n.path }

// Server is the server that the namespace belongs to.
func (n *Namespace) Server() *Server { return n.srv }

// ServeExchange implements host.Handler: a namespace serves its whole server.
func (n *Namespace) ServeExchange(x host.Exchange) { n.srv.ServeExchange(x) }

// reservedEvents never come from a client.
var reservedEvents = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true, "disconnecting": true, "newListener": true, "removeListener": true,
}

// On registers the handler of an event, with middleware that runs inside the
// namespace's own. It panics when the event has a handler, h is nil, or the name
// is one that the protocol reserves.
func (n *Namespace) On(event string, h Handler, mw ...Middleware) {
	switch {
	case h == nil:
		panic(fmt.Sprintf("sio: nil handler for event %q of namespace %s", event, n.path))
	case reservedEvents[event]:
		panic(fmt.Sprintf("sio: event name %q is reserved; see OnConnect and OnDisconnect", event))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, dup := n.handlers[event]; dup {
		panic(fmt.Sprintf("sio: event %q of namespace %s has a handler already", event, n.path))
	}
	n.handlers[event] = registration{h, mw}
	n.compile()
}

// OnAny registers the handler of events that have none. It panics when there is
// one already.
func (n *Namespace) OnAny(h Handler) {
	if h == nil {
		panic("sio: nil handler for OnAny of namespace " + n.path)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.any != nil {
		panic("sio: OnAny of namespace " + n.path + " is set already")
	}
	n.any = h
	n.compile()
}

// Use adds middleware around every handler of the namespace, the first one outermost.
func (n *Namespace) Use(mw ...Middleware) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.middleware = append(n.middleware, mw...)
	n.compile()
}

// OnConnect adds a function that runs when a client joins the namespace, before
// it is told that it has. An error refuses it: the client gets a CONNECT_ERROR
// with the error's message and data. What fn emits arrives right behind the
// answer. Several functions run in the order they were added.
func (n *Namespace) OnConnect(fn func(ctx context.Context, s *Socket) error) {
	if fn == nil {
		panic("sio: nil function for OnConnect of namespace " + n.path)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.connect = append(n.connect, fn)
	n.compile()
}

// OnDisconnect adds a function that runs exactly once for every socket that has
// connected, after its last handler has returned and before it leaves its rooms.
// ctx is over already.
func (n *Namespace) OnDisconnect(fn func(ctx context.Context, s *Socket, r Reason)) {
	if fn == nil {
		panic("sio: nil function for OnDisconnect of namespace " + n.path)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disconnect = append(n.disconnect, fn)
	n.compile()
}

// Mixin is a reusable bundle of handlers, middleware and hooks.
type Mixin interface {
	// Mix registers the bundle.
	Mix(n *Namespace)
}

// Mix applies bundles in order.
func (n *Namespace) Mix(ms ...Mixin) {
	for _, m := range ms {
		m.Mix(n)
	}
}

// compile builds the table; n.mu is held, except in newNamespace.
func (n *Namespace) compile() {
	t := &table{
		events:     make(map[string]*entry, len(n.handlers)),
		connect:    append(([]func(context.Context, *Socket) error)(nil), n.connect...),
		disconnect: append(([]func(context.Context, *Socket, Reason))(nil), n.disconnect...),
	}
	wrap := func(name string, r registration) *entry {
		_, owns := r.h.(typed)
		e := &entry{name: name, h: r.h, keeps: !owns || len(r.mw)+len(n.middleware) > 0}
		for _, list := range [][]Middleware{r.mw, n.middleware} {
			for i := len(list) - 1; i >= 0; i-- {
				e.h = list[i](e.h)
			}
		}
		return e
	}
	for name, r := range n.handlers {
		t.events[name] = wrap(name, r)
	}
	if n.any != nil {
		t.any = wrap("", registration{h: n.any})
	}
	n.table.Store(t)
}

// To addresses the sockets in any of the rooms, each once. A socket's id is a
// room of its own.
func (n *Namespace) To(rooms ...string) Target { return Target{ns: n}.To(rooms...) }

// Except addresses all sockets of the namespace but those in the rooms.
func (n *Namespace) Except(rooms ...string) Target { return Target{ns: n}.Except(rooms...) }

// Emit sends an event to all sockets of the namespace.
func (n *Namespace) Emit(event string, args ...any) error { return Target{ns: n}.Emit(event, args...) }

// Len is the number of connected sockets.
func (n *Namespace) Len() int { return n.rooms.len() }

// Socket returns the connected socket with this id, or nil.
func (n *Namespace) Socket(id string) *Socket { return n.rooms.byID(id) }

func cleanPath(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.HasPrefix(path, "/") {
		return "/" + path
	}
	return path
}
