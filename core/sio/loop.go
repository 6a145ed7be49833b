package sio

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// maxRecv is how many events wait for Recv before the connection's next ones do.
// Options.MaxInboxBytes bounds their size as well.
const maxRecv = 64

// recvCost is what an event that waits for Recv costs beside its arguments, in bytes.
const recvCost = 256

// errNoLoop is returned by Recv in a namespace without a Loop.
var errNoLoop = errors.New("sio: Recv in a namespace without Loop")

// recvKey is where a socket of a Loop keeps the events that wait for Recv.
var recvKey = NewKey[*received]("events for Recv")

// received are the events of one socket that wait for Recv.
type received struct {
	events chan *Event
	over   chan struct{} // closed when the socket has ended and no more will come
	gone   chan struct{} // closed when the function of the Loop has returned
	told   chan struct{} // closed when the client has been told so, behind gone

	mu    sync.Mutex    // guards what follows; nothing is locked or waited for under it
	bytes int           // of events, and of those that have a place in it
	freed chan struct{} // closed when bytes has become smaller; nil when nobody waits
	rests int           // calls of Recv that wait
	idle  chan struct{} // closed when one waits and there is no event; nil when nobody asks
}

// Loop serves each socket of the namespace by a function that blocks, in a goroutine of
// its own. The function receives, with Socket.Recv or Socket.Events, all events and
// messages that have no handler. When it returns, the socket leaves the namespace; an
// error is sent to the client first, as that of a handler would be. ctx ends with the
// socket.
//
// OnDisconnect does not wait for fn; Server.Shutdown does. Loop panics when the
// namespace has a Loop or an OnUnhandled already.
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
			q := s.received()
			close(q.gone)
			defer close(q.told)
			defer s.Disconnect() // also when encoding has ended it
			if err != nil && s.Connected() {
				s.client.failed(err, "Loop", s)
				_ = s.EmitError(s.ns.srv.public(err))
			}
		}()
		defer s.ns.srv.caught(inLoop, "", s.client, s, &err)
		err = settled(fn(ctx, s))
	})
}

func (s *Socket) received() *received {
	return recvKey.GetOrSet(s, func() *received {
		return &received{
			events: make(chan *Event, maxRecv),
			over:   make(chan struct{}), gone: make(chan struct{}), told: make(chan struct{}),
		}
	})
}

// receive is the handler that hands events to Recv. It waits while those before
// are not taken, so that a slow loop makes its client wait.
func receive(ctx context.Context, ev *Event) error {
	q := ev.Socket.received()
	own := ev.keep()
	size := own.size()
	if !q.reserve(ctx, ev.Socket, size, ev.Socket.ns.srv.opts.MaxInboxBytes) {
		return nil
	}
	for done := ctx.Done(); ; done = nil {
		select {
		case q.events <- own:
			return nil
		case <-done:
			if ev.Socket.stillHeard() { // it came before its client said goodbye
				continue
			}
		case <-q.gone:
		}
		q.free(size)
		return nil
	}
}

// size is what an event holds while it waits for Recv.
func (ev *Event) size() int { return recvCost + len(ev.Name) + ev.Args.Size() }

// reserve waits for room for size bytes among most. One event always fits. It reports
// false when nobody will receive, or ctx has ended and nothing of s is heard any more.
func (q *received) reserve(ctx context.Context, s *Socket, size, most int) bool {
	for done := ctx.Done(); ; {
		q.mu.Lock()
		if q.bytes == 0 || q.bytes+size <= most {
			q.bytes += size
			q.mu.Unlock()
			return true
		}
		if q.freed == nil {
			q.freed = make(chan struct{})
		}
		freed := q.freed
		q.mu.Unlock()
		select {
		case <-freed:
		case <-q.gone:
			return false
		case <-done:
			if !s.stillHeard() {
				return false
			}
			done = nil
		}
	}
}

// free gives back what reserve has taken.
func (q *received) free(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveBack(size)
}

// giveBack is free with q.mu held.
func (q *received) giveBack(size int) {
	q.bytes -= size
	if q.freed != nil {
		close(q.freed)
		q.freed = nil
	}
}

// taken is ev, which waits no longer.
func (q *received) taken(ev *Event) *Event {
	q.free(ev.size())
	ev.restore()
	return ev
}

// rest says that a call of Recv waits.
func (q *received) rest() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rests++
	if q.idle != nil && q.bytes == 0 {
		close(q.idle)
		q.idle = nil
	}
}

// wake says that it waits no longer. With an event, which came to it, that is one step:
// between two nobody must find the loop idle.
func (q *received) wake(ev *Event) *Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rests--
	if ev != nil {
		q.giveBack(ev.size())
		ev.restore()
	}
	return ev
}

// settle returns when the function of the Loop waits for an event and there is none, or has
// returned and the client has been told, or the socket has ended.
func (q *received) settle(s *Socket) {
	q.mu.Lock()
	if q.rests > 0 && q.bytes == 0 {
		q.mu.Unlock()
		return
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
	case <-q.told:
	case <-s.Context().Done():
		select {
		case <-q.gone: // the context has ended for that, and the client is being told
			<-q.told
		default:
		}
	}
}

// Recv waits for the next event of the socket that has no handler, and returns it. The
// caller may keep the event and acknowledge it later. The error is ErrDisconnected when
// the socket has ended and no event is left, or ctx's error. When the application has ended the
// socket, or its time of ExpireAt has come, the events that wait are not returned any more.
// Recv is for the function of Namespace.Loop; in a namespace without a Loop it returns an
// error. In the handler of an event it cannot receive what comes behind that event.
func (s *Socket) Recv(ctx context.Context) (*Event, error) {
	if s.ns.handlers().loop == nil {
		return nil, errNoLoop
	}
	ev, err := s.received().recv(ctx, s)
	if s.cutOff() { // also when it was ended while recv waited
		return nil, ErrDisconnected
	}
	return ev, err
}

// recv is Recv for a socket that the application has not ended.
func (q *received) recv(ctx context.Context, s *Socket) (*Event, error) {
	if ev := q.next(); ev != nil { // first what has come
		return ev, nil
	}
	q.rest()
	select {
	case ev := <-q.events:
		return q.wake(ev), nil
	case <-s.Context().Done():
	case <-ctx.Done():
		if s.state.Load() != stateDisconnected {
			q.wake(nil)
			return nil, ctx.Err()
		}
	}
	q.wake(nil)
	// The socket has ended, and with it a context that was derived from its own.
	// What the client had sent before is still to come, unless ctx is out of time.
	if s.heard && ctx.Err() != context.DeadlineExceeded {
		select {
		case ev := <-q.events:
			return q.taken(ev), nil
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
		return q.taken(ev)
	default:
		return nil
	}
}

// Events returns an iterator over the events that Recv would return. It ends when the
// socket or ctx ends.
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
