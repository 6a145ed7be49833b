// Package mixin has ready bundles of handlers for sio.Namespace.Mix: rooms that clients
// join and leave, presence, history, and relays. Each mixin is small and uses only the
// public API, so it is also an example of how to write your own.
//
//	history := &mixin.History{}
//	io.Of("/chat").Mix(&mixin.Rooms{Enter: history.Join}, history, &mixin.Presence{})
package mixin

import (
	"context"
	"unicode/utf8"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/sio"
)

// Rooms lets clients join and leave rooms. The client emits the event "join" or "leave"
// with the room's name, and the ack is that name. The policies of the namespace (such
// as acl.RoomPrefix) and Policy decide which rooms a client may enter; a refused client
// gets the error sio.CodeRefused.
//
// A client can neither join nor leave rooms of the server's own (sio.ServerRoom). It
// cannot join a room whose name is the id of a socket, because it would hear what is
// sent to that socket alone. RoomsMixin of gevent-socketio is for the server's code
// only; here that is Socket.Join and Namespace.To.
type Rooms struct {
	JoinEvent  string     // "join"
	LeaveEvent string     // "leave"
	Policy     acl.Policy // asked with the kind acl.Join; nil: no opinion
	Max        int        // how many rooms one client may be in, the application's joins included; 64
	MaxName    int        // the longest name, in bytes; 256
	// Enter puts the socket into the room; the default is Socket.Join. With History.Join
	// the socket also gets the last events of the room.
	Enter func(s *sio.Socket, room string) error
}

var _ sio.Mixin = (*Rooms)(nil)

func (r *Rooms) Mix(n *sio.Namespace) {
	c := *r
	if c.JoinEvent == "" {
		c.JoinEvent = "join"
	}
	if c.LeaveEvent == "" {
		c.LeaveEvent = "leave"
	}
	if c.Max <= 0 {
		c.Max = 64
	}
	if c.MaxName <= 0 {
		c.MaxName = 256
	}
	if c.Enter == nil {
		c.Enter = func(s *sio.Socket, room string) error {
			s.Join(room)
			return nil
		}
	}
	n.On(c.JoinEvent, sio.Reply(c.join))
	n.On(c.LeaveEvent, sio.Reply(func(_ context.Context, s *sio.Socket, room string) (string, error) {
		if s.In(room) { // never a room that the server has put it into
			s.Leave(room)
		}
		return room, nil
	}))
}

func (r *Rooms) join(ctx context.Context, s *sio.Socket, room string) (string, error) {
	refused := sio.Errorf(sio.CodeRefused, "you may not enter this room")
	a := acl.Action{Kind: acl.Join, Name: room}
	if len(room) > r.MaxName || !utf8.ValidString(room) || s.Check(ctx, a) != nil {
		return "", refused
	}
	if r.Policy != nil && acl.All(r.Policy, everything).Check(ctx, s, a) != nil {
		return "", refused
	}
	if in := s.RoomCount(); in >= r.Max && !s.In(room) {
		return "", sio.Errorf(sio.CodeRefused, "you are in %d rooms already", in)
	}
	return room, r.Enter(s, room)
}

// everything turns ErrAbstain into consent.
var everything = acl.PolicyFunc(func(context.Context, acl.Subject, acl.Action) error { return nil })
