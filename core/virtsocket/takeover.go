package virtsocket

import (
	"net/http"
	"sync/atomic"

	"github.com/siokit/siokit/core/dialect"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/packet"
	"github.com/siokit/siokit/core/transport"
)

// What follows is for the dialects in which a session comes to its transport by
// a request of its own, and to another one by the next: the newest wins.

// carrier is a duplex connection of such a session. Once another transport has
// taken over it is cut off, and its end ends nothing.
type carrier struct {
	s    *Socket
	gone atomic.Bool
}

// Frame implements transport.Link.
func (c *carrier) Frame(f packet.Frame) error {
	if c.gone.Load() {
		return transport.ErrClosed
	}
	return c.s.Frame(f)
}

// Unit implements transport.Link; a duplex transport brings frames.
func (c *carrier) Unit(packet.Unit) bool { return false }

// Begin implements transport.Link.
func (c *carrier) Begin() { c.s.Begin() }

// End implements transport.Link.
func (c *carrier) End() { c.s.End() }

// Next implements transport.Link.
func (c *carrier) Next() []*packet.Message {
	if c.gone.Load() {
		return nil
	}
	return c.s.Next()
}

// Sent implements transport.Link.
func (c *carrier) Sent(ms []*packet.Message) { c.s.Sent(ms) }

// Unsent implements transport.Link; only polls give messages back.
func (c *carrier) Unsent(ms []*packet.Message) { c.s.Unsent(ms) }

// Lost implements transport.Link.
func (c *carrier) Lost(err error) {
	if !c.gone.Load() {
		c.s.Lost(err)
	}
}

// replace moves the session to a duplex transport.
func (s *Socket) replace(x host.Exchange, t transport.Duplex) {
	c := &carrier{s: s}
	err := t.Serve(x, c, func(conn transport.Conn) {
		s.old.moving.Lock()
		defer s.old.moving.Unlock()
		s.leaveTransport()
		first := false
		ok := s.install(conn, func() {
			s.old.carrier, s.poll, s.old.quiet = c, nil, false
			first = !s.old.opened
		})
		if !ok {
			return
		}
		if first {
			s.open(s.first())
			s.handler.Opened()
			return
		}
		s.arm()
		conn.Flush()
	})
	if err != nil {
		s.hub.refuseUpgrade(x, s.dialect, err)
	}
}

// leaveTransport ends what the session used until now; s.old.moving is held. What a
// request under way carries precedes what the next transport brings.
func (s *Socket) leaveTransport() {
	s.mu.Lock()
	poll, c, conn := s.poll, s.old.carrier, s.conn
	s.mu.Unlock()
	if poll != nil {
		poll.Retire()
	}
	if c != nil {
		c.gone.Store(true)
		conn.Close(transport.NoStatus, "")
	}
}

// attach sees to it that the session polls. A request that merely brings
// something does not take the session from a duplex transport. It reports
// whether this is the session's first transport.
func (s *Socket) attach(req dialect.Request, method string) (first bool) {
	s.old.moving.Lock()
	defer s.old.moving.Unlock()
	s.mu.Lock()
	stays := s.poll != nil || s.state != stateOpen || s.conn != nil && method != http.MethodGet
	s.mu.Unlock()
	if stays {
		return false
	}
	s.leaveTransport()
	if !s.startPolling(req.Transport) {
		return false
	}
	s.mu.Lock()
	first = !s.old.opened
	s.mu.Unlock()
	if first {
		s.open(s.first())
	}
	return first
}

// startPolling makes polling the session's transport. It reports false when the
// session has ended.
func (s *Socket) startPolling(name string) bool {
	o := transport.PollOptions{Name: name, Noop: s.dialect.Control(packet.Unit{Kind: packet.Noop}), Newest: s.rules().Takeover}
	if s.rules().QuietPolls {
		o.Duration = s.hub.opts.PollDuration
	}
	poll := s.hub.opts.Polling.New(s, o)
	poll.Goodbye(s.dialect.Goodbye(true))
	return s.install(poll, func() {
		s.poll = poll
		if s.old != nil {
			s.old.carrier, s.old.quiet = nil, s.rules().QuietPolls
		}
	})
}

// arrived and departed enclose a request that waits.
func (s *Socket) arrived(v transport.Visit) {
	if !s.rules().QuietPolls {
		return
	}
	s.mu.Lock()
	s.old.polls++
	s.old.quiet = !v.Answer.Stream
	s.mu.Unlock()
	s.arm()
}

func (s *Socket) departed(v transport.Visit) {
	if !s.rules().QuietPolls {
		return
	}
	s.mu.Lock()
	s.old.polls--
	s.mu.Unlock()
	if !v.Answer.Stream {
		s.arm()
	}
}

// turnedAway is the link of a client whose session does not exist: it is told
// so, and that is all.
type turnedAway struct{ m *packet.Message }

// Frame implements transport.Link.
func (*turnedAway) Frame(packet.Frame) error { return transport.ErrClosed }

// Unit implements transport.Link.
func (*turnedAway) Unit(packet.Unit) bool { return false }

// Begin implements transport.Link.
func (*turnedAway) Begin() {}

// End implements transport.Link.
func (*turnedAway) End() {}

// Next implements transport.Link.
func (t *turnedAway) Next() []*packet.Message {
	m := t.m
	t.m = nil
	if m == nil {
		return nil
	}
	return []*packet.Message{m}
}

// Sent implements transport.Link.
func (*turnedAway) Sent([]*packet.Message) {}

// Unsent implements transport.Link.
func (*turnedAway) Unsent([]*packet.Message) {}

// Lost implements transport.Link.
func (*turnedAway) Lost(error) {}

var _, _ transport.Link = (*carrier)(nil), (*turnedAway)(nil)

// stranger answers a request of a session that does not exist in the form of its transport.
func (h *Hub) stranger(x host.Exchange, d dialect.Dialect, req dialect.Request) {
	h.refused(x, &dialect.Refusal{Code: dialect.UnknownSID})
	h.opts.Origins.headers(x)
	if t := h.duplex(req.Transport); t != nil {
		err := t.Serve(x, &turnedAway{d.Stranger()}, func(c transport.Conn) { c.Close(transport.Normal, "unknown session") })
		if err != nil {
			h.refuseUpgrade(x, d, err)
		}
		return
	}
	if x.Method() == http.MethodPost {
		h.accepted(x, d)
		return
	}
	_ = h.opts.Polling.Reply(x, h.visit(req, d.Payloads(req)), []*packet.Message{d.Stranger()})
}
