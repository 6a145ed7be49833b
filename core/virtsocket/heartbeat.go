package virtsocket

import (
	"github.com/siokit/siokit/core/dialect"
	"github.com/siokit/siokit/core/internal/wheel"
	"github.com/siokit/siokit/core/packet"
)

// arm starts the next heartbeat period.
func (s *Socket) arm() {
	d := s.hub.opts.PingInterval
	if s.rules().Heartbeat == dialect.ClientPings {
		d += s.hub.opts.PingTimeout
	}
	s.mu.Lock()
	open, quiet, polls := s.state == stateOpen, s.quiet(), 0
	if quiet {
		polls = s.old.polls
		s.pongDue = false
	}
	s.mu.Unlock()
	switch {
	case !open:
	case quiet && polls > 0:
		s.hub.wheel.Stop(&s.hb)
	case quiet:
		s.hub.wheel.Set(&s.hb, s, s.hub.opts.CloseTimeout)
	default:
		s.hub.wheel.Set(&s.hb, s, d)
	}
}

// quiet reports whether there are no heartbeats; s.mu is held.
func (s *Socket) quiet() bool { return s.old != nil && s.old.quiet }

// traffic notes a message from the client. While a pong is due, the first one
// restarts the timeout: the client is alive, its pong may be stuck behind it.
func (s *Socket) traffic() {
	s.mu.Lock()
	restart := s.pongDue && !s.restarted && s.state == stateOpen
	if restart {
		s.restarted = true
	}
	s.mu.Unlock()
	if restart {
		s.hub.wheel.Set(&s.hb, s, s.hub.opts.PingTimeout)
	}
}

// Expired implements wheel.Owner: the heartbeat, or the end of lingering.
func (s *Socket) Expired(*wheel.Timer) {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		s.abort()
		return
	}
	quiet := s.quiet()
	waited := s.pongDue || quiet || s.conn == nil || s.rules().Heartbeat == dialect.ClientPings
	switch {
	case quiet && s.old.polls > 0: // a poll has come at the same moment
		s.mu.Unlock()
	case s.stalled:
		s.mu.Unlock()
		s.hub.wheel.Set(&s.hb, s, s.hub.opts.PingTimeout)
	case waited:
		s.mu.Unlock()
		s.Close(PingTimeout)
	default:
		s.pongDue, s.restarted = true, false
		s.mu.Unlock()
		s.hub.wheel.Set(&s.hb, s, s.hub.opts.PingTimeout)
		_ = s.Send(s.dialect.Control(packet.Unit{Kind: packet.Ping}))
	}
}

// Nudge has a request that waits for messages answered with none. On other
// transports the client gets a packet that it ignores.
func (s *Socket) Nudge() {
	if noop := s.dialect.Control(packet.Unit{Kind: packet.Noop}); noop != nil {
		_ = s.Send(noop)
	}
}
