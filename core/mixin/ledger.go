package mixin

import (
	"container/list"
	"slices"
	"sync"

	"github.com/siokit/siokit/core/sio"
)

// What an event and a room take beside what is said, roughly.
const (
	eventCost = 128
	roomCost  = 512
)

// ledger counts what a History keeps in all namespaces, and knows which room was
// quiet for longest. Its mutex guards the shelves too; nothing else is locked under it.
type ledger struct {
	mu     sync.Mutex
	recent list.List // of *spoken; the last one to speak in front
	bytes  int
}

// shelf is what was said in one namespace. It does not point to the namespace, which
// may go away while the ledger still knows the shelf.
type shelf struct {
	rooms  map[string]*spoken
	recent list.List // of *spoken
}

// spoken is what was said in one room.
type spoken struct {
	room      string
	on        *shelf
	events    []said // what is there is never changed in place: Join reads it unlocked
	bytes     int
	here, all *list.Element
}

type said struct {
	event string
	args  sio.Args // of its own
	size  int
}

// bounds are those of a History, with defaults.
type bounds struct{ last, rooms, room, all int }

// keep adds an event to a room and forgets what is too much. An event that is larger
// than a room may be is not kept.
func (l *ledger) keep(sh *shelf, room string, e said, b bounds) {
	if e.size > min(b.room, b.all-roomCost-len(room)) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	sp := sh.rooms[room]
	if sp == nil {
		sp = &spoken{room: room, on: sh}
		sp.here, sp.all = sh.recent.PushFront(sp), l.recent.PushFront(sp)
		sh.rooms[room] = sp
		l.bytes += roomCost + len(room)
	}
	sh.recent.MoveToFront(sp.here)
	l.recent.MoveToFront(sp.all)
	sp.events = append(sp.events, e)
	sp.bytes += e.size
	l.bytes += e.size
	old := 0
	for ; len(sp.events)-old > b.last || sp.bytes > b.room; old++ {
		sp.bytes -= sp.events[old].size
		l.bytes -= sp.events[old].size
	}
	if old > 0 {
		sp.events = slices.Clone(sp.events[old:])
	}
	for len(sh.rooms) > b.rooms {
		l.forget(sh.recent.Back().Value.(*spoken))
	}
	for l.bytes > b.all {
		l.forget(l.recent.Back().Value.(*spoken))
	}
}

// forget drops a room; l.mu is held.
func (l *ledger) forget(sp *spoken) {
	delete(sp.on.rooms, sp.room)
	sp.on.recent.Remove(sp.here)
	l.recent.Remove(sp.all)
	l.bytes -= sp.bytes + roomCost + len(sp.room)
}

// drop forgets the rooms of a namespace that is no more.
func (l *ledger) drop(sh *shelf) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sp := range sh.rooms {
		l.forget(sp)
	}
}

// said returns what was said in a room.
func (l *ledger) said(sh *shelf, room string) []said {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sp := sh.rooms[room]; sp != nil {
		return sp.events
	}
	return nil
}
