package sio

import (
	"sync"
	"sync/atomic"
	"time"
)

// newRooms are the rooms that this process has had sockets of other nodes join, lately. A
// node that has a socket in a room for the first time listens to the room a moment later
// only; what this process emits to the room until then must not be lost, because it comes
// after the join. So it is sent to all nodes.
type newRooms struct {
	any atomic.Bool // there may be some

	mu    sync.Mutex
	until map[newRoom]time.Time
	all   time.Time // until then every room counts as new: there were too many
}

type newRoom struct{ namespace, room string }

// newRoomTime is how long a room counts as new, and maxNewRooms how many are remembered.
const (
	newRoomTime = 10 * time.Second
	maxNewRooms = 4096
)

// add notes that sockets of other nodes are to join rooms.
func (nr *newRooms) add(namespace string, rooms []string, now time.Time) {
	nr.mu.Lock()
	defer nr.mu.Unlock()
	if len(nr.until)+len(rooms) > maxNewRooms {
		nr.sweep(now)
	}
	if len(nr.until)+len(rooms) > maxNewRooms {
		nr.all = now.Add(newRoomTime)
	} else {
		if nr.until == nil {
			nr.until = make(map[newRoom]time.Time)
		}
		for _, room := range rooms {
			nr.until[newRoom{namespace, room}] = now.Add(newRoomTime)
		}
	}
	nr.any.Store(true)
}

// has reports whether a room is new.
func (nr *newRooms) has(namespace, room string) bool {
	if !nr.any.Load() {
		return false
	}
	now := time.Now()
	nr.mu.Lock()
	defer nr.mu.Unlock()
	if now.Before(nr.all) {
		return true
	}
	at, ok := nr.until[newRoom{namespace, room}]
	if ok && !now.Before(at) {
		nr.sweep(now)
		ok = false
	}
	return ok
}

// sweep forgets what is not new any more; nr.mu is held.
func (nr *newRooms) sweep(now time.Time) {
	for r, at := range nr.until {
		if !now.Before(at) {
			delete(nr.until, r)
		}
	}
	nr.any.Store(len(nr.until) > 0 || now.Before(nr.all))
}
