package mixin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// HistoryStore keeps the events of a History outside of the process. Its methods are called by
// many goroutines at once, and return when ctx ends at the latest.
type HistoryStore interface {
	// Append keeps an event under a key, and forgets the oldest ones of the key that are too
	// many by keep. It returns the event's position, which is larger than any that the key
	// has had, also when the Store has forgotten the key since: a clock may count. When Last
	// has returned an event, later ones get larger positions. event is the caller's again
	// when Append returns. An event whose Append has failed may be kept or not.
	Append(ctx context.Context, key string, event []byte, keep HistoryBounds) (position uint64, err error)
	// Last returns the events of a key, the oldest first: all for which Append has returned,
	// but those that are forgotten. A key without events is no error. The events are
	// the caller's.
	Last(ctx context.Context, key string) ([]HistoryEvent, error)
}

// HistoryBounds say what a HistoryStore keeps under one key.
type HistoryBounds struct {
	Events int // so many of the last events, 1 at least
	Bytes  int // of them, as many of the last as have so many bytes together
}

// HistoryEvent is one event that a HistoryStore has kept.
type HistoryEvent struct {
	// Position is what Append has returned.
	Position uint64
	// Data is what Append was given.
	Data []byte
}

// storeKey is the key of a room. No namespace of a client has a comma in its name.
func storeKey(n *sio.Namespace, room string) string { return n.Path() + "," + room }

// emitStored is Emit with a Store. The event is kept before it is emitted, or a socket that
// joins between might neither find it nor get it.
func (h *History) emitStored(n *sio.Namespace, room, event string, args []any) error {
	if sio.ReservedEvent(event) { // it must not be kept
		return n.To(room).Emit(event)
	}
	kept, err := n.Encode(append([]any{event}, args...)...)
	if err != nil {
		return fmt.Errorf("mixin: event %q: %w", event, err)
	}
	data, err := kept.MarshalBinary()
	if err != nil {
		return fmt.Errorf("mixin: event %q: %w", event, err)
	}
	to, b := n.To(room), h.bounds()
	if len(data) <= b.room {
		ctx, cancel := context.WithTimeout(context.Background(), h.timeout())
		defer cancel()
		p, err := h.Store.Append(ctx, storeKey(n, room), data, HistoryBounds{Events: b.last, Bytes: b.room})
		if err == nil && p == 0 {
			err = errors.New("the Store has given it the position 0")
		}
		if err != nil {
			return fmt.Errorf("mixin: event %q was not kept, and not emitted: %w", event, err)
		}
		to = to.Position(p)
	}
	return to.Emit(event, kept.Slice(1)) // encoded once
}

// joinStored is Join with a Store.
func (h *History) joinStored(s *sio.Socket, room string) error {
	ctx, cancel := context.WithTimeout(s.Context(), h.timeout())
	defer cancel()
	return s.JoinFrom(ctx, room, func(ctx context.Context) (last uint64, err error) {
		list, err := h.Store.Last(ctx, storeKey(s.Namespace(), room))
		if err != nil {
			return 0, fmt.Errorf("mixin: the history of a room: %w", err)
		}
		for _, e := range list {
			if err := send(s, e); err != nil {
				return 0, err
			}
			last = e.Position
		}
		return last, nil
	})
}

// send sends a kept event.
func send(s *sio.Socket, e HistoryEvent) error {
	var kept sio.Args
	var event string
	err := kept.UnmarshalBinary(e.Data)
	if err == nil {
		err = kept.Bind(&event)
	}
	if err != nil {
		return fmt.Errorf("mixin: a kept event: %w", err)
	}
	return s.Emit(event, kept.Slice(1))
}

func (h *History) timeout() time.Duration { return or(h.Timeout, 2*time.Second) }
