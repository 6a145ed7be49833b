package virtsocket

import (
	"fmt"
	"net/http"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// A socket can be closed at any moment after application code has seen it, and
// that is before it has a transport and before the hub knows it. Three rules keep
// such a socket from being left behind:
//
//   - whoever installs a transport looks under Socket.mu whether the session still
//     lives (Socket.install), and closes the transport if it does not;
//   - whoever puts a session into the hub looks afterwards whether it has ended
//     meanwhile (Hub.register);
//   - Closed is told by Socket.Close, or by Hub.accept when the socket had no
//     handler at that time, and by nobody else.

func (h *Hub) newSocket(d dialect.Dialect) *Socket {
	s := &Socket{hub: h, id: h.newID(), dialect: d, out: outbox{limits: &h.queues}}
	if r := d.Rules(); r.NewestTransportWins || r.Repairs {
		s.legacy = new(legacy)
	}
	if d.Rules().NewestTransportWins {
		s.legacy.switching = make(chan struct{}, 1)
	}
	return s
}

// handshake opens a session.
func (h *Hub) handshake(x host.Exchange, d dialect.Dialect, req dialect.Request) {
	greeter, greets := d.(dialect.Greeter)
	if h.closed.Load() {
		h.unavailable(x, d, "Server shutting down")
		return
	}
	s := h.newSocket(d)
	if ref := h.takeSlot(x, s); ref != nil {
		h.refuse(x, d, ref)
		return
	}
	if !h.accept(x, s) {
		return
	}
	if greets {
		h.greet(x, greeter, s)
		return
	}
	if d.Rules().Repairs {
		s.legacy.codec = d.Payloads(req).(dialect.Repairer)
	}
	if t := h.duplex(req.Transport); t != nil {
		h.openDuplex(x, t, s)
		return
	}
	h.openPolling(x, req, s)
}

// maxAddress is how many bytes of an address are kept.
const maxAddress = 64

// takeSlot takes the slot of a new session, or refuses the handshake.
func (h *Hub) takeSlot(x host.Exchange, s *Socket) *dialect.Refusal {
	address := ""
	if l := &h.limiter.limits; l.PendingPerAddress > 0 || l.ConnectionsPerAddress > 0 {
		if address = h.address(x); len(address) > maxAddress {
			address = address[:maxAddress]
		}
	}
	option := h.limiter.take(&s.slot, address)
	if option == "" {
		return nil
	}
	x.SetHeader("Retry-After", "1")
	return &dialect.Refusal{
		Code: dialect.BadRequest, Status: http.StatusServiceUnavailable, Message: "Too many handshakes",
		Cause: dialect.CauseLimit, Context: fmt.Sprintf("Options.%s is reached (address %q)", option, address),
	}
}

// address is who a handshake is counted for. That nobody is, because the peers of this
// host have no IP address, is logged once: the bounds that are set do nothing then.
func (h *Hub) address(x host.Exchange) string {
	if named := h.limiter.limits.Address; named != nil {
		return named(x)
	}
	address := PeerAddress(x)
	if address == "" && !h.unnamed.Swap(true) {
		h.opts.Logger.Warn("siokit: clients come without an IP address, as over a Unix socket: MaxPendingPerAddress and MaxConnectionsPerAddress do not count them, and one client can take all of MaxPending; name them with Options.Address",
			"remote", x.RemoteAddr())
	}
	return address
}

// unavailable refuses a handshake that may succeed a little later.
func (h *Hub) unavailable(x host.Exchange, d dialect.Dialect, text string) {
	x.SetHeader("Retry-After", "1")
	h.refuse(x, d, &dialect.Refusal{Code: dialect.BadRequest, Status: http.StatusServiceUnavailable, Message: text, Cause: dialect.CauseShutdown})
}

// accept asks Options.Accept. When it reports false, the request has been refused
// and the handler, if there was one, has been told.
func (h *Hub) accept(x host.Exchange, s *Socket) bool {
	returned := false
	defer func() {
		if !returned { // Accept has panicked: nothing else would end the session
			s.Close(ServerTransportClose)
		}
	}()
	hd, ref := h.opts.Accept(s, x)
	returned = true
	if ref != nil {
		s.Close(ServerTransportClose)
		h.refuse(x, s.dialect, ref)
		return false
	}
	s.mu.Lock()
	untold := s.handler == nil && s.state != stateOpen
	s.handler = hd
	r := s.reason
	s.mu.Unlock()
	if untold {
		hd.Closed(r)
	}
	if h.closed.Load() {
		s.Close(ServerShutdown)
	}
	if s.isClosed() {
		h.closedEarly(x, s)
		return false
	}
	return true
}

// closedEarly answers the handshake of a socket that was closed meanwhile.
func (h *Hub) closedEarly(x host.Exchange, s *Socket) {
	text := "Closed during the handshake"
	if h.closed.Load() {
		text = "Server shutting down"
	}
	h.unavailable(x, s.dialect, text)
}

// greet answers a handshake that is an exchange of its own: the session has no
// transport until the next one.
func (h *Hub) greet(x host.Exchange, g dialect.Greeter, s *Socket) {
	s.mu.Lock()
	if s.state == stateOpen {
		s.set(h.opts.CloseTimeout)
	}
	s.mu.Unlock()
	h.register(s)
	if s.missed(); s.isClosed() {
		h.closedEarly(x, s)
		return
	}
	h.opts.Origins.headers(x)
	if err := g.Greet(x, h.opening(s)); err != nil {
		s.Lost(err)
	}
}

// openDuplex opens a session on a duplex transport.
func (h *Hub) openDuplex(x host.Exchange, t transport.Duplex, s *Socket) {
	h.limiter.note(&s.slot, back) // the connection is what it costs the client
	// A host may find that the client has left and never run start.
	s.mu.Lock()
	if s.state == stateOpen {
		s.set(h.opts.UpgradeTimeout)
	}
	s.mu.Unlock()
	var l transport.Link = s
	var replaceable *replaceableLink
	if s.rules().NewestTransportWins {
		replaceable = &replaceableLink{Socket: s}
		l = replaceable
	}
	err := t.Serve(x, l, func(conn transport.Conn) {
		ok := s.install(conn, func() {
			if replaceable != nil {
				s.legacy.link = replaceable
			}
		})
		if !ok {
			return
		}
		// From here on the answer is out: the session may be found.
		h.register(s)
		s.start()
		s.missed()
	})
	if err != nil {
		s.Close(TransportError)
		h.refuseUpgrade(x, s.dialect, err)
	}
}

// openPolling opens a session that polls.
func (h *Hub) openPolling(x host.Exchange, req dialect.Request, s *Socket) {
	if !s.startPolling(req.Transport) {
		h.closedEarly(x, s)
		return
	}
	h.register(s)
	s.start()
	s.missed()
	s.serve(x, req)
}

// missed closes a session that was put into the hub after Shutdown had looked. It is called
// before the client has anything: later Shutdown has seen the session, and handlers of the
// client may run, which answer first.
func (s *Socket) missed() {
	if s.hub.closed.Load() {
		s.Close(ServerShutdown)
	}
}

// startPolling makes polling the session's transport. It reports false when the
// session has ended.
func (s *Socket) startPolling(name string) bool {
	o := transport.PollOptions{Name: name, Noop: s.dialect.Control(packet.Unit{Kind: packet.Noop}), Newest: s.rules().NewestTransportWins}
	if s.rules().QuietPolls {
		// Each poll of a session is shorter by the same time. Were it the first one
		// alone, a message to everybody would have all polls begin, and end, together.
		d := s.hub.opts.PollDuration
		o.Duration = d - s.early(d)
	}
	poll := s.hub.opts.Polling.New(s, o)
	poll.Goodbye(s.dialect.CloseMessage(true))
	return s.install(poll, func() {
		s.poll = poll
		if s.legacy != nil {
			s.legacy.link, s.legacy.quiet = nil, s.rules().QuietPolls
		}
	})
}

// install makes conn the transport of the session, with what set changes under
// the same lock, and starts the heartbeat. It reports false when the session has ended: then conn is closed,
// and so is the session's entry in the hub.
func (s *Socket) install(conn transport.Conn, set func()) bool {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		conn.Close(transport.NoStatus, "")
		s.Lost(nil) // what the session used before has ended already
		return false
	}
	s.conn = conn
	s.out.attach(conn)
	if set != nil {
		set()
	}
	s.armFirst()
	s.mu.Unlock()
	return true
}

// start sends the first message of a session and tells the handler. Nothing leaves
// before both have had their turn: where the first message is what connects a client
// (0.9), a client that has it must not miss what its namespace is sent next.
func (s *Socket) start() {
	s.Begin()
	defer s.End()
	s.open(s.firstMessage())
	s.handler.Opened()
}

// firstMessage is the first message of a session.
func (s *Socket) firstMessage() *packet.Message { return s.dialect.Open(s.hub.opening(s)) }

// opening is what the handshake of s tells.
func (h *Hub) opening(s *Socket) dialect.Opening {
	o := dialect.Opening{
		SID: s.id, PingInterval: h.opts.PingInterval, PingTimeout: h.opts.PingTimeout,
		CloseTimeout: h.opts.CloseTimeout, MaxPayload: h.opts.MaxPayload,
	}
	s.mu.Lock()
	o.Upgrade = s.poll != nil
	s.mu.Unlock()
	for _, t := range h.opts.Duplex {
		o.Transports = append(o.Transports, t.Name())
	}
	for _, f := range h.opts.Forms {
		o.Transports = append(o.Transports, f.Name())
	}
	return o
}

// register makes the session's id known. The session may have ended since its
// transport was installed; Lost has then found nothing to remove.
func (h *Hub) register(s *Socket) {
	h.add(s)
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone {
		h.remove(s)
	}
}
