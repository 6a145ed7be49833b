package sio

import "sync"

const roomShards = 16

// rooms are the sockets of one namespace and the rooms they are in. Members lie
// in slices, and each knows its place: leaving is a swap, and a broadcast walks
// without a look-up.
type rooms struct {
	mu   sync.RWMutex // guards all and ids
	all  []*Socket    // Socket.place is its index
	ids  map[string]*Socket
	list [roomShards]roomShard
}

type roomShard struct {
	mu sync.RWMutex
	m  map[string]*room
}

type room struct {
	name  string
	seats []*seat
}

// seat is one socket's membership of one room.
type seat struct {
	s     *Socket
	room  *room
	index int // in the room; guarded by the room's shard
	place int // in the socket's list; guarded by Socket.seating
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
	s.place = int32(len(r.all))
	r.all = append(r.all, s)
	if r.ids == nil {
		r.ids = make(map[string]*Socket)
	}
	r.ids[s.id] = s
	if alias := s.alias(); alias != "" {
		r.ids[alias] = s
	}
	r.mu.Unlock()
}

func (r *rooms) remove(s *Socket) {
	r.mu.Lock()
	if r.ids[s.id] == s {
		last := len(r.all) - 1
		moved := r.all[last]
		r.all[s.place] = moved
		moved.place = s.place
		r.all[last] = nil
		r.all = r.all[:last]
		delete(r.ids, s.id)
		if alias := s.alias(); r.ids[alias] == s {
			delete(r.ids, alias)
		}
	}
	r.mu.Unlock()
}

// join seats s in a room. s.seating is held.
func (r *rooms) join(s *Socket, name string) *seat {
	sh := r.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rm := sh.m[name]
	if rm == nil {
		rm = &room{name: name}
		if sh.m == nil {
			sh.m = make(map[string]*room)
		}
		sh.m[name] = rm
	}
	st := &seat{s: s, room: rm, index: len(rm.seats)}
	rm.seats = append(rm.seats, st)
	return st
}

// leave frees a seat. An empty room is gone.
func (r *rooms) leave(st *seat) {
	sh := r.shard(st.room.name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	seats := st.room.seats
	last := len(seats) - 1
	moved := seats[last]
	seats[st.index] = moved
	moved.index = st.index
	seats[last] = nil
	st.room.seats = seats[:last]
	if last == 0 {
		delete(sh.m, st.room.name)
	}
}

// each calls f for the sockets of one room, and for the socket with that id:
// whoever enters a room of that name does not take the socket's place. f must not
// join or leave.
func (r *rooms) each(name string, f func(*Socket)) {
	owner := r.byID(name)
	if owner != nil {
		f(owner)
	}
	sh := r.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if rm := sh.m[name]; rm != nil {
		for _, st := range rm.seats {
			if st.s != owner {
				f(st.s)
			}
		}
	}
}

// count adds the number of sockets in each room, but for the rooms of the server's own.
func (r *rooms) count(to map[string]int) {
	for i := range r.list {
		sh := &r.list[i]
		sh.mu.RLock()
		for name, rm := range sh.m {
			if !ServerRoom(name) {
				to[name] += len(rm.seats)
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
