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

	mu      sync.Mutex
	rooms   map[interestKey]*interest
	changes []cluster.Interest
	leaving []leaving     // in the order of their deadlines
	wake    chan struct{} // holds one signal for the publisher
}

type interestKey struct{ namespace, room string }

type interest struct {
	on    bool
	stamp uint32 // counts the times that it has gone off
}

// leaving is a room that the backend may forget at a time, unless it has sockets then, or
// has had some meanwhile.
type leaving struct {
	key    interestKey
	socket bool
	stamp  uint32
	at     time.Time
}

// enter is for the first socket of a room.
func (in *interests) enter(namespace, room string, socket bool) {
	key := interestKey{namespace, room}
	in.mu.Lock()
	if i := in.rooms[key]; i != nil {
		i.on = true
		in.mu.Unlock()
		return
	}
	if in.rooms == nil {
		in.rooms = make(map[interestKey]*interest)
	}
	in.rooms[key] = &interest{on: true}
	in.changes = append(in.changes, cluster.Interest{Namespace: namespace, Room: room, Socket: socket, On: true})
	in.mu.Unlock()
	in.signal()
}

// exit is for the last socket of a room, at a time.
func (in *interests) exit(namespace, room string, socket bool, now time.Time) {
	key := interestKey{namespace, room}
	in.mu.Lock()
	defer in.mu.Unlock()
	i := in.rooms[key]
	if i == nil || !i.on {
		return
	}
	i.on = false
	i.stamp++
	in.leaving = append(in.leaving, leaving{key, socket, i.stamp, now.Add(in.linger)})
	if len(in.leaving) == 1 {
		in.signal()
	}
}

func (in *interests) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take returns what the backend is to be told, and when to ask again; zero: at the next
// signal.
func (in *interests) take(now time.Time) (changes []cluster.Interest, next time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := 0
	for _, l := range in.leaving {
		if l.at.After(now) {
			next = l.at
			break
		}
		n++
		if i := in.rooms[l.key]; i != nil && !i.on && i.stamp == l.stamp {
			delete(in.rooms, l.key)
			in.changes = append(in.changes, cluster.Interest{Namespace: l.key.namespace, Room: l.key.room, Socket: l.socket})
		}
	}
	in.leaving = append(in.leaving[:0:0], in.leaving[n:]...)
	changes, in.changes = in.changes, nil
	return changes, next
}
