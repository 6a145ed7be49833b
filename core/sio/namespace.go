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

// Namespace is a named channel over the clients' connections, with its own handlers,
// middleware, policies and rooms. Register handlers before the server is mounted. All
// methods are safe for concurrent use.
//
// A Namespace that OfPattern or OfFunc returned stands for all namespaces that match.
// They share its handlers. Each has its own sockets and rooms, and an Emit to the
// Namespace reaches all of them.
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

	recovery atomic.Pointer[recoveryLog] // once a socket can be recovered
}

func newNamespace(srv *Server, path string) *Namespace {
	n := &Namespace{srv: srv, path: path}
	n.table.Store(n.compile(&n.hooks))
	n.enterBus("", false)
	return n
}

// Path is the namespace's name, with the leading slash; "/" is the default namespace.
func (n *Namespace) Path() string { return n.path }

// Param returns what a wildcard of OfPattern has matched in this namespace's name, or
// "" when there is no such wildcard.
func (n *Namespace) Param(name string) string { return n.params[name] }

// Server returns the server that the namespace belongs to, nil for that of an Emitter.
func (n *Namespace) Server() *Server {
	if !n.srv.serves() {
		return nil
	}
	return n.srv
}

// ReservedEvent reports whether an event never comes from a client, and never goes to
// one: official clients take it for their own, or end the connection. On panics for such a
// name, and Emit returns an error.
func ReservedEvent(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// change registers something. what is for the panics.
func (n *Namespace) change(what string, missing bool, f func(h *hooks)) {
	if !n.srv.serves() {
		panic(fmt.Sprintf("sio: %s of namespace %s of an Emitter, which serves nobody; register on a Server", what, n.path))
	}
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

// On registers the handler of an event, with middleware that runs inside that of
// Namespace.Use. It panics when the event has a handler already, when h is nil, and for
// the names that the protocol reserves: connect, connect_error, disconnect,
// disconnecting, newListener and removeListener.
//
// The event "message" is also what clients before 1.0 send without an event name; see
// OnMessage and OnJSON.
func (n *Namespace) On(event string, h Handler, mw ...Middleware) {
	if ReservedEvent(event) {
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

// OnMessage registers the handler of messages, which are texts without an event name:
// the message packets of Socket.IO 0.9, and the event "message" with a string, which
// socket.send of later clients emits. It goes before On("message"). It panics when
// there is a handler already. gevent-socketio calls it recv_message.
func (n *Namespace) OnMessage(h Handler, mw ...Middleware) {
	n.change("OnMessage", h == nil, func(hs *hooks) { put("OnMessage", n, &hs.text, h, mw) })
}

// OnJSON registers the handler of json messages: the json packets of Socket.IO 0.9, and
// the event "message" with anything but a string. It goes before On("message"). It
// panics when there is a handler already. gevent-socketio calls it recv_json.
func (n *Namespace) OnJSON(h Handler, mw ...Middleware) {
	n.change("OnJSON", h == nil, func(hs *hooks) { put("OnJSON", n, &hs.json, h, mw) })
}

// OnUnhandled registers the handler of events that have no handler of their own.
// Without it such an event is answered with CodeRefused, when the client asked for an
// ack, and Options.OnError gets FailureNoHandler. It panics when there is one already,
// or a Loop.
func (n *Namespace) OnUnhandled(h Handler) {
	n.change("OnUnhandled", h == nil, func(hs *hooks) { put("OnUnhandled", n, &hs.any, h, nil) })
}

// OnAny adds a function that sees every event before its handler, also events without a
// handler, but not what a policy has refused. It cannot refuse an event. ev is valid
// until fn returns.
func (n *Namespace) OnAny(fn func(ctx context.Context, ev *Event)) {
	n.change("OnAny", fn == nil, func(hs *hooks) { hs.incoming = append(hs.incoming, fn) })
}

// OnAnyOutgoing adds a function that sees every event that the server emits in the
// namespace, once for each Emit, however many sockets get it. It runs in the goroutine
// that emits.
func (n *Namespace) OnAnyOutgoing(fn func(out Outgoing)) {
	n.change("OnAnyOutgoing", fn == nil, func(hs *hooks) { hs.outgoing = append(hs.outgoing, fn) })
}

// Outgoing is an event on its way to clients, as OnAnyOutgoing sees it.
type Outgoing struct {
	Event  string
	Args   []any    // as they were passed to Emit; what they point to must not be changed
	Socket *Socket  // the receiver; nil when there may be several
	Rooms  []string // the rooms of the target; empty for all sockets
}

// Use adds middleware around every handler of the namespace, the first one outermost,
// all of it inside that of Server.Use. It runs for events that have a handler, that of
// OnUnhandled and the function of Loop included. For an event without any handler it
// does not run, unlike socket.use of Node's server; OnAny sees such events. It panics
// when a middleware is nil.
//
// Behind middleware, as behind policies, arguments are refused with CodeBadArgument
// when an object in them has two keys that are equal or differ only in case. Otherwise
// the handler, or clients to which the arguments are passed on, could read another
// value than the middleware has read.
func (n *Namespace) Use(mw ...Middleware) {
	n.change("Use", slices.ContainsFunc(mw, isNil), func(hs *hooks) { hs.middleware = append(hs.middleware, mw...) })
}

// Guard adds policies. All of them are asked, in order, before anything of a packet is
// decoded: for joining the namespace, and for each message and event. A refused client
// sees what it would see if there were no such namespace or event
// (Options.ExplainRefusals changes this); Options.OnError gets the policy's error. Guard
// panics when a policy is nil.
//
// Where there is a policy, two more things are refused. Events named acl.RecvConnect,
// acl.RecvMessage or acl.RecvJSON, because a policy could take them for the packets of
// that name. And, with CodeBadArgument, arguments that have an object with two keys
// that are equal or differ only in case: a policy could read such an object otherwise
// than the handler or other clients.
//
// A policy may change the rights that a later policy looks at, such as those of an
// acl.Gate.
func (n *Namespace) Guard(ps ...acl.Policy) {
	for _, p := range ps {
		n.change("Guard", p == nil, func(hs *hooks) { hs.guards = append(hs.guards, p) })
	}
}

// OnConnect adds a function that decides whether a client may join the namespace. It
// runs after the policies of Guard and before the client is told that it has joined. An
// error refuses the client: it gets a CONNECT_ERROR with the message and data of an
// *Error, or "internal error" for any other error. What fn emits arrives right behind
// the answer. Several functions run in the order in which they were added, those of
// Server.OnConnect first; the first error ends the attempt.
func (n *Namespace) OnConnect(fn func(ctx context.Context, s *Socket) error) {
	n.change("OnConnect", fn == nil, func(hs *hooks) { hs.connect = append(hs.connect, fn) })
}

// OnConnected adds a function that runs when the client has been told that it has
// joined the namespace, and gets what is emitted to all. The client's first event is
// handled after it. It is "connection" of Node's server.
func (n *Namespace) OnConnected(fn func(ctx context.Context, s *Socket)) {
	n.change("OnConnected", fn == nil, func(hs *hooks) { hs.connected = append(hs.connected, fn) })
}

// OnDisconnect adds a function that runs exactly once for every socket that has
// connected, after its last handler has returned and while it is still in its rooms. It
// is recv_disconnect of gevent-socketio and "disconnect" of Node's server.
//
// ctx lives for five seconds from the call of fn, so that fn can write to a database.
// The socket's own context, [Socket.Context], has ended.
func (n *Namespace) OnDisconnect(fn func(ctx context.Context, s *Socket, r Reason)) {
	n.change("OnDisconnect", fn == nil, func(hs *hooks) { hs.disconnect = append(hs.disconnect, fn) })
}

// Mixin is a reusable bundle of handlers, policies, middleware and hooks; see package
// mixin.
type Mixin interface {
	// Mix registers the bundle.
	Mix(n *Namespace)
}

// Mix adds mixins, in order. It panics when one is nil.
func (n *Namespace) Mix(ms ...Mixin) {
	for _, m := range ms {
		if m == nil {
			panic("sio: nil for Mix of namespace " + n.path)
		}
		m.Mix(n)
	}
}

// Encode encodes arguments as Emit does and returns them as Args. The Args are a copy:
// they stay the same when args, or what they point to, change. Passed to Emit they
// stand for args, for clients of every generation, binary included. Use Encode for
// events that are kept and emitted later, or several times. The error is that of Emit
// for an argument that cannot be encoded.
func (n *Namespace) Encode(args ...any) (Args, error) { return n.encoded("", args) }

// encoded is Encode. what is for the error.
func (n *Namespace) encoded(what string, args []any) (Args, error) {
	e := newEncoder(n.srv.opts.JSON)
	defer e.free()
	if err := n.srv.encode(e, what, false, args); err != nil {
		return Args{}, err
	}
	// In memory of its own: that of the encoder is used again.
	raw, err := jsontext.Split(append(make([]byte, 0, len(e.buf)), e.buf...), nil, 0)
	return Args{raw: raw, attachments: e.parts, json: n.srv.opts.JSON}, err
}

// To returns the target of the sockets in any of the rooms, each socket once. A
// socket's id is the name of a room with that socket alone.
func (n *Namespace) To(rooms ...string) Target { return n.All().To(rooms...) }

// Except returns the target of all sockets of the namespace but those in the rooms.
func (n *Namespace) Except(rooms ...string) Target { return n.All().Except(rooms...) }

// All returns the target of all sockets of the namespace.
func (n *Namespace) All() Target { return Target{ns: n} }

// Emit sends an event to all sockets of the namespace; see Target.Emit.
func (n *Namespace) Emit(event string, args ...any) error { return n.All().Emit(event, args...) }

// Len is the number of connected sockets in the namespace; for a pattern, in all
// namespaces that match. In a cluster they are those of this process: see Target.Count.
func (n *Namespace) Len() (count int) {
	for _, m := range n.members() {
		count += m.rooms.len()
	}
	return count
}

// Rooms returns the rooms that sockets of the namespace have joined, each with the
// number of its sockets. The server's own rooms (see ServerRoom) and the ids of sockets
// are not among them. The map is the caller's. Rooms are counted one after the other,
// so the numbers are not of one moment. In a cluster they are those of this process.
func (n *Namespace) Rooms() map[string]int {
	counts := make(map[string]int)
	for _, m := range n.members() {
		m.rooms.count(counts)
	}
	return counts
}

// Socket returns the connected socket with this id, or nil. In a cluster nil may mean that
// another process has the socket, which To(id) reaches.
func (n *Namespace) Socket(id string) *Socket {
	for _, m := range n.members() {
		if s := m.rooms.byID(id); s != nil {
			return s
		}
	}
	return nil
}

// Set keeps a value with the namespace, until the namespace ends. Key is the typed
// form.
func (n *Namespace) Set(key, value any) { n.kept().set(key, value) }

// Get returns the value that Set has kept with the namespace under key, or nil.
func (n *Namespace) Get(key any) any { return n.kept().get(key) }

// GetOrSet returns the value under key; when there is none, it keeps the result of mk
// and returns that. mk runs with the values locked, so it must not use them.
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
