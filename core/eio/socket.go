package eio

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/inbox"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// ErrClosed is returned by Send and SendBinary on a connection that has ended.
var ErrClosed = errors.New("eio: closed")

// Message is one message from a client: a text or bytes.
type Message struct {
	// Binary says that the client has sent bytes, not text.
	Binary bool
	// Data is the text or the bytes. It may be kept.
	Data []byte
}

// Socket is the connection of one client. It stays the same when the transport changes
// from polling to a websocket. All methods are safe for concurrent use.
type Socket struct {
	srv    *Server
	vs     *virtsocket.Socket
	data   any
	ctx    context.Context
	cancel context.CancelFunc

	inbox inbox.Inbox[func()] // what is to be done, in order

	mu        sync.Mutex // guards what follows
	onMessage func(m Message)
	onClose   func(reason string)
}

// maxInbox and inboxFactor bound what waits for OnMessage: so many messages, and so
// many times MaxPayload bytes.
const (
	maxInbox    = 64
	inboxFactor = 4
)

// order is the key of everything in the inbox: all of it is done in one order.
const order = ""

func newSocket(srv *Server, vs *virtsocket.Socket) *Socket {
	s := &Socket{srv: srv, vs: vs}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.inbox.Init(worker{vs}, &srv.inboxes)
	return s
}

// ID is the session id. It is a secret: whoever knows it can send in the name of the
// client.
func (s *Socket) ID() string { return s.vs.ID() }

// Protocol is the revision of Engine.IO that the client speaks, 3 or 4.
func (s *Socket) Protocol() int {
	if s.vs.Dialect().Name() == "eio4" {
		return 4
	}
	return 3
}

// Transport is the name of the transport in use, "polling" or "websocket", or "" while
// there is none.
func (s *Socket) Transport() string { return s.vs.Transport() }

// Data returns what Options.AllowRequest has returned for the handshake.
func (s *Socket) Data() any { return s.data }

// Context returns a context that ends with the connection.
func (s *Socket) Context() context.Context { return s.ctx }

// OnMessage registers the function for messages, in place of an earlier one. Messages
// that arrive without a function are dropped, so call OnMessage in OnConnection.
func (s *Socket) OnMessage(fn func(m Message)) {
	s.mu.Lock()
	s.onMessage = fn
	s.mu.Unlock()
}

// OnClose registers the function for the end of the connection, in place of an earlier
// one. It runs once, after the functions of all messages that arrived before. The
// reason is a text as the engine.io server for Node has it:
//
//   - "transport close": the client or the network ended the connection
//   - "transport error": the connection broke, or broke the transport's rules
//   - "ping timeout": no heartbeat in time
//   - "parse error": a malformed packet
//   - "forced close": Close was called, or OnMessage has panicked
//   - "server shutting down": Server.Shutdown was called
//   - "slow client": what waited for the client reached its bound
func (s *Socket) OnClose(fn func(reason string)) {
	s.mu.Lock()
	s.onClose = fn
	s.mu.Unlock()
}

// Send sends a text. Bytes that are not UTF-8 become U+FFFD, because browsers close a
// websocket that gets them. Send does not wait for the client; Options.MaxQueueMessages
// bounds what waits. It returns ErrClosed when the connection has ended.
func (s *Socket) Send(text string) error {
	return s.send(false, packet.ApplicationText([]byte(text)))
}

// SendBinary is Send for bytes. It copies data.
func (s *Socket) SendBinary(data []byte) error { return s.send(true, data) }

func (s *Socket) send(binary bool, data []byte) error {
	m := s.vs.Dialect().Control(packet.Unit{Kind: packet.MessageUnit, Binary: binary, Data: data})
	if s.vs.Send(m) != nil {
		return ErrClosed
	}
	return nil
}

// Close ends the connection, after what was sent before. OnClose gets "forced close".
func (s *Socket) Close() { s.vs.Close(virtsocket.ServerTransportClose) }

// handler is a Socket as the layer inside sees it: these methods are not for
// applications.
type handler struct{ s *Socket }

// Opened implements virtsocket.Handler.
func (h handler) Opened() {
	s := h.s
	s.vs.Settle()
	s.inbox.Push(order, func() { s.srv.call("OnConnection", func() { s.srv.opts.OnConnection(s) }, s.Close) })
}

// Visit implements virtsocket.Handler: later requests are the layer's own business.
func (handler) Visit(host.Exchange) *dialect.Refusal { return nil }

// Message implements virtsocket.Handler. The goroutine that has read the message
// handles it, unless another one is handling something: what waits then waits in the
// inbox, up to its bound, and the connection is not read on beyond that.
func (h handler) Message(binary bool, data []byte, inline bool) virtsocket.Reason {
	s, m := h.s, Message{Binary: binary, Data: bytes.Clone(data)}
	handle := func() { s.handle(m) }
	if inline {
		if role, ok := s.inbox.Claim(order, len(m.Data)); ok {
			s.vs.AllowHandoff()
			s.inbox.Run(role, handle)
			return 0
		}
	}
	s.inbox.Put(order, len(m.Data), handle)
	return 0
}

// Overdue implements virtsocket.Handler: nothing is done beside OnMessage.
func (handler) Overdue() {}

// worker is the owner of an inbox: the session, and what does a task.
type worker struct{ *virtsocket.Socket }

func (worker) Do(task func()) { task() }

func (s *Socket) handle(m Message) {
	s.mu.Lock()
	fn := s.onMessage
	s.mu.Unlock()
	if fn != nil {
		s.srv.call("OnMessage", func() { fn(m) }, s.Close)
	}
}

// Closed implements virtsocket.Handler. It may be called with any lock
// held, so the work is done elsewhere.
func (h handler) Closed(r virtsocket.Reason) {
	s := h.s
	s.cancel()
	go func() {
		s.vs.AwaitPayloads() // the messages of readers that wait go before the end
		s.inbox.Close()
		s.inbox.Push(order, func() {
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

// reason is the text of a reason that OnClose is told. Socket.Close has the text that it
// has in Node.
func reason(r virtsocket.Reason) string {
	if r == virtsocket.ServerTransportClose {
		return "forced close"
	}
	return r.String()
}
