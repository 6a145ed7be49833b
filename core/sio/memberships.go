package sio

// manyRooms is how many rooms a socket may be in before it keeps a map of them. A
// walk over fewer is as quick, and most sockets pay no memory for a map.
const manyRooms = 16

// Join puts the socket into rooms; a room that it is in already makes no difference. A
// room exists as long as a socket is in it. All rooms are left after OnDisconnect. A
// socket that has ended joins nothing.
func (s *Socket) Join(names ...string) {
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	for _, name := range names {
		if s.left {
			return
		}
		if s.membership(name) == nil {
			s.moves(name)
			s.addMembership(s.joinRoom(name, nil))
		}
	}
}

// Leave takes the socket out of rooms. A room that the socket is not in makes no
// difference.
func (s *Socket) Leave(names ...string) {
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	for _, name := range names {
		if m := s.membership(name); m != nil {
			s.moves(name)
			s.leaveMembership(m)
			s.removeMembership(m)
		}
	}
}

// LeaveAll takes the socket out of all rooms that Rooms lists. It stays in the server's
// own rooms (see ServerRoom), and its id still addresses it.
func (s *Socket) LeaveAll() { s.Leave(s.Rooms()...) }

// membership is that of the socket in a room, or nil; s.roomsMu is held.
func (s *Socket) membership(name string) *membership {
	if s.byRoom != nil {
		return s.byRoom[name]
	}
	for _, m := range s.memberships {
		if m.room.name == name {
			return m
		}
	}
	return nil
}

// addMembership adds a membership; s.roomsMu is held.
func (s *Socket) addMembership(m *membership) {
	m.inSocket = int32(len(s.memberships))
	s.memberships = append(s.memberships, m)
	if !ServerRoom(m.room.name) {
		s.listed++
	}
	switch {
	case s.byRoom != nil:
		s.byRoom[m.room.name] = m
	case len(s.memberships) > manyRooms:
		s.byRoom = make(map[string]*membership, 2*manyRooms)
		for _, m := range s.memberships {
			s.byRoom[m.room.name] = m
		}
	}
}

// removeMembership removes a membership; s.roomsMu is held.
func (s *Socket) removeMembership(m *membership) {
	last := len(s.memberships) - 1
	moved := s.memberships[last]
	s.memberships[m.inSocket] = moved
	moved.inSocket = m.inSocket
	s.memberships[last] = nil
	s.memberships = s.memberships[:last]
	if !ServerRoom(m.room.name) {
		s.listed--
	}
	if delete(s.byRoom, m.room.name); last < manyRooms/2 {
		s.byRoom = nil
	}
}

// Rooms returns the names of the rooms that the socket has joined, in no particular
// order, without the server's own rooms (see ServerRoom) and without the socket's id.
// The slice is the caller's.
func (s *Socket) Rooms() []string {
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	names := make([]string, 0, s.listed)
	for _, m := range s.memberships {
		if !ServerRoom(m.room.name) {
			names = append(names, m.room.name)
		}
	}
	return names
}

// RoomCount is the number of rooms that Rooms lists. The cost does not grow with the
// number, so it can be called at every join.
func (s *Socket) RoomCount() int {
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	return s.listed
}

// leaveAll ends every membership, for good: the socket joins nothing afterwards. It is
// called once.
func (s *Socket) leaveAll() {
	rec := s.recovery
	if rec != nil {
		rec.depart(s)
	}
	s.ns.rooms.remove(s)
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	s.left = true
	if rec != nil {
		rec.holdRooms()
	}
	for _, m := range s.memberships {
		s.ns.rooms.leave(m)
	}
	s.memberships, s.byRoom, s.listed = nil, nil, 0
	if rec != nil {
		if rec.log.r.leave(s, rec) {
			return
		}
		rec.releaseRooms()
	}
	s.ns.exit()
}
