package virtsocket

import (
	"errors"
	"net/http"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// Every request comes in by Hub.ServeExchange. One that names no session goes on in
// handshake.go. One that names a session goes on in Socket.serve: a duplex
// transport takes it over (upgrade.go, takeover.go), or it is a poll.

// ServeExchange implements host.Handler.
func (h *Hub) ServeExchange(x host.Exchange) {
	hd := readHead(x)
	if h.oversized(x, hd) {
		return
	}
	if x.Method() == http.MethodOptions && h.preflight(x, hd) {
		return
	}
	if h.opts.Elsewhere != nil && h.opts.Elsewhere(x) {
		return
	}
	d := h.recognise(x)
	if d == nil {
		h.unrecognised(x, hd)
		return
	}
	if !h.opts.Origins.admit(x, hd) {
		h.refuse(x, d, foreign())
		return
	}
	req, ref := d.Parse(x)
	if ref == nil {
		ref = h.check(x, hd, d, req)
	}
	if ref != nil {
		h.refuse(x, d, ref)
		return
	}
	x = h.opts.Origins.anonymous(x, hd, included(req))
	if req.SID == "" {
		h.handshake(x, d, req)
		return
	}
	h.resume(x, d, req)
}

// oversized refuses a request whose query or headers are larger than allowed,
// before anything has looked at them. It reports whether it has answered.
func (h *Hub) oversized(x host.Exchange, hd head) bool {
	ref := &dialect.Refusal{Code: dialect.BadRequest, Cause: dialect.CauseTooLarge}
	switch {
	case len(x.RawQuery())+len(x.Path()) > h.opts.MaxQuery:
		ref = TooLong()
	case hd.size > h.opts.MaxHeaders:
		ref.Status, ref.Message = http.StatusRequestHeaderFieldsTooLarge, "Headers too large"
		ref.Context = "larger than Options.MaxHeaders"
	default:
		return false
	}
	h.refuse(x, h.opts.Dialects[0], ref)
	return true
}

// TooLong is the refusal of a request whose address is longer than MaxQuery.
func TooLong() *dialect.Refusal {
	return &dialect.Refusal{
		Code: dialect.BadRequest, Status: http.StatusRequestURITooLong, Message: "Query too long",
		Context: "longer than Options.MaxQuery", Cause: dialect.CauseTooLarge,
	}
}

// resume serves a request that names a session.
func (h *Hub) resume(x host.Exchange, d dialect.Dialect, req dialect.Request) {
	var s *Socket
	if dialect.ValidSID(req.SID) {
		s = h.get(req.SID)
	}
	known := s != nil && s.dialect.Name() == d.Name()
	if known {
		h.limiter.note(&s.slot, back)
		if ref := s.handler.Visit(x); ref != nil {
			s.Drop()
			h.refuse(x, d, ref)
			return
		}
	}
	switch {
	case req.End:
		if known {
			s.Close(ClientNamespace)
		}
		h.opts.Origins.headers(x)
		_ = x.Reply(http.StatusOK, nil)
	case known:
		s.serve(x, req)
	case d.UnknownSession() != nil:
		h.unknownSession(x, d, req)
	case s != nil:
		h.refuse(x, d, &dialect.Refusal{Code: dialect.BadRequest, Context: "protocol mismatch"})
	default:
		h.refuse(x, d, &dialect.Refusal{Code: dialect.UnknownSID})
	}
}

func (h *Hub) duplex(name string) transport.Duplex {
	for _, t := range h.opts.Duplex {
		if t.Name() == name {
			return t
		}
	}
	return nil
}

func (h *Hub) form(name string) transport.Form {
	for _, f := range h.opts.Forms {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

// visit is how a polling request is to be served.
func (h *Hub) visit(req dialect.Request, c packet.Payloads) transport.PollRequest {
	f := h.form(req.Transport)
	return transport.PollRequest{Name: req.Transport, Answer: f.Answer(req.Script), Payloads: c}
}

// accepted answers a request whose body was handed on.
func (h *Hub) accepted(x host.Exchange, d dialect.Dialect) {
	h.opts.Origins.headers(x)
	x.SetHeader("Content-Type", d.Rules().Type)
	_ = x.Reply(http.StatusOK, []byte(d.Rules().Accepted))
}

// refuseUpgrade answers a request whose connection could not be taken over.
func (h *Hub) refuseUpgrade(x host.Exchange, d dialect.Dialect, err error) {
	ref := &dialect.Refusal{Code: dialect.BadRequest, Context: err.Error()}
	var other interface{ HTTPStatus() int } // than 400; see host.ErrHandshake
	switch {
	case errors.Is(err, host.ErrHandshake) && errors.As(err, &other):
		if ref.Status = other.HTTPStatus(); ref.Status == http.StatusUpgradeRequired {
			x.SetHeader("Sec-WebSocket-Version", "13")
		}
	case errors.Is(err, host.ErrNoHijack):
		// The host's fault, which its developer must get to see.
		h.opts.Logger.Error("siokit: websocket refused", "error", err)
		ref.Status, ref.Message, ref.Cause = http.StatusNotImplemented, err.Error(), dialect.CauseQuiet
	}
	h.refuse(x, d, ref)
}

// serve answers a request that names this session.
func (s *Socket) serve(x host.Exchange, req dialect.Request) {
	if s.late() { // the wheel has not come to it yet
		s.Expired(&s.hb)
	}
	if t := s.hub.duplex(req.Transport); t != nil {
		s.serveDuplex(x, req, t)
		return
	}
	first, ok := s.attach(x, req)
	if !ok {
		s.hub.unavailable(x, s.dialect, "Another transport is taking over")
		return
	}
	poll := s.polling(x, req)
	if poll == nil {
		return
	}
	visit := s.hub.visit(req, s.payloads(req))
	if first {
		// Before the first message leaves, as in start.
		s.out.takeSingle(x.Method() == http.MethodGet && !visit.Answer.Stream)
		s.handler.Opened()
	}
	switch x.Method() {
	case http.MethodGet:
		s.get(x, req, poll, visit)
	case http.MethodPost:
		s.post(x, poll, visit)
	default:
		x.SetHeader("Allow", "GET, POST")
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Status: http.StatusMethodNotAllowed, Context: x.Method()})
	}
}

// serveDuplex answers a request for a connection of its own.
func (s *Socket) serveDuplex(x host.Exchange, req dialect.Request, t transport.Duplex) {
	switch {
	case !s.rules().NewestTransportWins:
		s.upgrade(x, t)
	case s.isClosed() && s.dialect.UnknownSession() != nil:
		s.hub.unknownSession(x, s.dialect, req)
	default:
		s.replace(x, t)
	}
}

// polling returns the session's poll. When the session has ended, or does not poll
// by the request's transport, polling answers the request and returns nil.
func (s *Socket) polling(x host.Exchange, req dialect.Request) transport.Poll {
	s.mu.Lock()
	conn, poll, ended := s.conn, s.poll, s.state != stateOpen
	lingers := s.due != 0
	s.mu.Unlock()
	switch {
	case !ended:
	case poll == nil && s.dialect.UnknownSession() != nil:
		s.hub.unknownSession(x, s.dialect, req)
		return nil
	case !lingers && s.dialect.UnknownSession() == nil: // Close is about to make the id unknown
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
		return nil
	}
	if poll == nil || conn != transport.Conn(poll) || !s.rules().NewestTransportWins && poll.Name() != req.Transport {
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Context: "transport mismatch"})
		return nil
	}
	return poll
}

// get serves a request that waits for messages.
func (s *Socket) get(x host.Exchange, req dialect.Request, poll transport.Poll, v transport.PollRequest) {
	h := s.hub
	h.opts.Origins.headers(x)
	err := s.wait(x, poll, v)
	switch {
	case errors.Is(err, transport.ErrClosed) && s.dialect.UnknownSession() != nil:
		h.unknownSession(x, s.dialect, req)
	case errors.Is(err, transport.ErrClosed):
		h.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
	case errors.Is(err, host.ErrNoStream):
		h.opts.Logger.Error("siokit: "+req.Transport+" refused", "error", err)
		h.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Status: http.StatusNotImplemented, Message: err.Error(), Cause: dialect.CauseQuiet})
	case errors.Is(err, transport.ErrOverlap):
		_ = x.Reply(http.StatusBadRequest, nil)
	}
}

func (s *Socket) wait(x host.Exchange, poll transport.Poll, v transport.PollRequest) error {
	s.arrived(poll, v)
	defer s.departed()
	return poll.Get(x, v)
}

// post serves a polling request with a body, and answers it.
func (s *Socket) post(x host.Exchange, poll transport.Poll, visit transport.PollRequest) {
	ref := dialect.Refusal{Code: dialect.BadRequest}
	late := s.isClosed()
	visit.Payloads = payload{visit.Payloads, s}
	err := poll.Post(x, visit, s.hub.opts.MaxPayload)
	if err == nil {
		s.hub.accepted(x, s.dialect)
		return
	}
	reason := TransportError
	var hostLimit *http.MaxBytesError
	switch {
	case errors.Is(err, transport.ErrClosed):
		s.unhandled(x, late)
		return
	case errors.Is(err, host.ErrTooLarge):
		ref.Status, ref.Message, ref.Cause = http.StatusRequestEntityTooLarge, "Payload too large", dialect.CauseTooLarge
		if errors.As(err, &hostLimit) {
			ref.HostLimit = hostLimit.Limit
		}
	case errors.Is(err, host.ErrTimeout):
		ref.Status, ref.Message, ref.Cause = http.StatusRequestTimeout, "Request timeout", dialect.CauseQuiet
	case errors.Is(err, transport.ErrEncoding):
		ref.Status, ref.Message = http.StatusUnsupportedMediaType, "Content encoding not supported"
	case errors.Is(err, packet.ErrMalformed):
		reason = ParseError
	case !errors.Is(err, transport.ErrOverlap): // the connection's end, most of the time
		ref.Cause = dialect.CauseQuiet
	}
	ref.Context = err.Error()
	s.Close(reason)
	s.hub.refuse(x, s.dialect, &ref)
}

// unhandled answers a POST that the session's end, or another transport, came before.
// Where an unknown session is no error, a POST that came late is answered as one of an
// unknown session. One that came in time is not: the client would take its messages
// for handled.
func (s *Socket) unhandled(x host.Exchange, late bool) {
	switch {
	case late && s.dialect.UnknownSession() != nil:
		s.hub.accepted(x, s.dialect)
	case s.isClosed():
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
	default:
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Context: "transport mismatch"})
	}
}

// payloads is the framing for a request of the session.
func (s *Socket) payloads(req dialect.Request) packet.Payloads {
	if s.rules().Repairs {
		return s.legacy.codec
	}
	return s.dialect.Payloads(req)
}

// unknownSession answers a request of a session that does not exist in the form of its transport.
func (h *Hub) unknownSession(x host.Exchange, d dialect.Dialect, req dialect.Request) {
	h.refused(x, &dialect.Refusal{Code: dialect.UnknownSID})
	h.opts.Origins.headers(x)
	if t := h.duplex(req.Transport); t != nil {
		err := t.Serve(x, &noSession{d.UnknownSession()}, func(c transport.Conn) { c.Close(transport.Normal, "unknown session") })
		if err != nil {
			h.refuseUpgrade(x, d, err)
		}
		return
	}
	if x.Method() == http.MethodPost {
		h.accepted(x, d)
		return
	}
	_ = h.opts.Polling.Reply(x, h.visit(req, d.Payloads(req)), []*packet.Message{d.UnknownSession()})
}
