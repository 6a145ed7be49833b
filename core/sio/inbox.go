package sio

import (
	"context"
	"time"

	"github.com/siokit/siokit/core/internal/inbox"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// lastEventsTime is how long the contexts of the handlers live together that handle
// what was received before the client left.
const lastEventsTime = 5 * time.Second

// task is one thing to do in its turn. Its key in the inbox is its namespace, so the
// sockets of a client do not wait for each other; see package inbox. With the key
// inbox.Alone are what concerns all of them: the end of the connection, and where the
// server connects the default namespace by itself, that, for it goes before all others.
//
// The end of a connection takes its turn behind the packets that it was read
// behind. What a client has sent before its goodbye is handled, on a socket that is
// disconnected already; see client.Closed.
type task struct {
	p      *packet.Packet
	end    *Socket // run its OnDisconnect
	reason Reason
	leave  bool // the server shuts down, and everything before it is done
	last   bool // the connection has ended, and everything before it is done
	freeze bool // not its end: encode the values of end; see storeOne
}

// keyOf is the key of a packet in the inbox. A client that leaves the default namespace
// may leave all others by that: what it has sent to them before goes first.
func (c *client) keyOf(p *packet.Packet) string {
	if p.Type == packet.Disconnect && p.Namespace == "/" && c.rules().RootEndsConn {
		return inbox.Alone
	}
	return p.Namespace
}

// queue puts a lasting copy of a packet into the inbox, and waits while that is full.
func (c *client) queue(key string, p *packet.Packet) {
	size := p.Size()
	t := task{p: p.Clone()}
	p.Forget()
	if !c.inbox.Put(key, size, t) && t.p.Type == packet.Disconnect {
		c.partedLate(t.p.Namespace)
	}
}

// partedLate notes a DISCONNECT that comes when nothing is handled any more, as behind the
// client's turn in Shutdown. The handlers that still run are waited for all the same, but when
// the connection ends, the client has left.
func (c *client) partedLate(path string) {
	all := path == "/" && c.rules().RootEndsConn
	for _, s := range c.list() {
		if all || s.ns.path == path {
			s.mu.Lock()
			s.parted = true
			s.mu.Unlock()
		}
	}
}

// waiting counts what waits for an ack of this client: somebody must read on, and
// handle what is for other namespaces.
func (c *client) waiting(n int) {
	c.inbox.Calls(n)
	if n > 0 {
		c.inbox.Overtake()
		c.vs.Detach()
	}
}

// Overdue implements virtsocket.Handler: a handler takes long. Those of other namespaces
// do not wait for it.
func (c *client) Overdue() { c.inbox.Overtake() }

// Begin, End, WatchHandler and PauseHeartbeat are the session's part of inbox.Owner.
func (c *client) Begin()                 { c.vs.Begin() }
func (c *client) End()                   { c.vs.End() }
func (c *client) WatchHandler()          { c.vs.WatchHandler() }
func (c *client) PauseHeartbeat(on bool) { c.vs.PauseHeartbeat(on) }

// Do handles one packet or event of the connection's life.
func (c *client) Do(t task) {
	switch {
	case t.last:
		for _, s := range c.list() {
			switch {
			case s.why != 0: // who has disconnected it may not have come to say so
				c.end(s, s.why)
			case s.heard: // it was connecting when the connection ended
				c.end(s, c.why)
			}
		}
		if c.late != nil {
			c.late.cancel()
		}
		c.srv.running.Done()
	case t.leave:
		c.left()
	case t.freeze:
		c.freeze(t.end)
	case t.end != nil:
		c.end(t.end, t.reason)
	case t.p != nil:
		t.p.Restore()
		if r := c.packet(t.p); r != 0 {
			c.vs.Close(r.below())
		}
	}
}

// end runs the OnDisconnect functions of a socket, once, and frees its rooms.
func (c *client) end(s *Socket, r Reason) {
	if s.over {
		return
	}
	s.over = true
	t := s.ns.handlers()
	if t.loop != nil {
		close(s.received().over)
	}
	if tasks := s.overlap.Load(); tasks != nil {
		tasks.Wait()
	}
	for _, fn := range t.disconnect {
		_ = c.srv.apart(inOnDisconnect, c, s, func() error { s.disconnected(fn, r); return nil })
	}
	s.leaveAll()
	if r == ClientNamespace {
		c.forget(s)
	}
}

// onDisconnectTime is how long the context of an OnDisconnect function lives.
const onDisconnectTime = 5 * time.Second

// disconnected calls an OnDisconnect function. The socket's own context is over; what fn
// did with that would fail at once.
func (s *Socket) disconnected(fn func(ctx context.Context, s *Socket, r Reason), r Reason) {
	ctx, cancel := context.WithTimeout(context.Background(), onDisconnectTime)
	defer cancel()
	fn(ctx, s, r)
}

// lateContext is the context of events that are handled when their connection has
// ended, and what ends it.
type lateContext struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// eventContext is the context for an event of s, nil when it is not handled any
// more: the client, which did not know, has been taken out of the namespace.
func (c *client) eventContext(s *Socket) context.Context {
	switch s.state.Load() {
	case stateConnected:
		return s.Context()
	case stateDisconnected:
		if !s.heard || s.over {
			return nil
		}
		// The socket's own context is over. A handler that begins only now has not
		// been told to stop: what it does with a database must not fail for that.
		return c.lateContext()
	}
	return nil
}

// lateContext is one for all namespaces.
func (c *client) lateContext() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late == nil {
		c.late = new(lateContext)
		c.late.ctx, c.late.cancel = context.WithTimeout(context.Background(), lastEventsTime)
	}
	return c.late.ctx
}

// stillHeard reports whether the socket has ended, and what came before is handled.
func (s *Socket) stillHeard() bool { return s.state.Load() == stateDisconnected && s.heard }

// cutOff reports whether the application has ended the socket: what came before is not handled.
func (s *Socket) cutOff() bool { return s.state.Load() == stateDisconnected && !heard(s.why) }

// heard reports whether what was received before the end is handled: always but when
// the application has ended the connection. It is as in virtsocket.
func heard(r Reason) bool {
	return r != ServerNamespace && r != ServerTransportClose && r != Expired
}

// Closed implements virtsocket.Handler. It may be called with any lock held, so
// the work is done elsewhere.
//
// The sockets are disconnected at once: their contexts and calls end, so that
// handlers which wait for the client return. OnDisconnect takes its turn behind the
// packets that wait, and those are handled, as in Node, where they are dispatched
// before the close. Not so when the application has ended the connection: a
// client that was kicked or logged out does nothing more here.
func (c *client) Closed(why virtsocket.Reason) {
	r := Reason(why)
	c.srv.hub.Wheel().Stop(&c.timeout)
	go func() {
		c.mu.Lock()
		c.closed, c.why = true, r
		if c.due != nil {
			c.srv.hub.Wheel().Stop(&c.due.timer)
		}
		if c.conn != nil {
			c.conn.cancel()
		}
		c.mu.Unlock()
		var ends []*Socket
		for _, s := range c.list() {
			if _, due := s.close(r, false, heard(r)); due {
				ends = append(ends, s)
			}
		}
		// What a reader waits with goes before the end. Handlers that wait for the client
		// have been told by now, or there might never be room.
		c.vs.AwaitPayloads()
		c.inbox.Close()
		for _, s := range ends {
			c.inbox.Push(s.ns.path, task{end: s, reason: s.why})
		}
		c.inbox.Push(inbox.Alone, task{last: true})
	}()
}
