package node

import (
	"slices"
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

	// Why the bus may have refused something that it was told before, until it is told of all rooms
	// again; doubt is for what has come since that has begun. ask is when the bus is told again: a
	// doubt, for which everybody waits who enters a room, does not wait for what was refused.
	doubt, telling error
	ask            pauses

	// What the bus has not taken, and when it is told again.
	refused map[interestKey]refusal
	retry   pauses

	// How many rooms were entered, how many of them take has returned, and of how many of
	// those the backend was told.
	entered, taken, told uint64
	moved                chan struct{} // closed when what wait looks at has changed; nil when nobody waits
}

type interestKey struct{ namespace, room string }

// refusal is why the bus has not taken a room.
type refusal struct {
	socket bool
	err    error
}

// How long the bus is not told again of what it has not taken: so long at first, twice as long
// after each failure, so long at most.
const (
	minRetryTime = time.Second
	maxRetryTime = time.Minute
)

// pauses are between the times when the bus is told something again.
type pauses struct {
	until time.Time // the end of the last one
	last  time.Duration
}

// next begins the next pause, which is twice as long.
func (p *pauses) next(now time.Time) {
	p.last = min(max(2*p.last, minRetryTime), maxRetryTime)
	p.until = now.Add(p.last)
}

type interest struct {
	socket  bool // the room is the id of a socket
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
	i.socket, i.on, i.again = socket, true, i.leaving
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
// wake. up: the bus is there, and can be told again of what it has not taken. A room that has
// had sockets while it left stays for another while after its time, so that it leaves between
// one and two of them after its last socket.
func (in *interests) take(now time.Time, up bool) (changes []cluster.Interest, next time.Time) {
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
			in.rooms[l.key] = interest{socket: l.socket, on: true}
		case i.again:
			in.rooms[l.key] = interest{socket: l.socket, leaving: true}
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
	if !up {
		return changes, next
	}
	again, sooner := in.repeated(now)
	if next.IsZero() || !sooner.IsZero() && sooner.Before(next) {
		next = sooner
	}
	return append(again, changes...), next // in front: a change may be that the room has left
}

// repeated is what the bus is told again now, and when to ask for more of that; in.mu is held.
func (in *interests) repeated(now time.Time) (list []cluster.Interest, next time.Time) {
	if in.doubt != nil {
		if next = in.ask.until; !now.Before(next) {
			return in.all(now), time.Time{}
		}
	}
	if len(in.refused) > 0 {
		if !now.Before(in.retry.until) {
			return in.untaken(), next
		}
		if next.IsZero() || in.retry.until.Before(next) {
			next = in.retry.until
		}
	}
	return nil, next
}

// untaken is what the bus has not taken; in.mu is held.
func (in *interests) untaken() (list []cluster.Interest) {
	for key, r := range in.refused {
		list = append(list, cluster.Interest{Namespace: key.namespace, Room: key.room, Socket: r.socket, On: true})
	}
	return list
}

// all is what the bus is told when there is doubt: all rooms; in.mu is held. The pauses begin anew
// when there was none for a while.
func (in *interests) all(now time.Time) (list []cluster.Interest) {
	if now.Sub(in.ask.until) > in.ask.last {
		in.ask.last = 0
	}
	in.ask.next(now)
	for key, i := range in.rooms {
		list = append(list, cluster.Interest{Namespace: key.namespace, Room: key.room, Socket: i.socket, On: true})
	}
	// Without its namespace a room is of no use: the first have the better chance.
	slices.SortStableFunc(list, func(a, b cluster.Interest) int { return min(1, len(a.Room)) - min(1, len(b.Room)) })
	in.telling, in.doubt = in.doubt, nil
	if len(list) == 0 {
		in.telling = nil
		in.release()
	}
	return list
}

// doubts is for a bus that may have refused something that it was told before.
func (in *interests) doubts(err error) {
	in.mu.Lock()
	in.doubt = err
	in.mu.Unlock()
	in.wake()
}

// done says that the backend was told what take has returned, with the backend's error.
func (in *interests) done(changes []cluster.Interest, err error, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.told, in.telling = in.taken, nil
	if err != nil || len(in.refused) > 0 {
		in.note(changes, err, now)
	}
	in.release()
}

// release has those look again who wait; in.mu is held.
func (in *interests) release() {
	if in.moved != nil {
		close(in.moved)
		in.moved = nil
	}
}

// away is for a bus that has gone: nobody waits for it.
func (in *interests) away() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.release()
}

// note notes what the bus has taken, and what not; in.mu is held.
func (in *interests) note(changes []cluster.Interest, err error, now time.Time) {
	if in.refused == nil {
		in.refused = make(map[interestKey]refusal)
	}
	none := len(in.refused) == 0
	list, some := named(err, len(changes))
	for i, c := range changes {
		key := interestKey{c.Namespace, c.Room}
		_, failed := slices.BinarySearch(list, i)
		if c.On && err != nil && (failed || !some) {
			in.refused[key] = refusal{c.Socket, err}
		} else {
			delete(in.refused, key)
		}
	}
	switch {
	case len(in.refused) == 0:
		in.retry.last = 0
	case none || !now.Before(in.retry.until):
		in.retry.next(now)
	}
}

// again has the bus told at once of what it has not taken, or may not have: it is there again.
func (in *interests) again() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.retry.until, in.ask.until = time.Time{}, time.Time{}
}

// deaf is why the bus has not taken one of the rooms, or may not have, nil when it has taken all.
func (in *interests) deaf() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := first(in.doubt, in.telling); err != nil {
		return err
	}
	for _, r := range in.refused {
		return r.err
	}
	return nil
}

// deafTo is why the bus has not taken a room or its namespace.
func (in *interests) deafTo(namespace, room string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if r, ok := in.refused[interestKey{namespace, ""}]; ok {
		return r.err
	}
	return in.refused[interestKey{namespace, room}].err
}

// count is how many rooms were entered so far.
func (in *interests) count() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.entered
}

// wait returns nil when the backend was told of the first n rooms that were entered, and has not
// to be told of them again, else what is closed when that may have changed.
func (in *interests) wait(n uint64) <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.told >= n && in.doubt == nil && in.telling == nil {
		return nil
	}
	if in.moved == nil {
		in.moved = make(chan struct{})
	}
	return in.moved
}
