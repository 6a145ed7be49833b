package sio

import (
	"strings"

	"github.com/siokit/siokit/core/acl"
)

// serverRoom is what the name of a room of the server's own begins with.
const serverRoom = "\x00"

// ServerRoom reports whether a room is the server's own: its name begins with a zero
// byte. Such rooms are for code that puts sockets into rooms on its own account, as
// mixin.Presence and the session bridge do. Join, Leave and To take their names like
// any other. Rooms does not list them, In does not find them, and Check refuses them to
// clients.
//
// Code that gets the name of a room from a client asks Check before it joins the room,
// and In before it leaves the room or emits to it.
func ServerRoom(name string) bool { return strings.HasPrefix(name, serverRoom) }

// In reports whether the socket has joined a room. It is false for rooms of the
// server's own (see ServerRoom), and for the room that has the socket's id as its name.
func (s *Socket) In(room string) bool {
	if ServerRoom(room) {
		return false
	}
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	return s.membership(room) != nil
}

// claimed refuses a client the rooms that no policy can grant: those of the
// server's own, and the id of a socket, in either of its forms, because what is sent
// to that socket alone would be overheard.
func (s *Socket) claimed(a acl.Action) error {
	if a.Kind == acl.Join && (ServerRoom(a.Name) || s.ns.rooms.byID(a.Name) != nil) {
		return acl.ErrDenied
	}
	return nil
}
