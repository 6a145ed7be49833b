package mixin

import (
	"container/list"
	"context"
	"sync"

	"github.com/siokit/siokit/core/sio"
)

// History keeps what was last said in each room, for those who come later. What
// is to be kept is emitted with Emit; a socket that enters with Join gets it in
// order, and everything after it, nothing twice. Join fits Rooms.Enter.
//
// Memory is bounded: by Last events a room, and by MaxRooms rooms, of which the one
// that was quiet for longest is forgotten first. The rooms of a namespace are forgotten
// with it.
type History struct {
	// Events are what clients may say themselves: with the room's name and any
	// further arguments, which those in the room get as they are, the sender too.
	// Whoever is not in the room is refused.
	Events   []string
	Last     int // events kept for each room; 50
	MaxRooms int // rooms kept for each namespace; 1 000

	mine sio.Key[*past]
}

// past is what was said in one namespace.
type past struct {
	mu    sync.Mutex
	rooms map[string]*list.Element // of *spoken
	order *list.List               // the last one to speak in front
}

type spoken struct {
	room   string
	events []said
}

type said struct {
	event string
	args  []any
}

func (h *History) of(n *sio.Namespace) *past {
	return h.mine.GetOrSet(n, func() *past { return &past{rooms: map[string]*list.Element{}, order: list.New()} })
}

// Mix implements sio.Mixin.
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

// Emit emits an event to a room of a namespace and keeps it. The arguments must
// not be changed later; sio.Args are copied.
func (h *History) Emit(n *sio.Namespace, room, event string, args ...any) error {
	kept := make([]any, len(args))
	for i, a := range args {
		if raw, ok := a.(sio.Args); ok {
			a = raw.Clone()
		}
		kept[i] = a
	}
	p := h.of(n)
	p.mu.Lock() // until it is sent: the order that is kept is the order that was seen
	defer p.mu.Unlock()
	if err := n.To(room).Emit(event, kept...); err != nil {
		return err
	}
	el := p.rooms[room]
	if el == nil {
		el = p.order.PushFront(&spoken{room: room})
		p.rooms[room] = el
	}
	p.order.MoveToFront(el)
	sp := el.Value.(*spoken)
	sp.events = append(sp.events, said{event, kept})
	if n := len(sp.events) - or(h.Last, 50); n > 0 {
		sp.events = append([]said(nil), sp.events[n:]...)
	}
	for p.order.Len() > or(h.MaxRooms, 1000) {
		old := p.order.Remove(p.order.Back()).(*spoken)
		delete(p.rooms, old.room)
	}
	return nil
}

// Join puts a socket into a room and sends it what was said there.
func (h *History) Join(s *sio.Socket, room string) error {
	p := h.of(s.Namespace())
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.In(room) {
		return nil
	}
	s.Join(room)
	el := p.rooms[room]
	if el == nil {
		return nil
	}
	for _, e := range el.Value.(*spoken).events {
		if err := s.Emit(e.event, e.args...); err != nil {
			return err
		}
	}
	return nil
}

func or(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}
