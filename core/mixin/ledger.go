package mixin

import (
	"container/list"
	"slices"
	"sync"

	"github.com/siokit/siokit/core/sio"
)

// What the bookkeeping of an event and of a room takes in memory, in bytes, roughly.
const (
	eventCost = 128
	roomCost  = 512
)

// ledger counts what a History keeps in all namespaces, and knows which room was
// quiet for longest. Its mutex guards the namespaceEvents and roomEvents too; nothing
// else is locked under it.
type ledger struct {
	mu     sync.Mutex
	recent list.List // of *roomEvents; the room of the newest event in front
	bytes  int
}

// namespaceEvents are the kept events of one namespace. They do not point to the
// namespace, which may go away while the ledger still knows its events.
type namespaceEvents struct {
	rooms  map[string]*roomEvents
	recent list.List // of *roomEvents
}

// roomEvents are the kept events of one room.
type roomEvents struct {
	room        string
	namespace   *namespaceEvents
	entries     []entry // an entry is never changed in place: Join reads them unlocked
	bytes       int
	inNamespace *list.Element // of namespaceEvents.recent
	inLedger    *list.Element // of ledger.recent
}

// entry is one kept event.
type entry struct {
	event string
	args  sio.Args // a copy of its own
	size  int
}

// bounds are those of a History, with defaults.
type bounds struct{ last, rooms, room, all int }

// keep adds an event to a room and forgets what is too much. An event that is larger
// than a room may be is not kept.
func (l *ledger) keep(ne *namespaceEvents, room string, e entry, b bounds) {
	if e.size > min(b.room, b.all-roomCost-len(room)) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	re := ne.rooms[room]
	if re == nil {
		re = &roomEvents{room: room, namespace: ne}
		re.inNamespace, re.inLedger = ne.recent.PushFront(re), l.recent.PushFront(re)
		ne.rooms[room] = re
		l.bytes += roomCost + len(room)
	}
	ne.recent.MoveToFront(re.inNamespace)
	l.recent.MoveToFront(re.inLedger)
	re.entries = append(re.entries, e)
	re.bytes += e.size
	l.bytes += e.size
	old := 0
	for ; len(re.entries)-old > b.last || re.bytes > b.room; old++ {
		re.bytes -= re.entries[old].size
		l.bytes -= re.entries[old].size
	}
	if old > 0 {
		re.entries = slices.Clone(re.entries[old:])
	}
	for len(ne.rooms) > b.rooms {
		l.forget(ne.recent.Back().Value.(*roomEvents))
	}
	for l.bytes > b.all {
		l.forget(l.recent.Back().Value.(*roomEvents))
	}
}

// forget drops a room; l.mu is held.
func (l *ledger) forget(re *roomEvents) {
	delete(re.namespace.rooms, re.room)
	re.namespace.recent.Remove(re.inNamespace)
	l.recent.Remove(re.inLedger)
	l.bytes -= re.bytes + roomCost + len(re.room)
}

// drop forgets the rooms of a namespace that is no more.
func (l *ledger) drop(ne *namespaceEvents) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, re := range ne.rooms {
		l.forget(re)
	}
}

// entries are the kept events of a room, the oldest first.
func (l *ledger) entries(ne *namespaceEvents, room string) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if re := ne.rooms[room]; re != nil {
		return re.entries
	}
	return nil
}
