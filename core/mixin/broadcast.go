package mixin

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

// Broadcast relays events of one client to the other clients, with unchanged arguments:
// drawings on a board, cursors, "is typing". It does what broadcast_event and
// broadcast_event_not_me of gevent-socketio's BroadcastMixin do, for events that
// clients send.
type Broadcast struct {
	Events   []string // the events to relay
	ToSelf   bool     // the sender gets them too
	Rooms    bool     // only to those who share a room with the sender; the server's own rooms do not count
	Volatile bool     // drop them for clients that lag behind
}

var _ sio.Mixin = (*Broadcast)(nil)

func (b *Broadcast) Mix(n *sio.Namespace) {
	c := *b
	for _, event := range c.Events {
		n.On(event, sio.Handle(func(_ context.Context, s *sio.Socket, args sio.Args) error {
			t := s.Broadcast()
			if c.ToSelf {
				t = s.Namespace().All()
			}
			if c.Rooms {
				t = t.To(s.Rooms()...)
			}
			if c.Volatile {
				t = t.Volatile()
			}
			return t.Emit(event, args)
		}))
	}
}
