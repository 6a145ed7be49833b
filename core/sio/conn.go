package sio

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
)

// Conn is the connection of a client. The client's sockets, one in each namespace,
// share it. It stays the same when the transport changes from polling to a websocket,
// and ends when the client is gone: a client that connects again has a new Conn. All
// methods are safe for concurrent use.
type Conn struct {
	client *client
	values values
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	rooms  []string
	in     map[string]struct{} // what rooms holds, each once
	checks []func(x host.Exchange) error
	bound  string // see BindRecovery
}

var _ ValueStore = (*Conn)(nil)

type openingKey struct{}

// ConnFromContext returns the connection that is being opened. ctx is the context that
// Options.OnHandshake gets, or derived from it; with any other context the result is
// nil. The connection has no sockets yet, and ends when OnHandshake refuses it.
func ConnFromContext(ctx context.Context) *Conn {
	c, ok := ctx.Value(openingKey{}).(*client)
	if !ok {
		return nil
	}
	return c.connection()
}

// connection returns the Conn of a client, made when it is first asked for: most
// never are.
func (c *client) connection() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		c.conn = &Conn{client: c}
		c.conn.ctx, c.conn.cancel = context.WithCancel(context.Background())
		if c.closed {
			c.conn.cancel()
		}
	}
	return c.conn
}

// refusedHandshake ends what somebody may have asked for before the refusal.
func (c *client) refusedHandshake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn != nil {
		c.conn.cancel()
	}
}

// Server returns the server that the connection belongs to.
func (c *Conn) Server() *Server { return c.client.srv }

// Context returns a context that ends with the connection.
func (c *Conn) Context() context.Context { return c.ctx }

// Sockets returns the connected sockets of the connection, one for each namespace that
// the client has joined.
func (c *Conn) Sockets() []*Socket {
	return slices.DeleteFunc(c.client.list(), func(s *Socket) bool { return !s.Connected() })
}

// Close takes the client out of every namespace and ends the connection; OnDisconnect
// gets ServerNamespace. Official clients do not come back by themselves after it, as
// they do after CloseTransport. While OnConnect runs for a socket of the connection,
// that client is refused first.
func (c *Conn) Close() {
	if c.client.shutOut(nil, true) {
		return
	}
	for _, s := range rootLast(c.client.list()) {
		s.disconnect(ServerNamespace, true)
	}
	c.client.vs.Close(ServerNamespace.below())
}

// CloseTransport closes the transport as a failing network would, so that official
// clients connect again by themselves, with fresh cookies. Nothing that the client
// sends is handled from then on. While OnConnect runs for a socket of the connection,
// that client is refused first, as by Socket.CloseTransport. A client that has joined
// no namespace has a second to leave by itself.
func (c *Conn) CloseTransport() {
	if !c.client.shutOut(nil, false) {
		c.client.vs.Drop()
	}
}

// Transport is the name of the transport in use, as in Options.Transports: "polling",
// "websocket" and so on.
func (c *Conn) Transport() string { return c.client.vs.Transport() }

// EndPoll answers a held poll at once, with nothing, so that the client sends the next
// poll with the cookies that it has then. On a websocket it does nothing.
func (c *Conn) EndPoll() { c.client.vs.EndPoll() }

// Join puts every socket of the connection into rooms: those that exist now, and each
// later one before its client is told that it has joined the namespace.
func (c *Conn) Join(rooms ...string) {
	c.mu.Lock()
	for _, room := range rooms {
		if _, in := c.in[room]; in {
			continue
		}
		if c.in == nil {
			c.in = make(map[string]struct{})
		}
		c.in[room] = struct{}{}
		c.rooms = append(c.rooms, room)
	}
	c.mu.Unlock()
	for _, s := range c.client.list() { // also one that is just connecting
		s.Join(rooms...)
	}
}

// joinRooms puts a new socket into the rooms of its connection.
func (c *client) joinRooms(s *Socket) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return
	}
	conn.mu.Lock()
	rooms := slices.Clone(conn.rooms)
	conn.mu.Unlock()
	s.Join(rooms...)
}

// OnExchange adds a function that is called with every further HTTP request of the
// connection: polls, POSTs, and the upgrade. An error refuses the request, as an error
// of Options.OnHandshake does, and ends the connection. x is valid until fn returns.
func (c *Conn) OnExchange(fn func(x host.Exchange) error) {
	if fn == nil {
		panic("sio: nil function for OnExchange of a connection")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks = append(c.checks, fn)
}

// Set keeps a value with the connection, until the connection ends. Key is the typed
// form.
func (c *Conn) Set(key, value any) { c.values.set(key, value) }

// Get returns the value that Set has kept with the connection under key, or nil.
func (c *Conn) Get(key any) any { return c.values.get(key) }

// GetOrSet returns the value under key; when there is none, it keeps the result of mk
// and returns that. mk runs with the values locked, so it must not use them.
func (c *Conn) GetOrSet(key any, mk func() any) any { return c.values.getOrSet(key, mk) }

// Visit implements virtsocket.Handler.
func (c *client) Visit(x host.Exchange) *dialect.Refusal {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	conn.mu.Lock()
	checks := slices.Clone(conn.checks)
	conn.mu.Unlock()
	for _, check := range checks {
		if err := c.visit(check, x); err != nil {
			return c.srv.forbidden(err)
		}
	}
	return nil
}

func (c *client) visit(check func(x host.Exchange) error, x host.Exchange) error {
	return c.srv.apart(inOnExchange, c, nil, func() error { return settled(check(x)) })
}

// forbidden is the answer to a request that application code refuses.
func (s *Server) forbidden(err error) *dialect.Refusal {
	ref := &dialect.Refusal{Code: dialect.Forbidden}
	if err == errPanic {
		ref.Status, ref.Message = http.StatusInternalServerError, internalError.Message
		ref.Cause = dialect.CauseReported
	} else if e := s.asError(err); e != nil {
		ref.Message = e.Message
	} else {
		ref.Cause = dialect.CauseReported
	}
	return ref
}
