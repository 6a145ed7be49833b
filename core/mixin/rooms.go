// Package mixin has ready bundles for sio.Namespace.Mix: rooms that clients join
// and leave, presence, history, and relays. Each is small, uses the public API
// alone, and is meant to be read as well as used: write your own like them.
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

// Rooms lets clients join and leave rooms by events with the room's name, which
// are acknowledged with it. The namespace's policies (acl.RoomPrefix) and Policy
// decide which. Rooms of the server's own (sio.ServerRoom) can be neither joined nor
// left, and the name of a room that is a socket's id is refused, because what is sent
// to that socket alone would be overheard.
type Rooms struct {
	JoinEvent  string     // "join"
	LeaveEvent string     // "leave"
	Policy     acl.Policy // asked with the kind acl.Join; nil: no opinion
	Max        int        // how many rooms one client may be in; 64
	MaxName    int        // the longest name, in bytes; 256
	// Enter puts the socket into the room; Socket.Join. History.Join sends what
	// was said there as well.
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
	if in := len(s.Rooms()); in >= r.Max && !s.In(room) {
		return "", sio.Errorf(sio.CodeRefused, "you are in %d rooms already", in)
	}
	return room, r.Enter(s, room)
}

// everything is the policy that has no objection: with it abstaining is agreeing.
var everything = acl.PolicyFunc(func(context.Context, acl.Subject, acl.Action) error { return nil })
