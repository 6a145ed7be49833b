package sio

import (
	"strings"

	"github.com/siokit/siokit/core/acl"
)

// serverRoom is what the name of a room of the server's own begins with.
const serverRoom = "\x00"

// ServerRoom reports whether a room is the server's own: its name begins with a
// zero byte. Such rooms are for code that puts sockets into them without their
// clients' doing, as mixin.Presence and the session bridge do. Join, Leave and To
// take their names like any other; Rooms does not list them, In does not know them,
// and Check refuses clients that ask for them. Code that uses a room's name as a
// client has sent it asks Check before it joins, and In before it leaves or emits.
func ServerRoom(name string) bool { return strings.HasPrefix(name, serverRoom) }

// In reports whether the socket has joined a room, as Rooms would list it: it is
// false for rooms of the server's own, and for the room that is the socket's id.
func (s *Socket) In(room string) bool {
	if ServerRoom(room) {
		return false
	}
	s.seating.Lock()
	defer s.seating.Unlock()
	return s.seat(room) != nil
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
