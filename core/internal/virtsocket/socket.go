package virtsocket

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/wheel"
)

// ErrClosed is returned by sends on a socket that has ended.
var ErrClosed = errors.New("virtsocket: closed")

// lingerTime is how long a closed polling session answers the poll that comes
// too late with its last messages.
const (
	lingerTime     = 30 * time.Second
	shutdownLinger = 500 * time.Millisecond
)

// crossing is how long a request that says goodbye waits for a poll that was sent
// before it: over two connections the second request may be served first.
const crossing = 200 * time.Millisecond

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
	old     *old        // nil for a session of Engine.IO 4
	hb      wheel.Timer // heartbeat, or close timeout; after the end: linger
	place   place       // what the session takes of the hub's Limits
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
	stalled   bool          // see Stall
	excused   bool          // stalled at some moment since the last expiry
	unpinged  bool          // the first ping is still to come
	due       time.Duration // of hb

	busy    atomic.Int32 // index in the watch + 1; 0: not watched
	since   int64        // the watch's tick at which it was entered
	dropped atomic.Int64 // volatile messages
}

// old is what only sessions of the older dialects need: the others cost no
// memory for it.
type old struct {
	codec dialect.Repairer // with Repairs

	// With Takeover.
	moving  chan struct{} // full while the transport is replaced; see Socket.move
	carrier *carrier      // the duplex transport in use; like the rest guarded by Socket.mu
	opened  bool
	quiet   bool // Socket.hb is the close timeout
	polls   int  // requests that wait
}

// payloads is the framing for a request of the session.
func (s *Socket) payloads(req dialect.Request) dialect.Payloads {
	if s.rules().Repairs {
		return s.old.codec
	}
	return s.dialect.Payloads(req)
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

// open sends the first message and starts the heartbeat. The handler is told afterwards.
func (s *Socket) open(first *packet.Message) {
	if s.old != nil {
		s.mu.Lock()
		s.old.opened = true
		s.mu.Unlock()
	}
	s.armFirst()
	if first != nil {
		_ = s.Send(first)
	}
	if s.hub.closed.Load() { // Shutdown may have looked before the socket was there
		s.Close(ServerShutdown)
	}
}

// Ended reports whether the socket has been closed. Handler.Closed may still be
// under way.
func (s *Socket) Ended() bool { return s.isClosed() }

// Handle gives the socket its handler before Options.Accept has returned. Accept
// calls it before application code sees the socket, which may be closed from then
// on: h.Closed is called exactly once, also when Accept refuses.
func (s *Socket) Handle(h Handler) {
	s.mu.Lock()
	s.handler = h
	s.mu.Unlock()
}

// serve answers a request that names this session.
func (s *Socket) serve(x host.Exchange, req dialect.Request) {
	h := s.hub
	if s.late() { // the wheel has not come to it yet
		s.Expired(&s.hb)
	}
	if t := h.duplex(req.Transport); t != nil {
		switch {
		case !s.rules().Takeover:
			s.upgrade(x, t)
		case s.isClosed() && s.dialect.Stranger() != nil:
			h.stranger(x, s.dialect, req)
		default:
			s.replace(x, t)
		}
		return
	}
	first := false
	if s.rules().Takeover {
		var ok bool
		if first, ok = s.attach(x, req); !ok {
			h.unavailable(x, s.dialect, "Another transport is taking over")
			return
		}
	}
	s.mu.Lock()
	conn, poll, ended := s.conn, s.poll, s.state != stateOpen
	lingers := s.due != 0
	s.mu.Unlock()
	switch {
	case !ended:
	case poll == nil && s.dialect.Stranger() != nil:
		h.stranger(x, s.dialect, req)
		return
	case !lingers && s.dialect.Stranger() == nil: // Close is about to make the id unknown
		h.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
		return
	}
	if poll == nil || conn != transport.Conn(poll) || !s.rules().Takeover && poll.Name() != req.Transport {
		h.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Context: "transport mismatch"})
		return
	}
	visit := h.visit(req, s.payloads(req))
	if first {
		// Before the first message leaves, as in begins.
		s.out.takeSingle(x.Method() == http.MethodGet && !visit.Answer.Stream)
		s.handler.Opened()
	}
	switch x.Method() {
	case http.MethodGet:
		h.opts.Origins.headers(x)
		err := s.get(x, poll, visit)
		switch {
		case errors.Is(err, transport.ErrClosed):
			if s.dialect.Stranger() != nil {
				h.stranger(x, s.dialect, req)
				return
			}
			h.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
		case errors.Is(err, host.ErrNoStream):
			h.opts.Logger.Error("siokit: "+req.Transport+" refused", "error", err)
			h.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Status: http.StatusNotImplemented, Message: err.Error()})
		case errors.Is(err, transport.ErrOverlap):
			_ = x.Reply(http.StatusBadRequest, nil)
		}
	case http.MethodPost:
		s.post(x, poll, visit)
	default:
		x.SetHeader("Allow", "GET, POST")
		h.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Status: http.StatusMethodNotAllowed, Context: x.Method()})
	}
}

// get serves a request that waits.
func (s *Socket) get(x host.Exchange, poll transport.Poll, v transport.Visit) error {
	s.arrived(v)
	defer s.departed(v)
	return poll.Get(x, v)
}

// post serves a polling request with a body, and answers it.
func (s *Socket) post(x host.Exchange, poll transport.Poll, visit transport.Visit) {
	ref := dialect.Refusal{Code: dialect.BadRequest}
	err := poll.Post(x, visit, s.hub.opts.MaxPayload)
	if err == nil {
		s.hub.accepted(x, s.dialect)
		return
	}
	reason := TransportError
	switch {
	case errors.Is(err, transport.ErrClosed):
		if s.dialect.Stranger() != nil {
			s.hub.accepted(x, s.dialect)
			return
		}
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
		return
	case errors.Is(err, host.ErrTooLarge):
		ref.Status, ref.Message, ref.Cause = http.StatusRequestEntityTooLarge, "Payload too large", dialect.CauseTooLarge
	case errors.Is(err, host.ErrTimeout):
		ref.Status, ref.Message = http.StatusRequestTimeout, "Request timeout"
	case errors.Is(err, transport.ErrEncoding):
		ref.Status, ref.Message = http.StatusUnsupportedMediaType, "Content encoding not supported"
	case errors.Is(err, packet.ErrMalformed):
		reason = ParseError
	}
	ref.Context = err.Error()
	s.Close(reason)
	s.hub.refuse(x, s.dialect, &ref)
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

// Dropped is the number of volatile messages that were dropped.
func (s *Socket) Dropped() int64 { return s.dropped.Load() }

// enqueue adds m to the outbox. It returns the transport to flush, nil when
// somebody else will.
func (s *Socket) enqueue(m *packet.Message, how delivery) (flushable, error) {
	if s.old != nil && s.old.codec != nil {
		m = s.old.codec.Outgoing(m)
	}
	to, err := s.out.add(m, how)
	switch {
	case err == nil:
		return to, nil
	case errors.Is(err, errDropped):
		s.dropped.Add(1)
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
func (s *Socket) Sent(ms []*packet.Message) { s.out.sent(ms) }

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
}

// Busy says that application code is about to run inside a batch: if it takes
// long, what it sends must not wait for the end of the batch.
func (s *Socket) Busy() {
	if s.busy.Load() == 0 {
		s.hub.watch.enter(s)
	}
}

// Enter is Busy for the goroutine that called Handler.Message inline: from here
// to the end of Message, Detach lets another goroutine read on.
func (s *Socket) Enter() {
	s.Busy()
	s.mu.Lock()
	conn := s.conn
	var c *carrier
	if s.old != nil {
		c = s.old.carrier
	}
	s.mu.Unlock()
	conn.Enter()
	if c != nil {
		c.place(0)
	}
}

// Flush writes what is queued and keeps nothing back until the current batch ends.
func (s *Socket) Flush() {
	if to := s.out.release(); to != nil {
		to.Flush()
	}
}

// Detach flushes, and moves the reading of the connection to another goroutine
// if the current reader has called Enter. An application that waits for its own
// client calls it first.
func (s *Socket) Detach() {
	s.Flush()
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		conn.Detach()
	}
}

// Frame implements transport.Link.
func (s *Socket) Frame(f packet.Frame) error {
	if s.old != nil {
		if s.rules().FramePayloads {
			return s.payload(f)
		}
		if s.rules().Repairs && !f.Binary {
			f.Data = s.old.codec.Repair(f.Data)
		}
	}
	u, err := s.dialect.Decode(f)
	if err != nil {
		s.Close(ParseError)
		return &transport.Error{Code: transport.ProtocolError, Text: err.Error()}
	}
	if r := s.unit(u, true); r != 0 {
		s.Close(r)
		return &transport.Error{Code: r.code(), Text: r.String()}
	}
	return nil
}

// payload handles a frame of a dialect that may put several units into one. None
// is handled inline: another goroutine would read on while some are still to come.
func (s *Socket) payload(f packet.Frame) error {
	err := packet.Malformed("a binary message")
	if !f.Binary {
		err = s.dialect.Payloads(dialect.Request{}).DecodePayload(f.Data, "", s.Unit)
	}
	if err != nil {
		s.Close(ParseError)
		return &transport.Error{Code: transport.ProtocolError, Text: err.Error()}
	}
	return nil
}

// Unit implements transport.Link.
func (s *Socket) Unit(u packet.Unit) bool {
	if s.isClosed() {
		return false
	}
	if u.Kind == packet.Close {
		s.mu.Lock()
		poll := s.poll
		s.mu.Unlock()
		if poll != nil { // a waiting request ends with noop: the client said goodbye first
			poll.Hold(true)
			if p, ok := poll.(interface{ Await(d time.Duration) }); ok {
				p.Await(crossing)
			}
		}
		s.Close(TransportClose)
		return false
	}
	if r := s.unit(u, false); r != 0 {
		s.Close(r)
		return false
	}
	return true
}

// unit handles one unit; a reason other than 0 ends the socket.
func (s *Socket) unit(u packet.Unit, inline bool) Reason {
	switch u.Kind {
	case packet.MessageUnit:
		if s.rules().Heartbeat == dialect.ServerPings {
			s.traffic()
		}
		if s.isClosed() {
			return 0
		}
		return s.handler.Message(u.Binary, u.Data, inline)
	case packet.Ping:
		if s.rules().Heartbeat == dialect.ServerPings {
			return TransportError // invalid heartbeat direction
		}
		s.arm()
		_ = s.Send(s.dialect.Control(packet.Unit{Kind: packet.Pong}))
	case packet.Pong:
		if s.rules().Heartbeat == dialect.ClientPings {
			return TransportError
		}
		s.mu.Lock()
		due := s.pongDue
		s.pongDue = false
		s.mu.Unlock()
		if due { // a pong that nobody asked for moves no timer
			s.arm()
		}
	}
	return 0 // open, upgrade, noop, and on a duplex transport close: ignored
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
		s.ended(err)
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
		poll.Goodbye(s.dialect.Goodbye(r.Reconnects()))
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
	return r != ParseError && r != TransportError || s.rules().Takeover
}

// lingerTime is how long the session then waits for that poll.
func (s *Socket) lingerTime(r Reason) time.Duration {
	if r == ServerShutdown || s.place.state.Load()&settled == 0 {
		return shutdownLinger // nobody, or nobody's last messages, to wait for
	}
	return lingerTime
}

// Drop ends the transport without a goodbye, as a broken network would. A client
// that polls, and may come with any request, finds that its next poll fails.
func (s *Socket) Drop() {
	s.Close(ServerTransport)
	s.mu.Lock()
	polls := s.poll != nil && s.conn == transport.Conn(s.poll)
	s.mu.Unlock()
	if !polls || !s.rules().Takeover {
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
