package sio

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
)

// Conn is a client's connection: what its sockets, one in each namespace, share.
// It outlives the change from polling to a websocket. All methods are safe for
// concurrent use.
type Conn struct {
	client *client
	values values
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	rooms  []string
	in     map[string]struct{} // what rooms holds, each once
	checks []func(x host.Exchange) error
}

var _ ValueStore = (*Conn)(nil)

type openingKey struct{}

// ConnFromContext returns the connection that is being opened. ctx is that of
// Options.OnHandshake, or derived from it; with any other the result is nil. The
// connection has no sockets yet, and a refusal ends it.
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

// Request is a copy of the request that opened the connection.
func (c *Conn) Request() *Request { return c.client.req }

// Context ends with the connection.
func (c *Conn) Context() context.Context { return c.ctx }

// Sockets are the connected sockets of the connection.
func (c *Conn) Sockets() []*Socket {
	return slices.DeleteFunc(c.client.list(), func(s *Socket) bool { return !s.Connected() })
}

// Close takes the client out of every namespace and ends the connection. Official clients
// do not come back by themselves after it, as they do after CloseTransport. While
// OnConnect runs for a socket of the connection, that client is refused first.
func (c *Conn) Close() {
	if c.client.shutOut(nil, true) {
		return
	}
	for _, s := range rootLast(c.client.list()) {
		s.disconnect(ServerNamespace, true)
	}
	c.client.vs.Close(ServerNamespace.below())
}

// CloseTransport closes the transport as a failing network would, so that official clients
// connect again by themselves, with fresh cookies. While OnConnect runs for a socket of
// the connection, that client is refused first, as by Socket.CloseTransport. Nothing that it
// sends is handled from then on. When it has joined no namespace, it has a moment to
// leave by itself.
func (c *Conn) CloseTransport() {
	if !c.client.shutOut(nil, false) {
		c.client.vs.Drop()
	}
}

// Transport is the name of the transport in use, as in Options.Transports.
func (c *Conn) Transport() string { return c.client.vs.Transport() }

// EndPoll has a poll that is held answered at once, with nothing, so that the client
// sends the next one, with its cookies as they are then.
func (c *Conn) EndPoll() { c.client.vs.EndPoll() }

// Join puts every socket of the connection into rooms, those that connect later
// before their client is told.
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

// OnExchange adds a function that sees every further HTTP request of the
// connection: polls, posts, the upgrade. An error refuses the request as one of
// Options.OnHandshake does, and drops the connection. x must not be kept.
func (c *Conn) OnExchange(fn func(x host.Exchange) error) {
	if fn == nil {
		panic("sio: nil function for OnExchange of a connection")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks = append(c.checks, fn)
}

// Set implements ValueStore: it keeps a value with the connection.
func (c *Conn) Set(key, value any) { c.values.set(key, value) }

// Get implements ValueStore: it returns the value that is kept under key, or nil.
func (c *Conn) Get(key any) any { return c.values.get(key) }

// GetOrSet implements ValueStore: it returns the value under key, made by mk if there
// is none.
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
