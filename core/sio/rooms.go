package sio

import "sync"

const roomShards = 16

// rooms are the sockets of one namespace and the rooms they are in. Members lie
// in slices, and each knows its index: leaving is a swap with the last one, and a
// broadcast walks a slice without a look-up.
type rooms struct {
	mu   sync.RWMutex // guards all and ids
	all  []*Socket    // Socket.index is the index of each
	ids  map[string]*Socket
	list [roomShards]roomShard
}

type roomShard struct {
	mu sync.RWMutex
	m  map[string]*room
}

type room struct {
	name    string
	members []*membership
	held    int // by sessions whose clients are away
}

// membership is one socket in one room.
type membership struct {
	s        *Socket
	room     *room
	inRoom   int32       // the index in room.members; guarded by the room's shard
	inSocket int32       // the index in Socket.memberships; guarded by Socket.roomsMu
	from     *joinedFrom // nil unless it was made by JoinFrom
}

func (r *rooms) shard(name string) *roomShard {
	h := uint32(2166136261) // FNV-1a
	for i := 0; i < len(name); i++ {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return &r.list[h%roomShards]
}

func (r *rooms) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.all)
}

func (r *rooms) byID(id string) *Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.ids[id]
}

func (r *rooms) add(s *Socket) {
	r.mu.Lock()
	s.index = int32(len(r.all))
	r.all = append(r.all, s)
	if r.ids == nil {
		r.ids = make(map[string]*Socket)
	}
	r.ids[s.id] = s
	if alias := s.alias(); alias != "" {
		r.ids[alias] = s
	}
	if !s.recovery.holdsID() {
		s.ns.enterBus(s.id, true)
	}
	r.mu.Unlock()
}

func (r *rooms) remove(s *Socket) {
	r.mu.Lock()
	if r.ids[s.id] == s {
		last := len(r.all) - 1
		moved := r.all[last]
		r.all[s.index] = moved
		moved.index = s.index
		r.all[last] = nil
		r.all = r.all[:last]
		delete(r.ids, s.id)
		if !s.recovery.holdsID() {
			s.ns.exitBus(s.id, true)
		}
		if alias := s.alias(); r.ids[alias] == s {
			delete(r.ids, alias)
		}
	}
	r.mu.Unlock()
}

// join makes s a member of a room. s.roomsMu is held.
func (r *rooms) join(s *Socket, name string, from *joinedFrom) *membership {
	sh := r.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rm := sh.get(name, s.ns)
	m := &membership{s: s, room: rm, inRoom: int32(len(rm.members)), from: from}
	rm.members = append(rm.members, m)
	return m
}

// get returns a room, made if needed; sh.mu is held.
func (sh *roomShard) get(name string, n *Namespace) *room {
	rm := sh.m[name]
	if rm == nil {
		rm = &room{name: name}
		if sh.m == nil {
			sh.m = make(map[string]*room)
		}
		sh.m[name] = rm
		n.enterBus(name, false)
	}
	return rm
}

// tidy removes a room that nobody needs; sh.mu is held.
func (sh *roomShard) tidy(rm *room, n *Namespace) {
	if len(rm.members) == 0 && rm.held == 0 {
		delete(sh.m, rm.name)
		n.exitBus(rm.name, false)
	}
}

// hold keeps a room for a session whose client is away, until unhold.
func (r *rooms) hold(name string, n *Namespace) {
	sh := r.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.get(name, n).held++
}

func (r *rooms) unhold(name string, n *Namespace) {
	sh := r.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rm := sh.get(name, n)
	rm.held--
	sh.tidy(rm, n)
}

// leave ends a membership. An empty room is removed.
func (r *rooms) leave(m *membership) {
	sh := r.shard(m.room.name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	members := m.room.members
	last := len(members) - 1
	moved := members[last]
	members[m.inRoom] = moved
	moved.inRoom = m.inRoom
	members[last] = nil
	m.room.members = members[:last]
	sh.tidy(m.room, m.s.ns)
}

// each calls f for the sockets of one room, and for the socket with that id: a room
// that others have joined under that name does not hide the socket. f must not join or
// leave.
func (r *rooms) each(name string, f func(*Socket)) {
	owner := r.byID(name)
	if owner != nil {
		f(owner)
	}
	r.members(name, func(list []*membership) {
		for _, m := range list {
			if m.s != owner {
				f(m.s)
			}
		}
	})
}

// eachMember is each with the membership; that of the socket with the id is nil.
func (r *rooms) eachMember(name string, f func(*Socket, *membership)) {
	owner := r.byID(name)
	if owner != nil {
		f(owner, nil)
	}
	r.members(name, func(list []*membership) {
		for _, m := range list {
			if m.s != owner {
				f(m.s, m)
			}
		}
	})
}

// members calls f with the members of a room, which do not change meanwhile.
func (r *rooms) members(name string, f func(list []*membership)) {
	sh := r.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if rm := sh.m[name]; rm != nil {
		f(rm.members)
	}
}

// count adds the number of sockets in each room, but for the rooms of the server's own.
func (r *rooms) count(to map[string]int) {
	for i := range r.list {
		sh := &r.list[i]
		sh.mu.RLock()
		for name, rm := range sh.m {
			if !ServerRoom(name) && len(rm.members) > 0 {
				to[name] += len(rm.members)
			}
		}
		sh.mu.RUnlock()
	}
}

// eachAll calls f for every socket of the namespace.
func (r *rooms) eachAll(f func(*Socket)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.all {
		f(s)
	}
}
