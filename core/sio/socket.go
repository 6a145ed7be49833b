package sio

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

const (
	stateConnecting int32 = iota
	stateConnected
	stateDisconnected
)

// Socket is one client in one namespace. All methods are safe for concurrent use. Do
// not keep a Socket after OnDisconnect: it holds the client's request in memory.
type Socket struct {
	ns     *Namespace
	client *client
	id     string
	sent   *sent // what came with the CONNECT, nil when nothing did
	index  int32 // in rooms.all of the namespace; guarded by rooms.mu
	state  atomic.Int32
	// heard: the connection has ended, and what was received before is still
	// handled. Written before state becomes stateDisconnected, read after.
	heard     bool
	recovered bool                           // it goes on where an earlier one has ended
	recovery  *recoverable                   // nil when it cannot be recovered
	refused   atomic.Bool                    // ended while it was connecting
	why       Reason                         // of the end of a socket that was connected; written like heard
	over      bool                           // OnDisconnect has run; for the one who handles its tasks
	left      bool                           // the socket joins no room any more; guarded by roomsMu
	parted    bool                           // see client.partedLate; guarded by mu
	overlap   atomic.Pointer[sync.WaitGroup] // what Concurrent has started, once it has

	mu     sync.Mutex // guards what follows
	ctx    context.Context
	cancel context.CancelFunc
	early  *early // sent before the client was told that it is connected; nil: nothing was
	calls  map[uint64]waiter
	expiry *expiry // nil without ExpireAt

	values values

	roomsMu     sync.Mutex // guards what follows; taken before a room's lock
	memberships []*membership
	byRoom      map[string]*membership // of memberships, while there are many; else nil
	listed      int                    // how many of memberships Rooms lists
}

// sent is the payload of a CONNECT.
type sent struct {
	auth  []byte // JSON
	query string // in the older protocols
}

// ID is the socket's public id: 20 characters of a-z, A-Z, 0-9, - and _, new for every
// namespace and connection. It is also the name of a room with this socket alone.
//
// Clients of 3.0 and later know it as socket.id. Clients before 3.0 are not told it:
// they take the secret id of their session for it. To accepts that one too, as the name
// of a room.
func (s *Socket) ID() string { return s.id }

// Namespace returns the namespace that the socket is in. For a socket of OfPattern or
// OfFunc it is the namespace with the name that the client asked for.
func (s *Socket) Namespace() *Namespace { return s.ns }

// Request returns the copy of the request that opened the connection.
func (s *Socket) Request() *Request { return s.client.req }

// Conn returns the connection that the socket shares with those of the same client in
// other namespaces.
func (s *Socket) Conn() *Conn { return s.client.connection() }

// Query returns the parameters that the client has put behind the namespace's name when
// it joined, as clients before 3.0 do ("/chat?token=x"). It is empty when there were
// none. The query of the HTTP request is Request().Query. Every call returns a new map.
func (s *Socket) Query() url.Values {
	if s.sent == nil {
		return nil
	}
	v, _ := url.ParseQuery(s.sent.query)
	return v
}

// alias is what the client itself takes for its id, in the older protocols.
func (s *Socket) alias() string { return s.client.vs.Dialect().SocketID(s.client.vs.ID(), s.ns.path) }

// Dialect is the client's generation: "eio4" (Socket.IO 3.x and 4.x), "eio3" (1.x,
// 2.x), "sio1" (0.7 to 0.9) or "sio06" (0.6), as in Options.Dialects.
func (s *Socket) Dialect() string { return s.client.vs.Dialect().Name() }

// Transport is the name of the transport in use, as in Options.Transports: "polling",
// "websocket" and so on.
func (s *Socket) Transport() string { return s.client.vs.Transport() }

// Connected reports whether the client has joined and the socket has not ended. It is
// false while OnConnect runs.
func (s *Socket) Connected() bool { return s.state.Load() == stateConnected }

// Auth decodes the payload that the client sent with its CONNECT into v: an object, or
// for clients before 3.0 the parameters of Query as an object of strings. Without a
// payload v stays as it is. Keys are checked as by Args.Bind. The error for a payload
// that does not fit names Go types and fields, so it is for the log: a client whose
// OnConnect returns it gets "internal error".
func (s *Socket) Auth(v any) error {
	if s.sent == nil {
		return nil
	}
	return s.ns.srv.auth(s.sent.auth, v)
}

// Context returns a context that ends when the socket disconnects. Events that were
// received before the client left are still handled, before OnDisconnect: their
// handlers get a context that lives up to five seconds longer. After Disconnect and
// CloseTransport they are not handled.
func (s *Socket) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.context()
}

func (s *Socket) context() context.Context {
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancel(context.Background())
		if s.state.Load() == stateDisconnected {
			s.cancel()
		}
	}
	return s.ctx
}

// Go runs fn in a goroutine, with a context that ends with the socket. Shutdown waits
// for fn. A panic in fn is recovered, logged, and reported as FailurePanic. It is spawn
// of gevent-socketio.
func (s *Socket) Go(fn func(ctx context.Context)) {
	ctx := s.Context()
	s.ns.srv.running.Add()
	go func() {
		defer s.ns.srv.running.Done()
		ended := errExit
		defer s.ns.srv.caught(inGo, "", s.client, s, &ended)
		fn(ctx)
		ended = nil
	}()
}

// Of returns the same client's socket in another namespace, or nil when the client has
// not joined it.
func (s *Socket) Of(path string) *Socket {
	o := s.client.socket(cleanPath(path))
	if o == nil || !o.Connected() {
		return nil
	}
	return o
}

// Set keeps a value with the socket, until the socket ends. It has nothing to do with
// the web session. Key is the typed form.
func (s *Socket) Set(key, value any) { s.values.set(key, value) }

// Get returns the value that Set has kept with the socket under key, or nil.
func (s *Socket) Get(key any) any { return s.values.get(key) }

// GetOrSet returns the value under key; when there is none, it keeps the result of mk
// and returns that. mk runs with the values locked, so it must not use them.
func (s *Socket) GetOrSet(key any, mk func() any) any { return s.values.getOrSet(key, mk) }

// Emit sends an event. A []byte anywhere in the arguments travels as binary. Emit does
// not wait for the client. Inside a handler the event leaves with the other answers to
// what the client has sent, at the latest five milliseconds later; elsewhere it
// leaves at once.
//
// The error is ErrDisconnected, or says which argument cannot be encoded, or that the
// name is reserved: connect, connect_error, disconnect, disconnecting, newListener,
// removeListener. Nil does not mean that the client got the event; Call waits for an
// ack.
func (s *Socket) Emit(event string, args ...any) error {
	return s.emit(packet.Packet{Type: packet.Event}, event, args)
}

func (s *Socket) emit(p packet.Packet, event string, args []any) error {
	if p.Type == packet.Event && ReservedEvent(event) {
		return errReserved(event)
	}
	if fns := s.ns.handlers().outgoing; len(fns) > 0 && p.Type != packet.Ack {
		s.ns.srv.show(fns, Outgoing{Event: event, Args: slices.Clone(args), Socket: s})
	}
	e := newEncoder(s.ns.srv.opts.JSON)
	defer e.free()
	if err := s.ns.srv.encode(e, event, p.Type != packet.Ack, args); err != nil {
		return err
	}
	if s.recovery != nil && p.Type != packet.Ack && !p.HasID {
		return s.recovery.emit(s, p, e)
	}
	if l := s.ns.log(); l.journaled() && s.state.Load() != stateDisconnected {
		q := p
		if q.Data, q.Attachments = e.buf, e.parts; l.queueOne(s, &q) {
			return nil
		}
	}
	out := outgoing.Get().(*packet.Packet)
	*out = p
	out.Data, out.Attachments = e.buf, e.parts
	err := s.sendPacket(out)
	*out = packet.Packet{}
	outgoing.Put(out)
	return err
}

// outgoing are the packets that are encoded: the dialect, behind an interface, gets
// a pointer, which would be memory for each event.
var outgoing = sync.Pool{New: func() any { return new(packet.Packet) }}

// ack answers an event. A namespace that is left may still be answered for.
func (s *Socket) ack(id uint64, args []any) error {
	return s.emit(packet.Packet{Type: packet.Ack, ID: id, HasID: true}, "ack", args)
}

func (s *Socket) sendPacket(p *packet.Packet) error {
	p.Namespace = s.ns.path
	return s.sendMessage(s.client.vs.Dialect().Encode(p, true), false)
}

func (s *Socket) sendMessage(m *packet.Message, volatile bool) error {
	if m == nil { // the client's protocol has nothing of the kind
		return nil
	}
	switch s.state.Load() {
	case stateConnecting:
		return s.sendEarly(m, volatile)
	case stateDisconnected:
		m.Release()
		return ErrDisconnected
	}
	send := s.client.vs.Send
	if volatile {
		send = s.client.vs.SendVolatile
	}
	if send(m) != nil {
		return ErrDisconnected
	}
	return nil
}

// Send sends a message without an event name. Clients of Socket.IO 0.9 get a message
// packet for a string and a json packet for anything else; newer clients get the event
// "message". The error is that of Emit.
func (s *Socket) Send(data any) error {
	return s.emit(packet.Packet{Type: messageType(data)}, "message", []any{data})
}

// SendJSON is Send, except that clients of Socket.IO 0.9 get a json packet for strings
// too.
func (s *Socket) SendJSON(data any) error {
	return s.emit(packet.Packet{Type: packet.JSON}, "message", []any{data})
}

func messageType(data any) packet.Type {
	if _, ok := data.(string); ok {
		return packet.Text
	}
	return packet.JSON
}

// To returns the target of the other sockets in any of the rooms: this socket is left
// out.
func (s *Socket) To(rooms ...string) Target {
	return Target{ns: s.ns, skip: s}.To(rooms...)
}

// Broadcast returns the target of all other sockets of the namespace. It is broadcast
// of Node's server; with Emit, broadcast_event_not_me of gevent-socketio.
func (s *Socket) Broadcast() Target { return Target{ns: s.ns, skip: s} }

// Volatile returns the target of this socket alone, for events that may be lost: Emit
// drops the event while earlier ones wait for the client. With Target.To it is the
// others in the rooms, as with Socket.To.
func (s *Socket) Volatile() Target { return Target{ns: s.ns, only: s, volatile: true} }

// Disconnect takes the client out of the namespace. The connection and the client's
// sockets in other namespaces stay; Conn.Close ends all. Official clients do not come
// back by themselves after it, as they do after CloseTransport. While OnConnect runs,
// Disconnect refuses the client, which does not come back for this namespace by itself.
func (s *Socket) Disconnect() { s.disconnect(ServerNamespace, true) }

// rootLast sorts sockets: the default namespace is last, because in older protocols
// the connection ends with it.
func rootLast(list []*Socket) []*Socket {
	slices.SortStableFunc(list, func(a, b *Socket) int { return len(b.ns.path) - len(a.ns.path) })
	return list
}

// CloseTransport closes the client's transport as a failing network would: official
// clients connect again by themselves, with fresh cookies. It ends the sockets of the
// client in all namespaces.
//
// While OnConnect runs, the client would come back for the same answer again and again.
// So there CloseTransport refuses the client and then ends the connection: the client
// may come back for other namespaces, but not by itself for this one. Clients of 0.9
// stay away altogether.
func (s *Socket) CloseTransport() {
	if !s.client.shutOut(s, false) {
		s.client.vs.Drop()
	}
}

// disconnect ends the socket once and has OnDisconnect run after its handlers. With
// tell the client learns it, by a DISCONNECT or, while it is connecting, a refusal.
func (s *Socket) disconnect(r Reason, tell bool) bool {
	if tell {
		s.parts()
	}
	first, due := s.close(r, tell, false)
	if due {
		s.client.inbox.Push(s.ns.path, task{end: s, reason: r})
	}
	return first
}

// kick ends the socket and tells the client, if it is connecting still.
func (s *Socket) kick() bool {
	s.mu.Lock()
	if s.state.Load() != stateConnecting {
		s.mu.Unlock()
		return false
	}
	s.finish(ServerNamespace, true, false)
	return true
}

// close is disconnect but for OnDisconnect, whose turn the caller sees to when it is due.
// With heard the events that wait are handled before.
func (s *Socket) close(r Reason, tell, heard bool) (first, due bool) {
	s.mu.Lock()
	if s.state.Load() == stateDisconnected {
		s.mu.Unlock()
		return false, false
	}
	return true, s.finish(r, tell, heard)
}

// finish is close for a socket that has not ended. s.mu is held, and free afterwards.
func (s *Socket) finish(r Reason, tell, heard bool) (due bool) {
	if s.parted && heard {
		r = ClientNamespace
	}
	was := s.state.Load()
	if was == stateConnecting {
		s.refused.Store(true)
	}
	s.heard = heard && (was == stateConnected || s.client.greeted(s.ns.path))
	if was == stateConnected {
		s.why = r
	}
	if s.recovery != nil {
		s.recovery.why = r
	}
	s.state.Store(stateDisconnected)
	calls := s.calls
	s.calls = nil
	if s.early != nil {
		for _, e := range s.early.messages {
			e.m.Release()
		}
		s.early = nil
	}
	if s.cancel != nil {
		s.cancel()
	}
	if s.expiry != nil {
		s.ns.srv.hub.Wheel().Stop(&s.expiry.timer)
	}
	s.mu.Unlock()
	for _, w := range calls {
		w.answered(s, nil, ErrDisconnected)
	}
	if was == stateConnecting {
		// It never was connected: whoever connects it sees the state.
		if tell {
			s.client.kick(s.ns.path, r)
		}
		return false
	}
	if tell {
		s.client.dismiss(s.ns.path)
	}
	return true
}

var _ virtsocket.Handler = (*client)(nil)
