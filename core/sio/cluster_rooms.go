package sio

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// newRooms are the rooms that this process has had sockets of other nodes join, lately. A
// node that has a socket in a room for the first time listens to the room a moment later
// only; what this process emits to the room until then must not be lost, because it comes
// after the join. So it is sent to all nodes.
type newRooms struct {
	any  atomic.Bool  // there may be some
	last atomic.Int64 // until when one of them is new, since newRoomsBegan

	mu    sync.RWMutex
	until map[newRoom]time.Time
	all   time.Time // until then every room counts as new: there were too many
	swept time.Time // when all were looked through last
}

var newRoomsBegan = time.Now()

type newRoom struct{ namespace, room string }

// newRoomTime is how long a room counts as new, and maxNewRooms how many are remembered. When there
// are too many, all are looked through no more often than once in newRoomSweep.
const (
	newRoomTime  = 10 * time.Second
	maxNewRooms  = 4096
	newRoomSweep = time.Second
)

// add notes that sockets of other nodes are to join rooms.
func (nr *newRooms) add(namespace string, rooms []string, now time.Time) {
	nr.mu.Lock()
	defer nr.mu.Unlock()
	if len(nr.until)+len(rooms) > maxNewRooms && now.Sub(nr.swept) >= newRoomSweep {
		nr.swept = now
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
	nr.last.Store(int64(now.Add(newRoomTime).Sub(newRoomsBegan)))
	nr.any.Store(true)
}

// has reports whether a room is new.
func (nr *newRooms) has(namespace, room string) bool {
	if !nr.any.Load() {
		return false
	}
	now := time.Now()
	if nr.over(now) {
		nr.mu.Lock()
		defer nr.mu.Unlock()
		if nr.over(now) { // still
			nr.until = nil
			nr.any.Store(false)
		}
		return false
	}
	nr.mu.RLock()
	defer nr.mu.RUnlock()
	return now.Before(nr.all) || now.Before(nr.until[newRoom{namespace, room}])
}

// over reports whether none is new any more.
func (nr *newRooms) over(now time.Time) bool {
	return int64(now.Sub(newRoomsBegan)) >= nr.last.Load()
}

// newRoom reports whether sockets of other nodes were made to join a room of the namespace lately,
// by its name or by that of its pattern. One that exists on other nodes alone may be of any
// function.
func (n *Namespace) newRoom(room string) bool {
	nr := &n.srv.newRooms
	switch {
	case !nr.any.Load():
		return false
	case nr.has(n.path, room):
		return true
	case n.parent != nil:
		return nr.has(n.parent.many.bus, room)
	}
	n.srv.mu.RLock()
	defer n.srv.mu.RUnlock()
	return slices.ContainsFunc(n.srv.patterns, func(p *Namespace) bool {
		return p.many.byName == nil && nr.has(p.many.bus, room)
	})
}

// sweep forgets what is not new any more; nr.mu is held.
func (nr *newRooms) sweep(now time.Time) {
	for r, at := range nr.until {
		if !now.Before(at) {
			delete(nr.until, r)
		}
	}
}
