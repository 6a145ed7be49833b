package sio

import (
	"context"
	"errors"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/internal/packet"
)

// Connection returns Conn, for policies whose state must survive leaving and joining again,
// such as acl.RateLimit.
func (s *Socket) Connection() acl.Subject { return s.client.connection() }

// Check asks the policies of the socket's namespace about an action. It returns nil, or
// the error of the first policy that refuses. What a client sends is checked without a
// call of Check; it is for code that acts for a client, as the mixins do when a client
// asks for a room. For acl.Join, the server's own rooms (see ServerRoom) and the ids of
// sockets are refused whatever the policies say.
func (s *Socket) Check(ctx context.Context, a acl.Action) error {
	if err := s.claimed(a); err != nil {
		return err
	}
	return s.client.check(ctx, s.ns.handlers().guards, s, a)
}

// check asks policies about an action.
func (c *client) check(ctx context.Context, guards []acl.Policy, s *Socket, a acl.Action) (err error) {
	err = errExit
	defer c.srv.caught(inGuard, "", c, s, &err)
	return asked(ctx, guards, s, a)
}

// packetName reports whether policies know a packet by this name, which is then no event's.
func packetName(name string) bool {
	return name == acl.RecvConnect || name == acl.RecvMessage || name == acl.RecvJSON
}

// asked is the one place where policies are asked.
func asked(ctx context.Context, guards []acl.Policy, s *Socket, a acl.Action) error {
	if len(guards) > 0 && a.Kind == acl.Event && packetName(a.Name) {
		return acl.ErrDenied // no policy must take the event for the packet of that name
	}
	for _, p := range guards {
		if err := settled(p.Check(ctx, s, a)); err != nil && !errors.Is(err, acl.ErrAbstain) {
			return err
		}
	}
	return nil
}

// refusal is the answer to an event that does not exist or is not allowed: one
// and the same, so that it tells nothing.
var refusal = &Error{Code: CodeRefused, Message: "event refused"}

// refused answers an event that was not handled. in says why; the client is told
// only with Options.ExplainRefusals.
func (c *client) refused(s *Socket, p *packet.Packet, in Failure) {
	in.Socket = s
	c.notice(in, in.Where)
	e := refusal
	if c.srv.opts.ExplainRefusals {
		e = in.public()
	} else if !p.HasID {
		return
	}
	if p.HasID {
		s.ackError(p.ID, e, nil)
		return
	}
	_ = s.EmitError(e)
}

// public is what Options.ExplainRefusals tells clients.
func (in *Failure) public() *Error {
	text := map[string]string{
		FailureDenied:      "you may not use it: ",
		FailureNoNamespace: "there is no such namespace: ",
		FailureNoHandler:   "there is no such event: ",

		FailureTooManyNamespaces: "there are too many namespaces: ",
	}
	return Errorf(in.Name, "%s%s", text[in.Name], in.Where)
}

// turnAway answers a client that may not join a namespace, or asks for one that
// does not exist: one and the same.
func (c *client) turnAway(path string, in Failure) {
	in.Namespace = path
	c.notice(in, path)
	if c.srv.opts.ExplainRefusals {
		c.refuse(path, in.public())
		return
	}
	c.sendRefusal(path, []byte(packet.InvalidNamespace))
}

// EmitError tells the client that something has failed, in the form of a handler's
// error when no ack was asked for: the event "error" with e, and for clients before 3.0
// the form that their protocol has. When e cannot be encoded the client gets
// CodeInternal, and the error says why. It is error of gevent-socketio.
func (s *Socket) EmitError(e *Error) error {
	if e == nil {
		e = internalError
	}
	returned := false
	defer func() {
		if !returned { // encoding has ended the goroutine
			_ = s.sendPacket(&packet.Packet{Type: packet.Failure, Data: []byte(internalData)})
		}
	}()
	data, err := s.ns.srv.marshal(e)
	returned = true
	if err != nil {
		data = []byte(internalData)
	}
	return errors.Join(err, s.sendPacket(&packet.Packet{Type: packet.Failure, Data: data}))
}
