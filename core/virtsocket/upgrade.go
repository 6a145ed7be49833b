package virtsocket

import (
	"sync/atomic"

	"github.com/siokit/siokit/core/dialect"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/wheel"
	"github.com/siokit/siokit/core/packet"
	"github.com/siokit/siokit/core/transport"
)

// candidate is a duplex connection on its way to become a socket's transport
// (Engine.IO protocol 4, "Upgrade"). Until the client's upgrade packet the
// socket stays on polling; then the candidate is nothing but a way to it.
type candidate struct {
	s       *Socket
	conn    transport.Conn
	timeout wheel.Timer
	probed  bool // the reader's own
	done    atomic.Bool
	pong    *packet.Message // the answer to the probe
	out     atomic.Bool     // pong is to be sent
}

// upgrade serves a request for a duplex connection that names this session.
func (s *Socket) upgrade(x host.Exchange, t transport.Duplex) {
	c := &candidate{s: s}
	s.mu.Lock()
	switch {
	case s.state != stateOpen:
		s.mu.Unlock()
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.UnknownSID})
		return
	case s.candidate != nil || s.poll == nil || s.conn != transport.Conn(s.poll):
		s.mu.Unlock()
		s.hub.refuse(x, s.dialect, &dialect.Refusal{Code: dialect.BadRequest, Context: "transport mismatch: upgraded already, or being upgraded"})
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
		gone := s.state != stateOpen
		s.mu.Unlock()
		if gone {
			conn.Close(transport.NoStatus, "")
		}
	})
	if err != nil {
		c.forget()
		s.hub.refuseUpgrade(x, s.dialect, err)
	}
}

// forget makes room for another candidate.
func (c *candidate) forget() {
	c.s.hub.wheel.Stop(&c.timeout)
	c.s.mu.Lock()
	if c.s.candidate == c {
		c.s.candidate = nil
	}
	c.s.mu.Unlock()
}

// Expired implements wheel.Owner: the upgrade took too long. The session goes on polling.
func (c *candidate) Expired(*wheel.Timer) {
	c.s.mu.Lock()
	conn := c.conn
	c.s.mu.Unlock()
	if conn == nil {
		c.forget()
		return
	}
	conn.Close(transport.NoStatus, "")
}

// Frame implements transport.Link.
func (c *candidate) Frame(f packet.Frame) error {
	if c.done.Load() {
		return c.s.Frame(f)
	}
	u, err := c.s.dialect.Decode(f)
	switch {
	case err != nil:
		return &transport.Error{Code: transport.ProtocolError, Text: err.Error()}
	case !c.probed && u.Kind == packet.Ping && string(u.Data) == "probe":
		c.probed = true
		c.pong = c.s.dialect.Control(packet.Unit{Kind: packet.Pong, Data: u.Data})
		c.out.Store(true)
		c.conn.Flush()
		// The client waits for its poll to end before it sends the upgrade packet.
		c.s.poll.Hold(true)
		return nil
	case u.Kind == packet.Upgrade:
		if !c.probed { // some clients do without; their poll may still wait
			c.s.poll.Hold(true)
		}
		return c.complete()
	}
	return &transport.Error{Code: transport.ProtocolError, Text: "not an upgrade"}
}

// complete makes the candidate the socket's transport. Requests that are still
// under way end first: what they carry precedes what the new transport brings.
func (c *candidate) complete() error {
	s := c.s
	s.hub.wheel.Stop(&c.timeout)
	s.poll.Retire()
	s.mu.Lock()
	if s.candidate == c {
		s.candidate = nil
	}
	if s.state != stateOpen {
		s.mu.Unlock()
		return &transport.Error{Code: transport.GoingAway, Text: "the session has ended"}
	}
	c.done.Store(true)
	s.conn = c.conn
	s.corks++ // the batch that brought the upgrade packet is now the socket's
	s.uncorked = true
	s.mu.Unlock()
	c.conn.Flush()
	return nil
}

// Unit implements transport.Link; a duplex transport brings frames.
func (c *candidate) Unit(packet.Unit) bool { return false }

// Begin implements transport.Link.
func (c *candidate) Begin() {
	if c.done.Load() {
		c.s.Begin()
	}
}

// End implements transport.Link.
func (c *candidate) End() {
	if c.done.Load() {
		c.s.End()
	}
}

// Next implements transport.Link.
func (c *candidate) Next() []*packet.Message {
	if c.out.CompareAndSwap(true, false) {
		return []*packet.Message{c.pong}
	}
	if c.done.Load() {
		return c.s.Next()
	}
	return nil
}

// Sent implements transport.Link.
func (c *candidate) Sent(ms []*packet.Message) {
	if len(ms) > 0 && ms[0] == c.pong {
		return // it was never counted in the socket's queue
	}
	c.s.Sent(ms)
}

// Unsent implements transport.Link; only polls give messages back.
func (c *candidate) Unsent(ms []*packet.Message) { c.s.Unsent(ms) }

// Lost implements transport.Link.
func (c *candidate) Lost(err error) {
	if c.done.Load() {
		c.s.Lost(err)
		return
	}
	c.forget()
	c.s.poll.Hold(false)
}
