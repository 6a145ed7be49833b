package sio

import (
	"context"
	"errors"
	"iter"
)

// maxRecv is how many events wait for Recv before the connection's next ones do.
const maxRecv = 64

// ErrNoLoop is returned by Recv in a namespace without a Loop.
var ErrNoLoop = errors.New("sio: Recv in a namespace without Loop")

// recvKey is where a socket of a Loop keeps the events that wait for Recv.
var recvKey = NewKey[*received]("events for Recv")

// received are the events of one socket that wait for Recv.
type received struct {
	events chan *Event
	over   chan struct{} // closed when the socket has ended and no more will come
	gone   chan struct{} // closed when the function of the Loop has returned
}

// Loop serves each socket of the namespace by a function that blocks, in a
// goroutine of its own: it receives with Socket.Recv or Socket.Events all events
// and messages that have no handler, and its return disconnects the socket from
// the namespace, after telling the client of an error as a handler's would be.
// ctx ends with the socket. It panics when there is a Loop already, or an OnAny.
//
// OnDisconnect does not wait for fn; Server.Shutdown does.
func (n *Namespace) Loop(fn func(ctx context.Context, s *Socket) error) {
	n.change("Loop", fn == nil, func(hs *hooks) {
		put("Loop", n, &hs.any, HandlerFunc(receive), nil)
		hs.loop = fn
	})
}

func (s *Socket) startLoop(fn func(ctx context.Context, s *Socket) error) {
	s.Go(func(ctx context.Context) {
		err := errExit
		defer func() { // also when fn has ended the goroutine
			close(s.received().gone)
			if err != nil && s.Connected() {
				s.client.failed(err, "Loop", s)
				_ = s.Fail(s.ns.srv.public(err))
			}
			s.Disconnect(false)
		}()
		defer s.ns.srv.caught(inLoop, "", s.client, s, &err)
		err = settled(fn(ctx, s))
	})
}

func (s *Socket) received() *received {
	return recvKey.GetOrSet(s, func() *received {
		return &received{make(chan *Event, maxRecv), make(chan struct{}), make(chan struct{})}
	})
}

// receive is the handler that hands events to Recv. It waits while those before
// are not taken, so that a slow loop makes its client wait.
func receive(ctx context.Context, ev *Event) error {
	q := ev.Socket.received()
	own := ev.detach()
	select {
	case q.events <- own:
	case <-q.gone:
	case <-ctx.Done():
	}
	return nil
}

// Recv returns the next event of the socket that has no handler, and waits for
// one. The event is the caller's to keep, and to acknowledge. It returns
// ErrDisconnected when the socket has ended and nothing is left, and ctx's error.
// It is meant for Namespace.Loop; inside an event's handler it cannot receive
// what comes behind that event.
func (s *Socket) Recv(ctx context.Context) (*Event, error) {
	if s.ns.handlers().loop == nil {
		return nil, ErrNoLoop
	}
	q := s.received()
	if ev := q.next(); ev != nil { // first what has come
		return ev, nil
	}
	select {
	case ev := <-q.events:
		return ev, nil
	case <-s.Context().Done():
	case <-ctx.Done():
		if s.state.Load() != stateDisconnected {
			return nil, ctx.Err()
		}
	}
	// The socket has ended, and with it a context that was derived from its own.
	// What the client had sent before is still to come, unless ctx is out of time.
	if s.heard && ctx.Err() != context.DeadlineExceeded {
		select {
		case ev := <-q.events:
			return ev, nil
		case <-q.over:
		}
	}
	if ev := q.next(); ev != nil {
		return ev, nil
	}
	return nil, ErrDisconnected
}

// next is an event that waits, or nil.
func (q *received) next() *Event {
	select {
	case ev := <-q.events:
		return ev
	default:
		return nil
	}
}

// Events are the events that Recv would return, until the socket or ctx ends.
func (s *Socket) Events(ctx context.Context) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		for {
			ev, err := s.Recv(ctx)
			if err != nil || !yield(ev) {
				return
			}
		}
	}
}
