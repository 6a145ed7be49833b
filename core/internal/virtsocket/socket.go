package virtsocket

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/wheel"
)

// lingerTime is how long a closed polling session answers the poll that comes
// too late with its last messages.
const (
	lingerTime     = 30 * time.Second
	shutdownLinger = 500 * time.Millisecond
	// answersLinger is how long it does when the server shuts down and those messages wait.
	answersLinger = 2 * time.Second
)

type state uint8

const (
	stateOpen   state = iota
	stateClosed       // the handler knows; the transport may still be saying goodbye
)

// Socket is one client's virtual socket. All methods are safe for concurrent use.
type Socket struct {
	hub     *Hub
	id      string
	dialect dialect.Dialect
	handler Handler
	legacy  *legacy     // nil for a session of Engine.IO 4
	hb      wheel.Timer // heartbeat, or close timeout; after the end: linger
	slot    slot        // what the session takes of the hub's Limits
	out     outbox

	mu        sync.Mutex
	conn      transport.Conn
	poll      transport.Poll // nil when the session does not poll
	candidate *candidate
	state     state
	reason    Reason // of the first Close
	gone      bool   // the last transport has ended: nothing is to be found in the hub
	pongDue   bool
	restarted bool          // the pong timeout was restarted by other traffic
	stalled   bool          // see PauseHeartbeat
	excused   bool          // stalled at some moment since the last expiry
	unpinged  bool          // the first ping on the transport is still to come
	due       time.Duration // of hb
	bodies    int           // payloads that are being handled
	handled   chan struct{} // closed when bodies becomes 0, if somebody waits
	gate      chan struct{} // closed when payloads may begin again; nil: they may, see BetweenPayloads

	busy  atomic.Int32 // index in the watch + 1; 0: not watched
	since int64        // the watch's tick at which it was entered
}

// legacy is the state that only sessions of the older dialects have. The others keep
// one nil pointer for it.
type legacy struct {
	codec dialect.Repairer // with Repairs

	// With NewestTransportWins.
	switching chan struct{}    // full while the transport is replaced; see startSwitch
	link      *replaceableLink // of the duplex transport in use; like the rest guarded by Socket.mu
	opened    bool
	quiet     bool // Socket.hb is the close timeout
	polls     int  // requests that wait
}

func (s *Socket) rules() *dialect.Rules { return s.dialect.Rules() }

// ID is the session id. It is a secret: whoever has it can post in the session.
func (s *Socket) ID() string { return s.id }

// Dialect is the client's generation.
func (s *Socket) Dialect() dialect.Dialect { return s.dialect }

// Transport is the name of the transport in use, "" while there is none.
func (s *Socket) Transport() string {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn == nil {
		return ""
	}
	return conn.Name()
}

// open sends the first message. The handler is told afterwards.
func (s *Socket) open(first *packet.Message) {
	if s.legacy != nil {
		s.mu.Lock()
		s.legacy.opened = true
		s.mu.Unlock()
	}
	if first != nil {
		_ = s.Send(first)
	}
}

// Settle says that the handler has accepted the client for good, for Limits.
// Calls beyond the first have no effect.
func (s *Socket) Settle() { s.hub.limiter.note(&s.slot, settled) }

// Ended reports whether the socket has been closed. Handler.Closed may still be
// under way.
func (s *Socket) Ended() bool { return s.isClosed() }

// EndReason is why the socket has been closed, 0 while it is not. Handler.Closed may still be
// under way.
func (s *Socket) EndReason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// Handle gives the socket its handler before Options.Accept has returned. Accept
// calls it before application code sees the socket, which may be closed from then
// on: h.Closed is called exactly once, also when Accept refuses.
func (s *Socket) Handle(h Handler) {
	s.mu.Lock()
	s.handler = h
	s.mu.Unlock()
}

// Send queues a message and sees to it that it leaves: at once, or with the
// other answers to what one read brought. A client that does not keep up is
// disconnected with SlowClient when the queue's bound is reached.
func (s *Socket) Send(m *packet.Message) error { return s.send(m, 0) }

// SendVolatile is Send for a message that may be lost: it is dropped when other
// messages are still waiting to be written.
func (s *Socket) SendVolatile(m *packet.Message) error { return s.send(m, volatile) }

func (s *Socket) send(m *packet.Message, how delivery) error {
	to, err := s.enqueue(m, how)
	if to != nil {
		to.Flush()
	}
	return err
}

// Dropped is the number of volatile messages that were dropped, of all sockets since the
// hub was made.
func (h *Hub) Dropped() int64 { return h.dropped.Load() }

// enqueue adds m to the outbox. It returns the transport to flush, nil when
// somebody else will.
func (s *Socket) enqueue(m *packet.Message, how delivery) (flushable, error) {
	if s.legacy != nil && s.legacy.codec != nil {
		m = s.legacy.codec.Outgoing(m)
	}
	if how&volatile != 0 && s.hub.flush.parked.Load() {
		how |= parked
	}
	to, err := s.out.add(m, how)
	switch {
	case err == nil:
		return to, nil
	case errors.Is(err, errDropped):
		s.hub.dropped.Add(1)
		return nil, nil
	case errors.Is(err, errFull):
		s.Close(SlowClient)
	}
	return nil, ErrClosed
}

// Next implements transport.Link.
func (s *Socket) Next() []*packet.Message { return s.out.take() }

// Sent implements transport.Link.
func (s *Socket) Sent(ms []*packet.Message) {
	if s.out.sent(ms) { // see Finish
		s.Close(ServerShutdown)
	}
}

// Unsent implements transport.Link.
func (s *Socket) Unsent(ms []*packet.Message) {
	s.out.unsent(ms)
	s.Flush() // another request may wait already
}

// Begin implements transport.Link.
func (s *Socket) Begin() { s.out.begin() }

// End implements transport.Link.
func (s *Socket) End() {
	to, last := s.out.end()
	if last && s.busy.Load() != 0 {
		s.hub.watch.leave(s)
	}
	if to != nil {
		to.Flush()
	}
	s.hub.flush.unpark()
}

// Flush writes what is queued and keeps nothing back until the current batch ends.
func (s *Socket) Flush() {
	if to := s.out.release(); to != nil {
		to.Flush()
	}
}

func (s *Socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state != stateOpen
}

// Lost implements transport.Link: the transport has ended.
func (s *Socket) Lost(err error) {
	reason := TransportError
	switch {
	case err == nil, errors.Is(err, transport.ErrClosed):
		reason = TransportClose
	case errors.Is(err, transport.ErrSlow):
		reason = SlowClient
	default:
		s.noteTooLarge(err)
	}
	s.Close(reason)
	s.mu.Lock()
	s.gone = true
	s.unset()
	s.mu.Unlock()
	s.hub.remove(s)
}

// Close ends the socket: the handler learns the reason at once, the transport
// sends what is queued and says goodbye. Only the first call counts.
func (s *Socket) Close(r Reason) {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return
	}
	s.state, s.reason = stateClosed, r
	s.out.close(r == SlowClient || r == PingTimeout) // those read nothing more: free the memory now
	conn, poll, handler := s.conn, s.poll, s.handler
	s.gone = s.gone || conn == nil // the handshake was never followed by anything
	polls := conn != nil && poll != nil && conn == transport.Conn(poll)
	lingers := polls && s.lingers(r)
	if lingers {
		s.set(s.lingerTime(r))
	} else {
		s.unset()
	}
	var cand transport.Conn
	if s.candidate != nil {
		cand = s.candidate.conn
	}
	s.mu.Unlock()

	if cand != nil {
		cand.Close(transport.NoStatus, "")
	}
	// The application learns it last: nothing reaches the socket any more then.
	if handler != nil { // else Hub.accept tells it
		defer handler.Closed(r)
	}
	switch {
	case conn == nil:
		s.hub.remove(s)
		return
	case polls:
		poll.Goodbye(s.dialect.CloseMessage(r.Reconnects()))
	}
	if polls && !lingers {
		conn.Close(transport.NoStatus, "")
		return
	}
	conn.Close(r.code(), r.String())
}

// lingers reports whether a client that polls is told of the end by the poll that
// comes next. One that broke the rules of the protocol or the transport has got
// its answer already, as from the reference: its session is unknown from now on.
// Clients that come with any request are always told.
func (s *Socket) lingers(r Reason) bool {
	if r.code() == transport.NoStatus {
		return false
	}
	return r != ParseError && r != TransportError || s.rules().NewestTransportWins
}

// lingerTime is how long the session then waits for that poll.
func (s *Socket) lingerTime(r Reason) time.Duration {
	switch {
	case s.slot.state.Load()&settled == 0:
		return shutdownLinger // nobody's last messages to wait for
	case r == ServerShutdown && !s.out.empty():
		return answersLinger // acks may be among them
	case r == ServerShutdown || s.hub.closed.Load():
		return shutdownLinger // nobody to wait for
	}
	return lingerTime
}

// Drop ends the transport without a goodbye, as a broken network would. A client
// that polls, and may come with any request, finds that its next poll fails.
func (s *Socket) Drop() { s.drop(ServerTransportClose) }

// Lose is Drop for a client that is there again, over another connection: the network has
// broken this one, and what has come over it is still handled.
func (s *Socket) Lose() { s.drop(TransportClose) }

func (s *Socket) drop(r Reason) {
	s.Close(r)
	s.mu.Lock()
	polls := s.poll != nil && s.conn == transport.Conn(s.poll)
	s.mu.Unlock()
	if !polls || !s.rules().NewestTransportWins {
		s.abort()
	}
}

// abort ends the transport at once.
func (s *Socket) abort() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		conn.Close(transport.NoStatus, "")
	}
}
