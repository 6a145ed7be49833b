package sio

import (
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/internal/packet"
)

// allowance is a token bucket: so many at once, and then as many as come back with
// the time. The zero value is a full one.
//
// It is small because every connection has one. The time wraps after 49 days, which
// takes away what has come back in such a pause and gives nothing.
type allowance struct {
	used float32
	at   uint32 // ms
}

// maxBurst is the largest number up to which a float32 counts by one.
const maxBurst = 1<<24 - 1

// take reports whether there is one more. now counts from any moment, always the same.
func (a *allowance) take(now time.Duration, burst int, perSecond float64) bool {
	ms := uint32(now.Milliseconds())
	a.used = max(0, a.used-float32(float64(ms-a.at)/1000*perSecond))
	a.at = ms
	if a.used+1 > float32(min(burst, maxBurst)) {
		return false
	}
	a.used++
	return true
}

// connect joins a namespace. A client that may not is told so; what it has tried
// does not count as joining for the connect timeout.
func (c *client) connect(p *packet.Packet) {
	if c.hasEnded() && !c.greeted(p.Namespace) || c.stopped(p.Namespace) || !c.mayJoin(p.Namespace) {
		return
	}
	ns := c.namespace(p.Namespace)
	if ns == nil {
		c.add(nil)
		return
	}
	s := &Socket{ns: ns, client: c, id: c.srv.newID()}
	if p.Data != nil {
		s.sent = &sent{append([]byte(nil), p.Data...), p.Query}
	}
	c.recover(s, p)
	t := ns.handlers()
	if !c.add(s) {
		if s.recovery != nil && c.hasEnded() { // the client may come back
			s.disconnect(TransportClose, false)
		}
		c.stopped(ns.path) // while the namespace was entered
		c.abandon(s)
		return
	}
	s.recovery.expire(s)
	asked := !s.recovered || !c.srv.opts.Recovery.SkipConnect
	if asked && c.refusedBy(t, s) {
		c.abandon(s)
		return
	}
	s.recovery.welcoming(s)
	if !c.welcome(s) && !s.isHeard() {
		c.abandon(s)
		return
	}
	for _, fn := range t.connected {
		_ = c.srv.apart(inOnConnected, c, s, func() error { fn(s.Context(), s); return nil })
	}
	if t.loop != nil {
		s.startLoop(t.loop)
	}
}

// isHeard is heard for a goroutine that has not seen the end of the socket: the connection may be
// ending beside it.
func (s *Socket) isHeard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// mayJoin reports whether the client may try to join one more namespace. If so it has a
// place, which is its socket's with add.
func (c *client) mayJoin(path string) bool {
	o := &c.srv.opts
	c.mu.Lock()
	allowed := c.joins.take(c.srv.hub.Wheel().Now(), o.JoinBurst, o.JoinRate)
	many := len(c.sockets)+int(c.joining) >= o.MaxNamespaces
	if allowed && !many {
		c.joining++
	}
	c.mu.Unlock()
	switch {
	case !allowed:
		c.turnBack(path, Failure{Name: FailureTooManyJoins}, "Too many joins")
	case many:
		c.turnBack(path, Failure{Name: FailureTooManyNamespaces}, "Too many namespaces")
	}
	return allowed && !many
}

// namespace enters the namespace that the client asks for. It is nil, and the client is
// refused, when there is none.
func (c *client) namespace(path string) *Namespace {
	ns, err := c.enter(path)
	switch {
	case err == errTooManyDynamic:
		c.turnAway(path, Failure{Name: FailureTooManyNamespaces, Where: path, Err: err})
	case err != nil:
		c.refuse(path, internalError)
	case ns == nil:
		c.turnAway(path, Failure{Name: FailureNoNamespace, Where: path})
	default:
		return ns
	}
	return nil
}

// add gives the place of mayJoin to a socket that is connecting; nil gives it back. It
// reports false when the connection has ended and nothing that the client has sent is
// handled any more.
func (c *client) add(s *Socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joining--
	if s == nil || c.barred != 0 || c.leaving {
		return false
	}
	if c.closed {
		if !heard(c.why) || !c.greeted(s.ns.path) {
			return false
		}
		s.heard = true
		s.state.Store(stateDisconnected)
	}
	c.sockets = append(c.sockets, s)
	return true
}

// abandon ends a socket whose client is not to join. Whether the client has been told
// is the caller's business: it may be the application or the connect timeout that came
// first.
func (c *client) abandon(s *Socket) {
	s.disconnect(ServerNamespace, false)
	s.leaveAll()
	c.forget(s)
}

// refusedBy asks the policies and the OnConnect functions about a new socket. A client
// that is refused has been told, once: the application may have disconnected it
// before it returned an error.
func (c *client) refusedBy(t *table, s *Socket) bool {
	var denied error
	if len(t.guards) > 0 { // no context for those who need none
		denied = c.srv.apart(inGuard, c, s, func() error {
			return asked(s.Context(), t.guards, s, acl.Action{Kind: acl.Connect, Name: acl.RecvConnect})
		})
	}
	err := denied
	if err == nil {
		err = c.admit(t, s)
	}
	if err == nil {
		return false
	}
	switch told := !s.disconnect(ServerNamespace, false); {
	case told:
	case denied != nil:
		c.turnAway(s.ns.path, Failure{Name: FailureDenied, Err: denied, Where: acl.RecvConnect})
	default:
		c.refuse(s.ns.path, c.srv.public(err))
	}
	return true
}

// welcome makes a socket a connected one and tells the client. It reports false when
// the socket was disconnected meanwhile, by OnConnect itself, by somebody else, or
// with the connection, and when the connect timeout came first.
func (c *client) welcome(s *Socket) bool {
	c.joinRooms(s)
	if !s.recovered {
		s.arrives()
	}
	rec := s.recovery
	if rec != nil {
		rec.log.mu.Lock() // until all that was missed is queued
		defer rec.log.mu.Unlock()
	}
	// Before the answer: a client that has it must not miss the next broadcast.
	// Until the answer is out, what is sent to the socket waits behind it.
	s.ns.rooms.add(s)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == stateDisconnected {
		return false
	}
	c.mu.Lock()
	c.joined = !c.expired
	late := c.expired
	c.mu.Unlock()
	if late {
		return false
	}
	var missed []keptEvent
	if rec != nil { // not before it is certain that the client gets it
		var ok bool
		if missed, ok = rec.enter(s); !ok {
			c.vs.Drop() // what it lacks was pushed out while OnConnect ran: it comes back as a new one
			return false
		}
	}
	c.srv.hub.Wheel().Stop(&c.timeout)
	c.vs.Settle()
	c.send(&packet.Packet{Type: packet.Connect, Namespace: s.ns.path, Data: s.welcomed()})
	if rec != nil {
		rec.begin(s, missed)
	}
	if s.early != nil {
		for _, e := range s.early.messages {
			if e.volatile {
				_ = c.vs.SendVolatile(e.m)
			} else {
				_ = c.vs.Send(e.m)
			}
		}
		s.early = nil
	}
	s.state.Store(stateConnected)
	return true
}

// enter finds a namespace for this client.
func (c *client) enter(path string) (*Namespace, error) {
	return c.srv.enter(path, func(p *Namespace) (params map[string]string, ok bool, err error) {
		if p.many.byName != nil { // a pattern: no application code
			params, ok = p.many.match(path, c.req)
			return params, ok, nil
		}
		err = c.srv.apart(inOfFunc, c, nil, func() error { params, ok = p.many.match(path, c.req); return nil })
		return params, ok, err
	})
}

// slow reports whether joining takes application code.
func (t *table) slow() bool {
	return len(t.guards)+len(t.connect)+len(t.connected) > 0 || t.loop != nil
}

// admit runs the OnConnect functions.
func (c *client) admit(t *table, s *Socket) (err error) {
	if len(t.connect) == 0 {
		return nil
	}
	err = c.srv.apart(inOnConnect, c, s, func() error {
		ctx := s.Context()
		for _, fn := range t.connect {
			if err := settled(fn(ctx, s)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		c.failed(err, string(inOnConnect), s)
	}
	return err
}

// refuse sends a CONNECT_ERROR.
func (c *client) refuse(path string, e *Error) {
	body := struct {
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}{e.Message, e.Data}
	var data []byte
	err := c.srv.apart(inEncode, c, nil, func() (err error) {
		data, err = c.srv.marshal(body)
		return err
	})
	if err != nil {
		c.srv.opts.Logger.Error("siokit: a refusal cannot be encoded", "namespace", path, "error", err)
		data = []byte(`{"message":"internal error"}`)
	}
	c.sendRefusal(path, data)
}

// sendRefusal sends a CONNECT_ERROR. Where the protocol has none the end of the
// connection says it.
func (c *client) sendRefusal(path string, data []byte) {
	if path == "/" && c.rules().ImplicitConnect {
		c.mu.Lock()
		c.banned = true
		c.mu.Unlock()
	}
	if !c.send(&packet.Packet{Type: packet.ConnectError, Namespace: path, Data: data}) {
		c.vs.Close(ServerNamespace.below())
	}
}

// kicked is what a client is told that the application has disconnected while it was
// connecting.
var kicked = &Error{Message: "Disconnected"}

// kick refuses a client that the application has disconnected while it was
// connecting, and disconnects it. For most clients a refusal is an error of a
// namespace that they keep, and that they join again with the next connection: only the
// DISCONNECT has them give the namespace up. Where the connection ends with the
// namespace, the connection ends.
func (c *client) kick(path string, r Reason) {
	e := kicked
	if r == Expired {
		e = notAnyMore
	}
	c.refuse(path, e)
	c.dismiss(path)
}

// dismiss tells the client that it is out of a namespace, and ends the connection
// where that is the same.
func (c *client) dismiss(path string) {
	said := c.send(&packet.Packet{Type: packet.Disconnect, Namespace: path})
	if !said || c.rules().RootEndsConn && path == "/" {
		c.vs.Close(ServerNamespace.below())
	}
}

// turnBack refuses a client that asks for more than it may have.
func (c *client) turnBack(path string, in Failure, message string) {
	in.Namespace, in.Where = path, path
	c.notice(in, message)
	c.refuse(path, &Error{Message: message})
}
