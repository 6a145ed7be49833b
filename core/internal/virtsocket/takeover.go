package virtsocket

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// What follows is for the dialects in which a session comes to its transport by
// a request of its own, and to another one by the next: the newest wins.

// carrier is a duplex connection of such a session. Once another transport has
// taken over it is cut off, and its end ends nothing.
//
// Its reader may be inside a message at that time, and may wait there for room in
// the inbox. The next transport is read only when that message has got its place
// (leave): otherwise it would lose it, and two readers would decode at once.
type carrier struct {
	s    *Socket
	gone atomic.Bool // set with mu held

	mu     sync.Mutex    // taken by nobody who waits for anything else with it
	frames uint64        // that have begun
	inside uint64        // the number of the one that has no place yet; 0: none
	placed chan struct{} // closed when inside becomes 0, if somebody waits
}

// Frame implements transport.Link.
func (c *carrier) Frame(f packet.Frame) error {
	c.mu.Lock()
	if c.gone.Load() {
		c.mu.Unlock()
		return transport.ErrClosed
	}
	c.frames++
	n := c.frames
	c.inside = n
	c.mu.Unlock()
	defer c.place(n)
	return c.s.Frame(f)
}

// place notes that frame n has its place in the order of the session: it has been
// handled or queued, or (Socket.Enter) is the one that is being handled, and the
// next one may be inside already.
func (c *carrier) place(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == 0 {
		n = c.inside // only the reader of this one can be asking
	}
	if c.inside != n {
		return
	}
	c.inside = 0
	if c.placed != nil {
		close(c.placed)
		c.placed = nil
	}
}

// leave cuts the connection off and waits until no message of it is on its way to
// its place.
func (c *carrier) leave(conn transport.Conn) {
	c.mu.Lock()
	c.gone.Store(true)
	var wait chan struct{}
	if c.inside != 0 {
		c.placed = make(chan struct{})
		wait = c.placed
	}
	c.mu.Unlock()
	conn.Close(transport.NoStatus, "")
	if wait != nil {
		<-wait
	}
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
		if !s.move(nil) {
			conn.Close(transport.NoStatus, "")
			return
		}
		defer s.moved()
		s.leaveTransport()
		first := false
		ok := s.install(conn, func() {
			s.old.carrier, s.poll, s.old.quiet = c, nil, false
			s.pongDue = false // the ping went to the transport before
			first = !s.old.opened
		})
		if !ok {
			return
		}
		if first {
			s.begins()
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
		c.leave(conn)
	}
}

// move takes the right to replace the session's transport, and moved gives it
// back. The holder waits for what the old transport still brings, which may be
// long when the application does not keep up, so nobody else waits longer than an
// upgrade may take, or for a client that has left.
func (s *Socket) move(gone func() <-chan struct{}) bool {
	select {
	case s.old.moving <- struct{}{}:
		return true
	default:
	}
	var left <-chan struct{}
	if gone != nil {
		left = gone()
	}
	late := time.NewTimer(s.hub.opts.UpgradeTimeout)
	defer late.Stop()
	select {
	case s.old.moving <- struct{}{}:
		return true
	case <-left:
	case <-late.C:
	}
	return false
}

func (s *Socket) moved() { <-s.old.moving }

// attach sees to it that the session polls. A request that merely brings
// something does not take the session from a duplex transport. It reports
// whether this is the session's first transport, and not ok when another request
// has been replacing the transport for too long.
func (s *Socket) attach(x host.Exchange, req dialect.Request) (first, ok bool) {
	if !s.move(x.Gone) {
		return false, false
	}
	defer s.moved()
	s.mu.Lock()
	stays := s.poll != nil || s.state != stateOpen || s.conn != nil && x.Method() != http.MethodGet
	s.mu.Unlock()
	if stays {
		return false, true
	}
	s.leaveTransport()
	if !s.startPolling(req.Transport) {
		return false, true
	}
	s.mu.Lock()
	first = !s.old.opened
	s.mu.Unlock()
	if first {
		s.open(s.first())
	}
	return first, true
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
