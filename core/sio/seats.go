package sio

// manySeats is how many rooms a socket may be in before it keeps a map of them. A
// walk over fewer is as quick, and most sockets pay no memory for a map.
const manySeats = 16

// Join puts the socket into rooms. A socket that has ended joins nothing.
func (s *Socket) Join(names ...string) {
	s.seating.Lock()
	defer s.seating.Unlock()
	for _, name := range names {
		if s.left {
			return
		}
		if s.seat(name) == nil {
			s.take(s.ns.rooms.join(s, name))
		}
	}
}

// Leave takes the socket out of rooms.
func (s *Socket) Leave(names ...string) {
	s.seating.Lock()
	defer s.seating.Unlock()
	for _, name := range names {
		if st := s.seat(name); st != nil {
			s.ns.rooms.leave(st)
			s.give(st)
		}
	}
}

// LeaveAll takes the socket out of all rooms that Rooms lists. It stays in the server's
// own (see ServerRoom), and its id still addresses it.
func (s *Socket) LeaveAll() { s.Leave(s.Rooms()...) }

// seat is the socket's membership of a room, or nil; s.seating is held.
func (s *Socket) seat(name string) *seat {
	if s.byRoom != nil {
		return s.byRoom[name]
	}
	for _, st := range s.seats {
		if st.room.name == name {
			return st
		}
	}
	return nil
}

// take adds a membership; s.seating is held.
func (s *Socket) take(st *seat) {
	st.place = len(s.seats)
	s.seats = append(s.seats, st)
	if !ServerRoom(st.room.name) {
		s.listed++
	}
	switch {
	case s.byRoom != nil:
		s.byRoom[st.room.name] = st
	case len(s.seats) > manySeats:
		s.byRoom = make(map[string]*seat, 2*manySeats)
		for _, st := range s.seats {
			s.byRoom[st.room.name] = st
		}
	}
}

// give removes a membership; s.seating is held.
func (s *Socket) give(st *seat) {
	last := len(s.seats) - 1
	moved := s.seats[last]
	s.seats[st.place] = moved
	moved.place = st.place
	s.seats[last] = nil
	s.seats = s.seats[:last]
	if !ServerRoom(st.room.name) {
		s.listed--
	}
	if delete(s.byRoom, st.room.name); last < manySeats/2 {
		s.byRoom = nil
	}
}

// Rooms lists the rooms that the socket has joined, in no particular order,
// without those of the server's own (see ServerRoom) and without its id.
func (s *Socket) Rooms() []string {
	s.seating.Lock()
	defer s.seating.Unlock()
	names := make([]string, 0, s.listed)
	for _, st := range s.seats {
		if !ServerRoom(st.room.name) {
			names = append(names, st.room.name)
		}
	}
	return names
}

// RoomCount is how many rooms Rooms lists. It costs the same however many there are, so
// it can be asked at every join.
func (s *Socket) RoomCount() int {
	s.seating.Lock()
	defer s.seating.Unlock()
	return s.listed
}

// leaveAll empties every seat, for good. It is called once.
func (s *Socket) leaveAll() {
	s.ns.rooms.remove(s)
	s.seating.Lock()
	defer s.seating.Unlock()
	s.left = true
	for _, st := range s.seats {
		s.ns.rooms.leave(st)
	}
	s.seats, s.byRoom, s.listed = nil, nil, 0
	s.ns.exit()
}
