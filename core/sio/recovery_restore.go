package sio

import "maps"

// What a session keeps of a socket that ends, and what the next socket gets of it.

// depart notes where the socket ends. What comes from here on is found in the log.
func (rec *recoverable) depart(s *Socket) {
	l := rec.log
	values, frozen := s.values.restorable(), frozen{}
	if l.r.srv.node != nil && rec.stays() {
		frozen = s.freeze(values)
	}
	s.ns.lines(func(x *onItsWay) {
		if _, pinned := x.pinned[s]; pinned { // at which position is not known yet
			rec.spent = true
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if !rec.restoring {
		rec.since = max(l.position, rec.upTo)
		if l.broke > rec.sound {
			rec.broke = l.broke
		}
	}
	for name, st := range rec.before {
		if _, again := rec.joined[name]; !again {
			rec.joined[name] = st
		}
	}
	rec.before, rec.restoring = nil, false
	rec.values, rec.frozen = values, frozen
	s.mu.Lock()
	if s.expiry != nil {
		rec.ends = s.expiry.at
	}
	s.mu.Unlock()
}

// expire has a socket that came back end when the earlier one would have ended, unless OnConnect
// says otherwise.
func (rec *recoverable) expire(s *Socket) {
	if rec != nil && !rec.ends.IsZero() {
		_ = s.ExpireAt(rec.ends)
	}
}

// restore gives a new socket what the session has kept.
func (rec *recoverable) restore(s *Socket) {
	s.mu.Lock()
	s.id, s.recovery, s.recovered = rec.id, rec, true
	if rec.why = 0; s.state.Load() == stateDisconnected { // the client is back once more, on another connection
		rec.why = TransportClose
	}
	s.mu.Unlock()
	s.values.m = maps.Clone(rec.values)
	rec.log.mu.Lock()
	rec.restoring = true
	if rec.log.r.live == nil {
		rec.frozen = frozen{}
	}
	rec.before, rec.joined = rec.joined, make(map[string]stay)
	before := maps.Clone(rec.before)
	rec.log.mu.Unlock()
	for name, st := range before {
		if !ServerRoom(name) {
			s.rejoin(name, st)
		}
	}
	if rec.stored { // it had no part here
		rec.stored = false
		return
	}
	// The socket has its own part in the namespace, and in the rooms.
	rec.heldOver(before)
	s.ns.exit()
}

// rejoin is Join for a room of the earlier socket.
func (s *Socket) rejoin(name string, st stay) {
	var from *joinedFrom
	if st.placed > 0 {
		from = &joinedFrom{position: st.placed}
	}
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	if !s.left && s.membership(name) == nil {
		s.addMembership(s.joinRoom(name, from))
	}
}
