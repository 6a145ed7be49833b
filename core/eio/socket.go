package eio

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// ErrClosed is returned by Send and SendBinary on a connection that has ended.
var ErrClosed = errors.New("eio: closed")

// Message is what one side sends in one piece.
type Message struct {
	// Binary says that the client has sent bytes, not text.
	Binary bool
	// Data is the text or the bytes. It may be kept.
	Data []byte
}

// Reason is why a connection has ended. The texts are those of the engine.io server
// for Node where it has one.
type Reason string

// The reasons.
const (
	TransportClose Reason = "transport close"      // the client or the network ended the connection
	TransportError Reason = "transport error"      // the connection broke, or broke the transport's rules
	PingTimeout    Reason = "ping timeout"         // no heartbeat in time
	ParseError     Reason = "parse error"          // a malformed packet
	SlowClient     Reason = "slow client"          // the outgoing queue reached its bound
	ServerShutdown Reason = "server shutting down" // Server.Shutdown
	ForcedClose    Reason = "forced close"         // Socket.Close, or OnMessage has panicked
)

// Socket is one connection; it outlives its transports. All methods are safe for
// concurrent use.
type Socket struct {
	srv    *Server
	vs     *virtsocket.Socket
	data   any
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex // guards what follows
	room      sync.Cond  // there may be room in inbox
	inbox     []func()   // what is to be done, in order
	waiting   int        // bytes of the messages in inbox
	running   bool       // somebody does it
	stalled   int        // readers that wait for room
	closed    bool
	onMessage func(m Message)
	onClose   func(r Reason)
}

// maxInbox and inboxFactor bound what waits for OnMessage: so many messages, and so
// many times MaxPayload bytes.
const (
	maxInbox    = 64
	inboxFactor = 4
)

func newSocket(srv *Server, vs *virtsocket.Socket) *Socket {
	s := &Socket{srv: srv, vs: vs}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.room.L = &s.mu
	return s
}

// ID is the session id. It is a secret: whoever has it can post in the session.
func (s *Socket) ID() string { return s.vs.ID() }

// Protocol is the revision of Engine.IO that the client speaks, 3 or 4.
func (s *Socket) Protocol() int {
	if s.vs.Dialect().Name() == "eio4" {
		return 4
	}
	return 3
}

// Transport is the name of the transport in use, "" while there is none.
func (s *Socket) Transport() string { return s.vs.Transport() }

// Data is what Options.AllowRequest has returned for the handshake.
func (s *Socket) Data() any { return s.data }

// Context ends with the connection.
func (s *Socket) Context() context.Context { return s.ctx }

// OnMessage registers the function for messages, in place of the one before. Messages
// without a function are dropped, so OnConnection is the place to call it.
func (s *Socket) OnMessage(fn func(m Message)) {
	s.mu.Lock()
	s.onMessage = fn
	s.mu.Unlock()
}

// OnClose registers the function for the end of the connection, in place of the one
// before. It runs once, behind the messages that have come before.
func (s *Socket) OnClose(fn func(r Reason)) {
	s.mu.Lock()
	s.onClose = fn
	s.mu.Unlock()
}

// Send sends a text. Bytes that are not UTF-8 become U+FFFD, because browsers close
// a websocket that gets them. It does not wait for the client; see
// Options.MaxQueueMessages. It returns ErrClosed when the connection has ended.
func (s *Socket) Send(text string) error {
	return s.send(false, packet.ApplicationText([]byte(text)))
}

// SendBinary is Send for bytes, which it copies.
func (s *Socket) SendBinary(data []byte) error { return s.send(true, data) }

func (s *Socket) send(binary bool, data []byte) error {
	m := s.vs.Dialect().Control(packet.Unit{Kind: packet.MessageUnit, Binary: binary, Data: data})
	if s.vs.Send(m) != nil {
		return ErrClosed
	}
	return nil
}

// Close ends the connection. What has been sent leaves first.
func (s *Socket) Close() { s.vs.Close(virtsocket.ServerTransport) }

// handler is a Socket as the layer inside sees it: these methods are not for
// applications.
type handler struct{ s *Socket }

// Opened implements virtsocket.Handler.
func (h handler) Opened() {
	s := h.s
	s.vs.Settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(func() { s.srv.call("OnConnection", func() { s.srv.opts.OnConnection(s) }, s.Close) })
}

// Visit implements virtsocket.Handler: later requests are the layer's own business.
func (handler) Visit(host.Exchange) *dialect.Refusal { return nil }

// Message implements virtsocket.Handler. The goroutine that has read the message
// handles it, unless another one is handling something: what waits then waits in the
// inbox, up to its bound, and the connection is not read on beyond that.
func (h handler) Message(binary bool, data []byte, inline bool) virtsocket.Reason {
	s, m := h.s, Message{Binary: binary, Data: bytes.Clone(data)}
	s.mu.Lock()
	for s.full(len(m.Data)) && !s.closed {
		if s.stalled++; s.stalled == 1 {
			s.vs.Stall(true)
		}
		s.room.Wait()
		if s.stalled--; s.stalled == 0 {
			s.vs.Stall(false)
			s.room.Broadcast() // Closed waits for it
		}
	}
	if s.running || !inline {
		s.waiting += len(m.Data)
		s.push(func() {
			s.mu.Lock()
			s.waiting -= len(m.Data)
			s.mu.Unlock()
			s.handle(m)
		})
		s.mu.Unlock()
		return 0
	}
	s.running = true
	s.mu.Unlock()
	s.vs.Enter()
	s.work(func() { s.handle(m) })
	return 0
}

// full reports whether the inbox has no room for size bytes. One message always fits;
// s.mu is held.
func (s *Socket) full(size int) bool {
	return len(s.inbox) > 0 && (len(s.inbox) >= maxInbox || int64(s.waiting+size) > inboxFactor*s.srv.opts.MaxPayload)
}

func (s *Socket) handle(m Message) {
	s.mu.Lock()
	fn := s.onMessage
	s.mu.Unlock()
	if fn != nil {
		s.srv.call("OnMessage", func() { fn(m) }, s.Close)
	}
}

// push adds something to do and sees to it that somebody does it; s.mu is held.
func (s *Socket) push(fn func()) {
	s.inbox = append(s.inbox, fn)
	if !s.running {
		s.running = true
		go s.carryOn()
	}
}

// carryOn does what waits, in a goroutine of its own.
func (s *Socket) carryOn() {
	s.vs.Begin()
	defer s.vs.End()
	s.vs.Busy()
	s.work(nil)
}

// work does fn, which may be nil, and then what waits. When application code ends the
// goroutine meanwhile, another one goes on.
func (s *Socket) work(fn func()) {
	finished := false
	defer func() {
		if !finished {
			go s.carryOn()
		}
	}()
	for {
		if fn != nil {
			fn()
		}
		s.mu.Lock()
		if len(s.inbox) == 0 {
			s.inbox, s.running = nil, false
			s.mu.Unlock()
			finished = true
			return
		}
		fn = s.inbox[0]
		s.inbox[0] = nil
		s.inbox = s.inbox[1:]
		s.room.Broadcast()
		s.mu.Unlock()
	}
}

// Closed implements virtsocket.Handler. It may be called with any lock
// held, so the work is done elsewhere.
func (h handler) Closed(r virtsocket.Reason) {
	s := h.s
	s.cancel()
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = true
		s.room.Broadcast()
		for s.stalled > 0 { // their messages go before the end
			s.room.Wait()
		}
		s.push(func() {
			defer s.srv.running.Done()
			s.mu.Lock()
			fn := s.onClose
			s.mu.Unlock()
			if fn != nil {
				s.srv.call("OnClose", func() { fn(reason(r)) }, func() {})
			}
		})
	}()
}

// reason is the public form of a reason.
func reason(r virtsocket.Reason) Reason {
	if r == virtsocket.ServerTransport {
		return ForcedClose
	}
	return Reason(r.String())
}
