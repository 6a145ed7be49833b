package sio

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/internal/jsontext"
)

// Namespace is a channel of its own over the clients' connections, with its own
// handlers, middleware, policies and rooms. Its handlers are registered before
// the server is mounted; all methods are safe for concurrent use.
//
// One that OfPattern or OfFunc has returned stands for all the namespaces that
// match: they share its handlers, each has its own sockets and rooms, and what
// is emitted to it reaches all of them.
type Namespace struct {
	srv  *Server
	path string

	parent *Namespace        // of a dynamic namespace: where its handlers are
	params map[string]string // what its pattern matched
	many   *family           // of a pattern or function: the namespaces that match
	refs   int               // of a dynamic namespace: its sockets; guarded by Server.mu
	named  bool              // of Server.Of: stands for the dynamic namespace that has its name now

	mu    sync.Mutex // guards hooks
	hooks hooks
	table atomic.Pointer[table] // what hooks come to

	rooms  rooms
	values values
	nextID atomic.Uint64 // of the questions to clients
}

func newNamespace(srv *Server, path string) *Namespace {
	n := &Namespace{srv: srv, path: path}
	n.table.Store(n.compile(&n.hooks))
	return n
}

// Path is the namespace's name; "/" is the default one.
func (n *Namespace) Path() string { return n.path }

// Param is what a wildcard of OfPattern has matched in this namespace's name.
func (n *Namespace) Param(name string) string { return n.params[name] }

// Server is the server that the namespace belongs to.
func (n *Namespace) Server() *Server { return n.srv }

// reservedEvent reports whether an event never comes from a client, and never goes to
// one: official clients take it for their own, or end the connection.
func reservedEvent(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// change registers something. what is for the panics.
func (n *Namespace) change(what string, missing bool, f func(h *hooks)) {
	if missing {
		panic(fmt.Sprintf("sio: nil for %s of namespace %s", what, n.path))
	}
	if n.parent != nil {
		panic(fmt.Sprintf("sio: %s of namespace %s: it has the handlers of %s; register there", what, n.path, n.parent.path))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	next := n.hooks
	next.events = maps.Clone(next.events)
	f(&next)
	// Middleware is constructed here and may panic: then nothing has changed.
	n.table.Store(n.compile(&next))
	n.hooks = next
}

// put sets the one handler that there may be of a kind.
func put(what string, n *Namespace, to *registration, h Handler, mw []Middleware) {
	if to.h != nil {
		panic(fmt.Sprintf("sio: %s of namespace %s has a handler already", what, n.path))
	}
	*to = registration{h, mw}
}

// On registers the handler of an event, with middleware that runs inside the
// namespace's own. It panics when the event has a handler, h is nil, or the name
// is one that the protocol reserves.
//
// The event "message" is also what clients before 1.0 send without an event
// name; see OnMessage and OnJSON.
func (n *Namespace) On(event string, h Handler, mw ...Middleware) {
	if reservedEvent(event) {
		panic(fmt.Sprintf("sio: event name %q of namespace %s is reserved; see OnConnect and OnDisconnect", event, n.path))
	}
	what := fmt.Sprintf("event %q", event)
	n.change(what, h == nil, func(hs *hooks) {
		r := hs.events[event]
		put(what, n, &r, h, mw)
		if hs.events == nil {
			hs.events = make(map[string]registration)
		}
		hs.events[event] = r
	})
}

// OnMessage registers the handler of messages, texts without an event name: the
// message packets of Socket.IO 0.9, send of later clients, which is the event
// "message" with a string. It goes before On("message").
func (n *Namespace) OnMessage(h Handler, mw ...Middleware) {
	n.change("OnMessage", h == nil, func(hs *hooks) { put("OnMessage", n, &hs.text, h, mw) })
}

// OnJSON registers the handler of json messages: those packets of Socket.IO 0.9,
// and the event "message" with anything but a string. It goes before On("message").
func (n *Namespace) OnJSON(h Handler, mw ...Middleware) {
	n.change("OnJSON", h == nil, func(hs *hooks) { put("OnJSON", n, &hs.json, h, mw) })
}

// OnUnhandled registers the handler of events that have none. It panics when there is
// one already, or a Loop.
func (n *Namespace) OnUnhandled(h Handler) {
	n.change("OnUnhandled", h == nil, func(hs *hooks) { put("OnUnhandled", n, &hs.any, h, nil) })
}

// OnAny adds a function that sees every event before its handler, also
// those that have none, but not what a policy has refused. ev is valid until fn
// returns.
func (n *Namespace) OnAny(fn func(ctx context.Context, ev *Event)) {
	n.change("OnAny", fn == nil, func(hs *hooks) { hs.incoming = append(hs.incoming, fn) })
}

// OnAnyOutgoing adds a function that sees every event that the server emits in the
// namespace, once for an Emit to many. It runs in the goroutine that emits.
func (n *Namespace) OnAnyOutgoing(fn func(out Outgoing)) {
	n.change("OnAnyOutgoing", fn == nil, func(hs *hooks) { hs.outgoing = append(hs.outgoing, fn) })
}

// Outgoing is an event on its way to clients.
type Outgoing struct {
	Event  string
	Args   []any   // as they were given; what they point to must not be changed
	Socket *Socket // the receiver; nil when there may be many
	Rooms  []string
}

// Use adds middleware around every handler of the namespace, the first one
// outermost, all of it inside that of Server.Use. Behind middleware, as behind
// policies, an event is refused (bad_argument) whose arguments have an object with two
// keys that are equal or differ by case only: what the middleware has seen must be
// what the handler sees and passes on.
func (n *Namespace) Use(mw ...Middleware) {
	n.change("Use", slices.ContainsFunc(mw, isNil), func(hs *hooks) { hs.middleware = append(hs.middleware, mw...) })
}

// Guard adds policies. All of them are asked, in order, before anything of a
// packet is decoded: for joining the namespace, and for each message and event.
// A client that is refused sees what it would see if there were no such namespace
// or event (Options.ExplainRefusals changes that); Options.OnError sees who refused.
// Events named acl.RecvConnect, acl.RecvMessage or acl.RecvJSON are refused
// wherever there is a policy. What they have let pass is refused (bad_argument) when an
// object in it has two keys that are equal or differ by case only: such an object is
// one thing to a policy and another one to a handler, or to the clients that it is
// passed on to.
//
// A policy may change the rights that a later one looks at, such as those of an
// acl.Gate.
func (n *Namespace) Guard(ps ...acl.Policy) {
	for _, p := range ps {
		n.change("Guard", p == nil, func(hs *hooks) { hs.guards = append(hs.guards, p) })
	}
}

// OnConnect adds a function that runs when a client joins the namespace, before
// it is told that it has. An error refuses it: the client gets a CONNECT_ERROR
// with the error's message and data. What fn emits arrives right behind the
// answer. Several functions run in the order they were added, those of
// Server.OnConnect first.
func (n *Namespace) OnConnect(fn func(ctx context.Context, s *Socket) error) {
	n.change("OnConnect", fn == nil, func(hs *hooks) { hs.connect = append(hs.connect, fn) })
}

// OnConnected adds a function that runs right after a client was told that it has
// joined the namespace, when it gets what is emitted to all.
func (n *Namespace) OnConnected(fn func(ctx context.Context, s *Socket)) {
	n.change("OnConnected", fn == nil, func(hs *hooks) { hs.connected = append(hs.connected, fn) })
}

// OnDisconnect adds a function that runs exactly once for every socket that has
// connected, after its last handler has returned and before it leaves its rooms.
//
// ctx lives for five seconds from the call of fn, so that fn can write to a database.
// The socket's own context, [Socket.Context], has ended.
func (n *Namespace) OnDisconnect(fn func(ctx context.Context, s *Socket, r Reason)) {
	n.change("OnDisconnect", fn == nil, func(hs *hooks) { hs.disconnect = append(hs.disconnect, fn) })
}

// Mixin is a reusable bundle of handlers, policies, middleware and hooks.
type Mixin interface {
	// Mix registers the bundle.
	Mix(n *Namespace)
}

// Mix applies bundles in order.
func (n *Namespace) Mix(ms ...Mixin) {
	for _, m := range ms {
		if m == nil {
			panic("sio: nil for Mix of namespace " + n.path)
		}
		m.Mix(n)
	}
}

// Encode encodes arguments as Emit does and returns them as Args that nobody else
// has: they stay the same whatever becomes of what args point to. Passed to Emit they
// stand for args, for clients of every generation, binary included. It is for what is
// kept to be emitted later, or several times.
// The error is that of Emit for an argument that cannot be encoded.
func (n *Namespace) Encode(args ...any) (Args, error) {
	e := newEncoder(n.srv.opts.JSON)
	defer e.free()
	if err := n.srv.encode(e, "", false, args); err != nil {
		return Args{}, err
	}
	// In memory of its own: that of the encoder is used again.
	raw, err := jsontext.Split(append(make([]byte, 0, len(e.buf)), e.buf...), nil, 0)
	return Args{raw: raw, attachments: e.parts, json: n.srv.opts.JSON}, err
}

// To addresses the sockets in any of the rooms, each once. A socket's id is a
// room of its own.
func (n *Namespace) To(rooms ...string) Target { return n.All().To(rooms...) }

// Except addresses all sockets of the namespace but those in the rooms.
func (n *Namespace) Except(rooms ...string) Target { return n.All().Except(rooms...) }

// All addresses all sockets of the namespace.
func (n *Namespace) All() Target { return Target{ns: n} }

// Emit sends an event to all sockets of the namespace.
func (n *Namespace) Emit(event string, args ...any) error { return n.All().Emit(event, args...) }

// Len is the number of connected sockets.
func (n *Namespace) Len() (count int) {
	for _, m := range n.members() {
		count += m.rooms.len()
	}
	return count
}

// Rooms returns the rooms that sockets of the namespace have joined, each with the number
// of its sockets. Rooms of the server's own (see ServerRoom) and the ids of sockets are not
// among them. The map is the caller's. It is made of one part of the rooms after the
// other, not at one moment.
func (n *Namespace) Rooms() map[string]int {
	counts := make(map[string]int)
	for _, m := range n.members() {
		m.rooms.count(counts)
	}
	return counts
}

// Socket returns the connected socket with this id, or nil.
func (n *Namespace) Socket(id string) *Socket {
	for _, m := range n.members() {
		if s := m.rooms.byID(id); s != nil {
			return s
		}
	}
	return nil
}

// Set implements ValueStore: it keeps a value with the namespace.
func (n *Namespace) Set(key, value any) { n.kept().set(key, value) }

// Get implements ValueStore: it returns the value that is kept under key, or nil.
func (n *Namespace) Get(key any) any { return n.kept().get(key) }

// GetOrSet implements ValueStore: it returns the value under key, made by mk if there
// is none.
func (n *Namespace) GetOrSet(key any, mk func() any) any { return n.kept().getOrSet(key, mk) }

func cleanPath(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.HasPrefix(path, "/") {
		return "/" + path
	}
	return path
}
