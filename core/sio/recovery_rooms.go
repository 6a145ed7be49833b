package sio

import "slices"

// What a session knows of its rooms. To say which events were for a socket, it has to know in
// which rooms the socket was when each was emitted.

// joins notes that the socket enters a room. log.mu is held.
func (rec *recoverable) joins(name string, placed uint64) {
	if rec.joined == nil {
		rec.joined = make(map[string]stay)
	}
	if st, ok := rec.before[name]; ok && rec.restoring {
		delete(rec.before, name)
		rec.joined[name] = st
		return
	}
	rec.joined[name] = stay{max(rec.log.position, rec.upTo), placed}
}

// leaves notes that the socket leaves a room. log.mu is held.
func (rec *recoverable) leaves(name string) {
	st, ok := rec.joined[name]
	if !ok {
		return
	}
	delete(rec.joined, name)
	if rec.restoring && st.from <= rec.since { // the application takes back what it was in before
		if rec.before == nil {
			rec.before = make(map[string]stay)
		}
		rec.before[name] = st
		return
	}
	rec.leftAt(name, st, rec.log.position)
}

func (rec *recoverable) leftAt(name string, st stay, to uint64) {
	if st.from >= to {
		return
	}
	rec.left = append(rec.left, leftRoom{name, st, to})
	if len(rec.left) > maxLeftRooms {
		rec.forgotten = max(rec.forgotten, rec.left[0].to)
		rec.left = slices.Delete(rec.left, 0, 1)
	}
}

// in reports whether the socket was in a room when an event was emitted.
func (rec *recoverable) in(name string, e *keptEvent) bool {
	had := func(st stay) bool { return st.from < e.position && (e.placed == 0 || e.placed > st.placed) }
	if name == rec.id {
		if rec.log.journaled() { // what OnConnect has emitted to it, too, goes by its id
			return rec.from < e.position
		}
		return rec.all < e.position
	}
	if st, ok := rec.joined[name]; ok && had(st) {
		return true
	}
	for _, st := range rec.left {
		if st.name == name && e.position <= st.to && had(st.stay) {
			return true
		}
	}
	return false
}

// meant reports whether an event was for the socket, or would have been.
func (rec *recoverable) meant(e *keptEvent) bool {
	if rec.moved.had(e.stamp) {
		return false
	}
	if meant, ok := rec.exact[e.position]; ok {
		return meant
	}
	if e.socket != "" {
		return e.socket == rec.id
	}
	if e.skip == rec.id {
		return false
	}
	in := func(name string) bool { return rec.in(name, e) }
	if slices.ContainsFunc(e.except, in) {
		return false
	}
	if len(e.rooms) == 0 {
		return rec.all < e.position
	}
	return slices.ContainsFunc(e.rooms, in)
}

// has reports whether everything that was for a client behind an offset is in the log. log.mu is
// held.
func (rec *recoverable) has(asked uint64) bool {
	l := rec.log
	if asked < rec.from || asked < l.broke || asked > l.position || asked < rec.forgotten {
		return false
	}
	if asked >= rec.last { // it has had everything, until it was away
		asked = max(asked, rec.since)
	}
	return l.lost <= asked
}

// missed are the events for a client behind an offset: first those that the session has brought from
// another node. log.mu is held.
func (rec *recoverable) missed(asked uint64) (list []keptEvent) {
	list = rec.moved.behind(rec.had)
	events := rec.log.behind(asked)
	for i := range events {
		if rec.meant(&events[i]) {
			list = append(list, events[i])
		}
	}
	return list
}

// complete reports whether a client with this offset can go on where it was.
func (rec *recoverable) complete(offset string) bool {
	rec.log.mu.Lock()
	defer rec.log.mu.Unlock()
	_, ok := rec.lacking(offset)
	return ok
}

// lacking are the events that a client with this offset has missed. It reports false when the client
// cannot go on where it was. log.mu is held.
func (rec *recoverable) lacking(offset string) (missed []keptEvent, ok bool) {
	l := rec.log
	position, had, ok := rec.stands(offset)
	if !ok {
		return nil, false
	}
	l.forgetOld()
	if !l.whole() || !rec.has(position) {
		return nil, false
	}
	rec.asked, rec.had, rec.lacks = position, had, rec.moved.count(had)
	missed = rec.missed(position)
	return missed, rec.fits(missed)
}

// fits reports whether a client can be sent what it has missed. Some of the queue is for what comes
// meanwhile.
func (rec *recoverable) fits(missed []keptEvent) bool {
	o, size := &rec.log.r.srv.opts, 0
	for _, e := range missed {
		size += e.cost
	}
	return len(missed) <= o.MaxQueueMessages*3/4 && size <= o.MaxQueueBytes*3/4
}

// deliver notes an event for the socket, and reports whether it is sent now. log.mu is held.
func (rec *recoverable) deliver(which stamp, volatile bool) bool {
	if rec.restoring { // begin sends it, with what was missed
		return false
	}
	if rec.moved.had(which) { // it has come to the node that the client was at
		return false
	}
	if !volatile {
		rec.last = max(rec.last, rec.log.position)
	}
	return true
}

// unplaced notes that an event that was sent has no position: no offset says that the client has had
// it. log.mu is held.
func (rec *recoverable) unplaced() { rec.last = rec.log.position + 1 }

// joinRoom is rooms.join, and notes it. s.roomsMu is held.
func (s *Socket) joinRoom(name string, from *joinedFrom) *membership {
	if s.recovery == nil {
		return s.ns.rooms.join(s, name, from)
	}
	l := s.recovery.log
	defer l.r.changed(s.recovery)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case from == nil:
		s.recovery.joins(name, 0)
	case from.held == nil:
		s.recovery.joins(name, from.position)
	} // else: what it has not had is sent to it alone
	return s.ns.rooms.join(s, name, from)
}

// leaveMembership is rooms.leave, and notes it. s.roomsMu is held.
func (s *Socket) leaveMembership(m *membership) {
	if s.recovery != nil {
		l := s.recovery.log
		defer l.r.changed(s.recovery)
		l.mu.Lock()
		defer l.mu.Unlock()
		s.recovery.leaves(m.room.name)
	}
	s.ns.rooms.leave(m)
}

// holdRooms has the rooms of a session exist while its client is away, in a cluster: other
// nodes send what is for them. releaseRooms ends that, when the session does.
func (rec *recoverable) holdRooms() {
	if rec.log.r.srv.node == nil {
		return
	}
	for name := range rec.joined {
		rec.log.ns.rooms.hold(name, rec.log.ns)
	}
}

func (rec *recoverable) releaseRooms() {
	rec.heldOver(rec.joined)
	rec.unmove()
}

func (rec *recoverable) heldOver(joined map[string]stay) {
	if rec.log.r.srv.node == nil {
		return
	}
	for name := range joined {
		rec.log.ns.rooms.unhold(name, rec.log.ns)
	}
}
