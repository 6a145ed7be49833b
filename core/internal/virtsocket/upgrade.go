package virtsocket

import (
	"sync/atomic"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/wheel"
)

// candidate is a duplex connection on its way to become a socket's transport
// (Engine.IO protocol 4, "Upgrade"). Until the client's upgrade packet the
// socket stays on polling; then the candidate is nothing but a way to it.
type candidate struct {
	*Socket
	conn    transport.Conn // the candidate's; Socket.conn is the session's
	timeout wheel.Timer
	probed  bool // the reader's own
	// These change with Socket.mu held. A candidate becomes completing when the
	// client has sent its upgrade packet, and done when the requests under way have
	// ended, unless it is lost by then: its connection or its time has ended.
	completing bool
	lost       bool
	done       atomic.Bool
	answer     *packet.Message // to the probe
	unanswered atomic.Bool     // answer is to be sent
}

// upgrade serves a request for a duplex connection that names this session.
func (s *Socket) upgrade(x host.Exchange, t transport.Duplex) {
	c := &candidate{Socket: s}
	s.mu.Lock()
	switch {
	case s.state != stateOpen:
		s.mu.Unlock()
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
		return
	case s.candidate != nil || s.poll == nil || s.conn != transport.Conn(s.poll):
		s.mu.Unlock()
		s.hub.refuseSecond(x, s, t)
		return
	}
	s.candidate = c
	s.mu.Unlock()
	// Armed before the answer is out: a host may find that the client has left
	// and never run start.
	s.hub.wheel.Set(&c.timeout, c, s.hub.opts.UpgradeTimeout)
	err := t.Serve(x, c, func(conn transport.Conn) {
		s.mu.Lock()
		c.conn = conn
		gone := s.state != stateOpen || c.lost
		s.mu.Unlock()
		if gone {
			conn.Close(transport.NoStatus, "")
		}
	})
	if err != nil {
		c.end()
		s.hub.refuseUpgrade(x, s.dialect, err)
	}
}

// refuseSecond serves a request for a websocket of a session that has one, or is about
// to have one. As with the reference it is opened and closed without a code, and
// means nothing for the session: old clients and intermediaries repeat requests.
func (h *Hub) refuseSecond(x host.Exchange, s *Socket, t transport.Duplex) {
	err := t.Serve(x, &noSession{}, func(c transport.Conn) { c.Close(transport.NoCode, "") })
	if err != nil {
		h.refuseUpgrade(x, s.dialect, err)
	}
}

// end makes room for another candidate, unless complete has begun, which then
// finds out. It reports whether that is so.
func (c *candidate) end() (completing bool) {
	c.Socket.hub.wheel.Stop(&c.timeout)
	c.Socket.mu.Lock()
	defer c.Socket.mu.Unlock()
	c.lost = true
	if c.Socket.candidate == c && !c.completing {
		c.Socket.candidate = nil
	}
	return c.completing
}

// Expired implements wheel.Owner: the upgrade took too long. The session goes on
// polling. A client that has sent its upgrade packet was in time.
func (c *candidate) Expired(*wheel.Timer) {
	c.Socket.mu.Lock()
	if c.completing {
		c.Socket.mu.Unlock()
		return
	}
	c.lost = true // from here on complete comes too late
	conn := c.conn
	c.Socket.mu.Unlock()
	c.end()
	if conn != nil {
		conn.Close(transport.NoStatus, "")
	}
}

// Frame implements transport.Link.
func (c *candidate) Frame(f packet.Frame) error {
	if c.done.Load() {
		return c.Socket.Frame(f)
	}
	u, err := c.Socket.dialect.Decode(f)
	switch {
	case err != nil:
		return &transport.Error{Code: transport.ProtocolError, Text: err.Error()}
	case !c.probed && u.Kind == packet.Ping && string(u.Data) == "probe":
		c.probed = true
		c.answer = c.Socket.dialect.Control(packet.Unit{Kind: packet.Pong, Data: u.Data})
		c.unanswered.Store(true)
		c.conn.Flush()
		// The client waits for its poll to end before it sends the upgrade packet.
		c.Socket.poll.Hold(true)
		return nil
	case u.Kind == packet.Upgrade:
		if !c.probed { // some clients do without; their poll may still wait
			c.Socket.poll.Hold(true)
		}
		return c.complete()
	}
	return &transport.Error{Code: transport.ProtocolError, Text: "not an upgrade"}
}

var errUpgradeLate = &transport.Error{Code: transport.GoingAway, Text: "the session has ended, or the time for the upgrade"}

// complete makes the candidate the socket's transport. Requests that are still
// under way end first: what they carry precedes what the new transport brings.
func (c *candidate) complete() error {
	s := c.Socket
	s.mu.Lock()
	if c.lost || s.state != stateOpen {
		s.mu.Unlock()
		return errUpgradeLate
	}
	c.completing = true
	s.mu.Unlock()
	s.hub.wheel.Stop(&c.timeout)
	s.poll.Retire()
	s.mu.Lock()
	s.candidate = nil
	if c.lost || s.state != stateOpen {
		s.mu.Unlock()
		s.Lost(transport.ErrClosed) // polling has ended too: nothing else will
		return errUpgradeLate
	}
	c.done.Store(true)
	s.conn = c.conn
	s.out.attach(c.conn)
	s.out.begin() // the batch that brought the upgrade packet is now the socket's
	s.out.release()
	s.mu.Unlock()
	c.conn.Flush()
	return nil
}

// Unit implements transport.Link; a duplex transport brings frames.
func (c *candidate) Unit(packet.Unit) bool { return false }

// Begin implements transport.Link.
func (c *candidate) Begin() {
	if c.done.Load() {
		c.Socket.Begin()
	}
}

// End implements transport.Link.
func (c *candidate) End() {
	if c.done.Load() {
		c.Socket.End()
	}
}

// Next implements transport.Link.
func (c *candidate) Next() []*packet.Message {
	if c.unanswered.CompareAndSwap(true, false) {
		return []*packet.Message{c.answer}
	}
	if c.done.Load() {
		return c.Socket.Next()
	}
	return nil
}

// Sent implements transport.Link.
func (c *candidate) Sent(ms []*packet.Message) {
	if len(ms) > 0 && ms[0] == c.answer {
		return // it was never counted in the socket's queue
	}
	c.Socket.Sent(ms)
}

// Lost implements transport.Link. While complete waits, it is complete that ends
// the session.
func (c *candidate) Lost(err error) {
	completing := c.end()
	if c.done.Load() {
		c.Socket.Lost(err)
		return
	}
	c.Socket.noteTooLarge(err)
	c.Socket.mu.Lock()
	free := c.Socket.candidate == nil
	c.Socket.mu.Unlock()
	if !completing && free {
		c.Socket.poll.Hold(false)
	}
}
