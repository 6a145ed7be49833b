package sio

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/inbox"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/core/internal/wheel"
)

// client is one connection: the sockets of its namespaces, and the order in
// which its packets are handled.
//
// A packet is handled by the goroutine that read it. When that one is inside a
// handler and another reads on, packets wait in the inbox: those of the same namespace
// until the handler has returned, those of others until it has taken some time or waits
// for an ack of the client. Acks never wait.
type client struct {
	srv     *Server
	vs      *virtsocket.Socket
	req     *Request
	conn    *Conn                          // once somebody asks; guarded by mu
	dec     atomic.Pointer[packet.Decoder] // replaced when the connection ends over what it holds
	timeout wheel.Timer                    // until the first namespace is joined, or see linger
	due     *awaited                       // nil unless attachments are still to come
	inbox   inbox.Inbox[task]

	mu      sync.Mutex // guards what follows
	sockets []*Socket
	late    *lateContext // of the events that are handled after the end, once there is one
	joins   allowance    // of attempts to join
	joining int32        // attempts that have a place among sockets and none there yet
	closed  bool
	why     Reason // of closed
	joined  bool   // some namespace, once: the connect timeout is over
	expired bool   // the connect timeout came first: no namespace is joined any more
	banned  bool   // refused the namespace that its protocol begins with
	barred  barred // what it has sent is not handled any more
	leaving bool   // the application ends it, and disconnects all its sockets
}

func (c *client) rules() *dialect.Rules { return c.vs.Dialect().Rules() }

// Opened implements virtsocket.Handler: in the older protocols the server
// connects the default namespace by itself.
func (c *client) Opened() {
	if !c.rules().ImplicitConnect {
		return
	}
	t := task{p: &packet.Packet{Type: packet.Connect, Namespace: "/"}}
	if !c.srv.Of("/").handlers().slow() {
		if r, ok := c.inbox.Claim("/", 0); ok {
			c.Do(t)
			c.inbox.Release(r)
			return
		}
	}
	// Application code may take its time, but not the reader's. When the session has ended
	// meanwhile the inbox is closed, and refuses the task: behind the last one nobody would end
	// the socket.
	c.inbox.Put(inbox.Alone, 0, t)
}

// Message implements virtsocket.Handler.
func (c *client) Message(binary bool, data []byte, inline bool) virtsocket.Reason {
	return c.message(binary, data, inline).below()
}

func (c *client) message(binary bool, data []byte, inline bool) Reason {
	var p *packet.Packet
	var err error
	dec := *c.dec.Load()
	if binary {
		p, err = dec.Binary(data)
	} else {
		p, err = dec.Text(data)
	}
	if c.due != nil && (p != nil || err != nil) {
		c.complete()
	}
	if p != nil {
		// In every generation "chat" is "/chat": the pattern of a dynamic namespace
		// must not match under two names.
		p.Namespace = cleanPath(p.Namespace)
	}
	switch {
	case err != nil:
		c.newDecoder() // nothing of it is held while the connection ends
		c.notice(Failure{Name: FailurePacket, Err: err}, c.vs.Dialect().Name())
		return MalformedPacket
	case p == nil:
		// Attachments follow. They must not be held for a client that has not joined.
		if w, ok := dec.(interface{ Awaiting() (string, bool) }); ok {
			if ns, _ := w.Awaiting(); c.socket(ns) == nil {
				c.newDecoder()
				return ProtocolViolation
			}
		}
		c.await(len(data))
		return 0
	case p.Type == packet.Ack:
		defer p.Forget() // the decoder keeps nothing of it
		s := c.socket(p.Namespace)
		if s == nil {
			return c.stray(p.Namespace)
		}
		if p.HasID {
			s.acked(p)
		}
		return 0
	}
	c.take(p, inline)
	return 0
}

// take handles a packet now, if the caller may and nothing is before the packet, or puts
// it into the inbox.
func (c *client) take(p *packet.Packet, inline bool) {
	key := c.keyOf(p)
	if !inline {
		c.queue(key, p)
		return
	}
	role, ok := c.inbox.Claim(key, p.Size())
	if !ok {
		c.queue(key, p)
		return
	}
	// From AllowHandoff on another goroutine may read, and decode into what is ours.
	own := packets.Get().(*packet.Packet)
	*own, *p = *p, packet.Packet{Args: own.Args[:0]}
	c.vs.AllowHandoff()
	c.inbox.Run(role, task{p: own})
	own.Forget()
	packets.Put(own)
}

var packets = sync.Pool{New: func() any { return new(packet.Packet) }}

// socket returns the client's socket in a namespace, even one that the server
// has just disconnected, or nil.
func (c *client) socket(path string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		if s.ns.path == path {
			return s
		}
	}
	return nil
}

func (c *client) list() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sockets)
}

func (c *client) forget(s *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets = slices.DeleteFunc(c.sockets, func(o *Socket) bool { return o == s })
}

// stray answers a packet for a namespace that the client has not joined.
func (c *client) stray(path string) Reason {
	if !c.rules().AnswersStrayPackets {
		return ProtocolViolation
	}
	in := Failure{Name: FailureNoNamespace, Namespace: path, Where: path}
	c.notice(in, path)
	p := &packet.Packet{Type: packet.Failure, Namespace: path}
	if c.srv.opts.ExplainRefusals {
		p.Data, _ = c.srv.marshal(in.public())
	}
	c.send(p)
	return 0
}

// send sends a packet of the server's own. It reports false when the client's
// protocol has none of the kind.
func (c *client) send(p *packet.Packet) bool {
	m := c.vs.Dialect().Encode(p, true)
	if m == nil {
		return false
	}
	_ = c.vs.Send(m)
	return true
}

// packet handles one packet in its turn; a reason other than 0 ends the connection.
func (c *client) packet(p *packet.Packet) Reason {
	s := c.socket(p.Namespace)
	if s == nil && p.Type != packet.Connect && (c.hasEnded() || c.bar() != 0) {
		return 0
	}
	switch p.Type {
	case packet.Connect:
		if s != nil && s.state.Load() != stateDisconnected {
			if c.rules().AnswersStrayPackets || c.rules().ImplicitConnect {
				return 0 // some clients join what the server has joined for them
			}
			return ProtocolViolation
		}
		if s != nil {
			if s.why != 0 { // its end waits behind this packet
				c.end(s, s.why)
			}
			c.forget(s)
		}
		c.connect(p)
	case packet.Disconnect:
		if c.rules().RootEndsConn && p.Namespace == "/" {
			for _, s := range c.list() {
				c.leave(s)
			}
			return ClientNamespace
		}
		if s == nil {
			return c.stray(p.Namespace)
		}
		c.leave(s)
	case packet.Event, packet.Text, packet.JSON:
		if s == nil {
			return c.stray(p.Namespace)
		}
		if ctx := c.eventContext(s); ctx != nil { // else: sent before the client knew
			if p.Bare {
				_ = s.ack(p.ID, nil)
				p.HasID = false
			}
			c.event(ctx, s, p)
		}
	default:
		return c.stray(p.Namespace)
	}
	return 0
}

// leave takes the client out of a namespace at its own wish. When the connection has
// ended meanwhile, the wish still came first.
func (c *client) leave(s *Socket) {
	switch {
	case s.disconnect(ClientNamespace, false):
	case s.heard && !s.over:
		if s.recovery != nil {
			s.recovery.why = ClientNamespace // it does not come back
		}
		c.end(s, ClientNamespace)
	default:
		c.forget(s) // both sides have said goodbye
	}
}

// greeted reports whether the client takes itself for connected to a namespace that
// it has not joined yet: in the protocols in which the first message of the
// connection says so. It may have sent events, and have gone, while OnConnect runs.
func (c *client) greeted(path string) bool { return path == "/" && c.rules().RootEndsConn }

// hasEnded reports whether the connection has.
func (c *client) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// event finds the handler of a message or event and runs it.
func (c *client) event(ctx context.Context, s *Socket, p *packet.Packet) {
	t := s.ns.handlers()
	e, kind := t.find(p)
	if len(t.guards) > 0 && !c.admitted(ctx, t.guards, s, e, kind, p) {
		return
	}
	shared := e == nil || e.keeps || len(t.incoming) > 0 // somebody else sees the event
	if e == nil && len(t.incoming) == 0 {
		c.refused(s, p, Failure{Name: FailureNoHandler, Where: string(p.Name)})
		return
	}
	var ev *Event
	codec := c.srv.opts.JSON
	if shared {
		ev = new(Event) // it does not come back to the pool
	} else {
		ev, codec = events.Get().(*Event), c.srv.unshared
	}
	ev.fill(s, p, codec)
	lent := ev.Args.raw
	if e != nil && e.name != "" {
		ev.Name = e.name
	} else {
		ev.Name = string(p.Name)
	}
	if len(t.incoming) > 0 {
		c.incoming(ctx, t.incoming, ev)
	}
	if e == nil {
		c.refused(s, p, Failure{Name: FailureNoHandler, Where: ev.Name})
		return
	}
	c.serve(ctx, e.h, ev)
	if !shared {
		ev.release()
		return
	}
	// The event may be kept, to be acknowledged later; its arguments are not valid any more, and
	// their list is used again.
	p.Args = lent
}

// admitted asks the policies, and sees to the answer when one of them refuses.
func (c *client) admitted(ctx context.Context, guards []acl.Policy, s *Socket, e *entry, kind acl.Kind, p *packet.Packet) bool {
	id, asks, returned := p.ID, p.HasID, false
	defer func() {
		if !returned && asks { // a policy has ended the goroutine
			s.ackError(id, internalError, nil)
		}
	}()
	a := action(e, kind, p)
	err := c.check(ctx, guards, s, a)
	returned = true
	if err != nil {
		c.refused(s, p, Failure{Name: FailureDenied, Err: err, Where: a.Name})
	}
	return err == nil
}

// incoming runs the OnAny functions.
func (c *client) incoming(ctx context.Context, fns []func(context.Context, *Event), ev *Event) {
	returned := false
	defer func() {
		if !returned && ev.hasID && ev.answer() { // one of them has ended the goroutine
			ev.ackError(internalError)
		}
	}()
	for _, fn := range fns {
		func() {
			ended := errExit
			defer c.srv.caught(inOnAny, "", c, ev.Socket, &ended)
			fn(ctx, ev)
			ended = nil
		}()
	}
	returned = true
}

// serve runs a handler and sees to its error.
func (c *client) serve(ctx context.Context, h Handler, ev *Event) {
	err := errExit
	defer func() {
		if err != nil { // from caught, which runs first: the goroutine may be ending
			c.answer(err, ev)
		}
	}()
	defer c.srv.caught(inHandler, ev.Name, c, ev.Socket, &err)
	failure := settled(h.ServeEvent(ctx, ev))
	err = nil
	if failure != nil {
		c.answer(failure, ev)
	}
}

// answer answers an event whose handler has returned an error.
func (c *client) answer(err error, ev *Event) {
	c.failed(err, ev.Name, ev.Socket)
	e := c.srv.public(err)
	if !ev.hasID {
		if err := ev.Socket.EmitError(e); err != nil {
			c.failed(err, ev.Name, ev.Socket)
		}
		return
	}
	if ev.answer() {
		ev.ackError(e)
	}
}

// Expired implements wheel.Owner: no namespace was joined in time, or a client that is
// shut out is still there. It may come while a namespace is being joined.
func (c *client) Expired(*wheel.Timer) {
	c.mu.Lock()
	joined, banned, barred := c.joined, c.banned, c.barred
	c.expired = !joined
	c.mu.Unlock()
	switch {
	case barred != 0: // it has been told, and has not left
		c.vs.Close(barred.reason().below())
	case joined:
	case banned: // or it would come back for the same refusal, again and again
		c.dismiss("/")
	default:
		c.vs.Close(ProtocolViolation.below())
	}
}
