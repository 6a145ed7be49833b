package node

import (
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// interests are the rooms that have sockets here, and what the backend is to be told of
// them. A room that has lost its last socket is kept for a while: whoever loads a page
// again leaves it and enters it at once.
type interests struct {
	linger time.Duration
	wake   func()

	mu      sync.Mutex
	rooms   map[interestKey]interest
	changes []cluster.Interest
	leaving []leaving // in the order of their times, each room once

	// How many rooms were entered, how many of them take has returned, and of how many of
	// those the backend was told.
	entered, taken, told uint64
	moved                chan struct{} // closed when told has grown; nil when nobody waits
}

type interestKey struct{ namespace, room string }

type interest struct {
	on      bool // there are sockets
	leaving bool // the room is among those that leave
	again   bool // it has had sockets since it was put there
}

// leaving is a room that the backend may forget at a time, unless it has sockets then.
type leaving struct {
	key    interestKey
	socket bool
	at     time.Time
}

// enter is for the first socket of a room.
func (in *interests) enter(namespace, room string, socket bool) {
	key := interestKey{namespace, room}
	in.mu.Lock()
	i, known := in.rooms[key]
	if in.rooms == nil {
		in.rooms = make(map[interestKey]interest)
	}
	i.on, i.again = true, i.leaving
	in.rooms[key] = i
	if !known {
		in.changes = append(in.changes, cluster.Interest{Namespace: namespace, Room: room, Socket: socket, On: true})
		in.entered++
	}
	first := len(in.changes) == 1
	in.mu.Unlock()
	if !known && first {
		in.wake()
	}
}

// exit is for the last socket of a room, at a time.
func (in *interests) exit(namespace, room string, socket bool, now time.Time) {
	key := interestKey{namespace, room}
	in.mu.Lock()
	i, known := in.rooms[key]
	if !known || !i.on {
		in.mu.Unlock()
		return
	}
	first := false
	if i.on = false; !i.leaving {
		i.leaving = true
		in.leaving = append(in.leaving, leaving{key, socket, now.Add(in.linger)})
		first = len(in.leaving) == 1
	}
	in.rooms[key] = i
	in.mu.Unlock()
	if first {
		in.wake()
	}
}

// take returns what the backend is to be told, and when to ask again; zero: at the next
// wake. A room that has had sockets while it left stays for another while after its time,
// so that it leaves between one and two of them after its last socket.
func (in *interests) take(now time.Time) (changes []cluster.Interest, next time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.leaving) > 0 {
		l := in.leaving[0]
		if l.at.After(now) {
			next = l.at
			break
		}
		in.leaving[0] = leaving{}
		in.leaving = in.leaving[1:]
		i := in.rooms[l.key]
		switch {
		case i.on:
			in.rooms[l.key] = interest{on: true}
		case i.again:
			in.rooms[l.key] = interest{leaving: true}
			in.leaving = append(in.leaving, leaving{l.key, l.socket, now.Add(in.linger)})
		default:
			delete(in.rooms, l.key)
			in.changes = append(in.changes, cluster.Interest{Namespace: l.key.namespace, Room: l.key.room, Socket: l.socket})
		}
	}
	if len(in.leaving) == 0 {
		in.leaving = nil
	}
	changes, in.changes = in.changes, nil
	in.taken = in.entered
	return changes, next
}

// done says that the backend was told what take has returned.
func (in *interests) done() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.told = in.taken
	if in.moved != nil {
		close(in.moved)
		in.moved = nil
	}
}

// count is how many rooms were entered so far.
func (in *interests) count() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.entered
}

// wait returns nil when the backend was told of the first n rooms that were entered, else what
// is closed when it was told of more.
func (in *interests) wait(n uint64) <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.told >= n {
		return nil
	}
	if in.moved == nil {
		in.moved = make(chan struct{})
	}
	return in.moved
}
