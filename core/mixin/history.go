package mixin

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// History keeps the last events of each room for sockets that join later. Emit emits an
// event to a room and keeps it. Join puts a socket into a room: the socket gets the kept
// events in order and then every new one, none of them twice. Join fits Rooms.Enter.
//
// Without a Store the events are kept in this process. Memory is bounded: a room by Last and
// Bytes, a namespace by MaxRooms, and all namespaces together by MaxBytes. When a bound is
// reached, the room that was quiet for longest is dropped first. The rooms of a namespace end
// with the namespace. A History must not be copied after its first use.
//
// With a Store the servers of a cluster (sio.Options.Cluster) keep one history together, each
// with a History of its own: a socket that joins on any of them gets what was emitted on any.
// A room is bounded by Last and Bytes. Sockets that join get the kept events in the order of
// the Store. Events that are emitted at the same time may come to others in another order.
//
// When the Store fails, or does not answer within Timeout, Emit emits nothing and Join leaves
// the socket out of the room; both return the error. One that has answered too late may have
// kept the event all the same. While the bus of the cluster is away, what is emitted on
// other nodes is kept and does not come, as with any Emit, and sio.FailureCluster says so; a
// socket that joins gets it from the Store.
type History struct {
	// Events are the events that clients may send to a room themselves. The first
	// argument is the room's name. All sockets of the room, the sender included, get
	// the event with its arguments. A client that is not in the room is refused, and
	// so is a room of the server's own.
	Events   []string
	Last     int // events kept for each room; 50
	MaxRooms int // rooms kept for each namespace; 1 000
	// Bytes is how much is kept for each room; 256 KiB. An event that is larger is
	// emitted and not kept. Attachments count, and some bytes for each event.
	Bytes int
	// MaxBytes is how much is kept in all rooms of all namespaces; 64 MiB.
	MaxBytes int

	// Store keeps the events in place of this process, such as redisbus.NewHistory for all
	// nodes of a cluster. MaxRooms and MaxBytes do not count then. Two Histories that have
	// the same Store keep their rooms together.
	Store HistoryStore
	// Timeout is how long an Emit or a Join waits for the Store, and a Join for the bus
	// of the cluster too; 2 s.
	Timeout time.Duration

	namespaces sio.Key[*history]
	all        ledger
}

// history is what a History keeps with one namespace.
type history struct {
	mu     sync.Mutex // held while something is sent; taken before that of the ledger
	events *namespaceEvents
}

func (h *History) of(n *sio.Namespace) *history {
	return h.namespaces.GetOrSet(n, func() *history {
		mine := &history{events: &namespaceEvents{rooms: map[string]*roomEvents{}}}
		runtime.AddCleanup(mine, h.all.drop, mine.events) // with the namespace
		return mine
	})
}

func (h *History) bounds() bounds {
	return bounds{or(h.Last, 50), or(h.MaxRooms, 1000), or(h.Bytes, 256<<10), or(h.MaxBytes, 64<<20)}
}

var _ sio.Mixin = (*History)(nil)

func (h *History) Mix(n *sio.Namespace) {
	for _, event := range h.Events {
		n.On(event, sio.Handle(func(_ context.Context, s *sio.Socket, args sio.Args) error {
			var room string
			if err := args.Bind(&room); err != nil {
				return err
			}
			if !s.In(room) {
				return sio.Errorf(sio.CodeRefused, "you are not in this room")
			}
			return h.Emit(s.Namespace(), room, event, args)
		}))
	}
}

// Emit emits an event to a room of a namespace and keeps it, already encoded: args may
// be changed when Emit returns. The error is that of sio's Emit; an event that cannot
// be encoded is neither sent nor kept. With a Store it is also the Store's: then the event
// was not emitted.
func (h *History) Emit(n *sio.Namespace, room, event string, args ...any) error {
	if h.Store != nil {
		return h.emitStored(n, room, event, args)
	}
	// Anything in args may point to memory of the connection that the event came from,
	// in which other clients' packets will be: nothing but a copy can be kept.
	kept, err := n.Encode(args...)
	if err != nil {
		return fmt.Errorf("mixin: event %q: %w", event, err)
	}
	mine := h.of(n)
	mine.mu.Lock() // until it is sent: the order that is kept is the order that was seen
	defer mine.mu.Unlock()
	if err := n.To(room).Emit(event, args...); err != nil {
		return err
	}
	h.all.keep(mine.events, room, entry{event, kept, eventCost + len(event) + kept.Size()}, h.bounds())
	return nil
}

// Join puts a socket into a room and sends it the kept events of the room, the oldest
// first. For a socket that is in the room already it does nothing. The error is that of
// Socket.Emit. With a Store it is also the Store's, or that of sio's JoinFrom: then the socket
// is not in the room, and may have got some of the events.
func (h *History) Join(s *sio.Socket, room string) error {
	if h.Store != nil {
		return h.joinStored(s, room)
	}
	mine := h.of(s.Namespace())
	mine.mu.Lock()
	defer mine.mu.Unlock()
	if s.In(room) {
		return nil
	}
	s.Join(room)
	for _, e := range h.all.entries(mine.events, room) {
		if err := s.Emit(e.event, e.args); err != nil {
			return err
		}
	}
	return nil
}

// or is n, or def when n is not set.
func or[T int | time.Duration](n, def T) T {
	if n > 0 {
		return n
	}
	return def
}
