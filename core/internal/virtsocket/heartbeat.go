package virtsocket

import (
	"time"

	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/wheel"
)

// Socket.hb and Socket.due are one timer: due is when it is to expire, in the
// wheel's time, 0 while it is not armed. Both change with Socket.mu held (the
// wheel's lock is taken inside). The wheel may still be telling of an expiry when
// the timer has been set again, so whoever is told looks at due first. Requests
// look at due as well (Socket.late): a session that has ended by the clock answers
// none, though the wheel may be a moment late.

// set arms the timer; s.mu is held.
func (s *Socket) set(d time.Duration) { s.setAt(s.hub.wheel.Now() + d) }

// setAt arms the timer for a time of the wheel; s.mu is held.
func (s *Socket) setAt(due time.Duration) {
	s.due = due
	s.hub.wheel.SetAt(&s.hb, s, due)
}

// unset disarms the timer; s.mu is held.
func (s *Socket) unset() {
	s.due = 0
	s.hub.wheel.Stop(&s.hb)
}

// late reports whether the timer is to have expired by now.
func (s *Socket) late() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.due != 0 && s.hub.wheel.Now() >= s.due
}

// arm starts the next heartbeat period; s.mu is held.
func (s *Socket) arm() {
	o := &s.hub.opts
	switch {
	case s.state != stateOpen:
	case s.quiet():
		if s.legacy.polls > 0 {
			s.unset()
			return
		}
		s.set(o.CloseTimeout)
	case s.rules().Heartbeat == dialect.ServerPings:
		d := o.PingInterval
		if s.unpinged {
			d -= s.early(d)
		}
		s.set(d)
	case s.stalled:
		s.set(o.PingTimeout / 2)
	default:
		s.set(o.PingInterval + o.PingTimeout)
	}
}

// armFirst starts the first period of a session on a transport, or with a request
// that waits; s.mu is held. Where the server pings, the first ping comes early, at
// a moment that is the session's own: the sessions of clients that have come
// together, as they do when a server starts again, must not be pinged together for
// ever after. No client minds an early ping.
func (s *Socket) armFirst() {
	s.pongDue = false // the ping went to what the session used before
	s.unpinged = true
	s.arm()
}

// early is how much earlier than after d the session's turn comes, at most half of
// d: a client that has just come has other things to hear first. The id, which is
// random, says how much.
func (s *Socket) early(d time.Duration) time.Duration {
	h := uint32(2166136261) // FNV-1a
	for i := 0; i < len(s.id) && i < 8; i++ {
		h = (h ^ uint32(s.id[i])) * 16777619
	}
	return time.Duration(float64(d) / 2 * float64(h>>8) / (1 << 24))
}

// quiet reports whether there are no heartbeats; s.mu is held.
func (s *Socket) quiet() bool { return s.legacy != nil && s.legacy.quiet }

// traffic notes a message from the client, and reports whether the session is open.
// While a pong is due, the first message restarts the timeout: the client is alive,
// its pong may be stuck behind the message.
func (s *Socket) traffic() (open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return false
	}
	if s.pongDue && !s.restarted {
		s.restarted = true
		s.setAt(max(s.due, s.hub.wheel.Now()+s.hub.opts.PingTimeout))
	}
	return true
}

// PauseHeartbeat tells the heartbeat that the connection is not read because the
// application does not keep up. The client is not to blame for its silence, at
// the next expiry either; and it must go on hearing from the server.
func (s *Socket) PauseHeartbeat(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = on
	if !on || s.excused {
		return
	}
	s.excused = true
	if s.state == stateOpen && s.due != 0 && !s.quiet() && s.rules().Heartbeat == dialect.ClientPings {
		// Its next ping is not read, and it waits for an answer for PingTimeout.
		s.set(s.hub.opts.PingTimeout / 2)
	}
}

// Expired implements wheel.Owner: the heartbeat, or the end of lingering.
func (s *Socket) Expired(*wheel.Timer) {
	s.mu.Lock()
	if s.due == 0 || s.hub.wheel.Now() < s.due {
		s.mu.Unlock()
		return // set again, or stopped, in this moment
	}
	if s.state != stateOpen {
		s.unset()
		s.mu.Unlock()
		s.abort()
		return
	}
	quiet := s.quiet()
	waited := s.pongDue || quiet || s.rules().Heartbeat == dialect.ClientPings
	if s.conn == nil || waited && !s.excused {
		s.mu.Unlock()
		s.Close(PingTimeout)
		return
	}
	// What is still queued since the last time will do: a client that is not read
	// and does not read either is not to be sent more and more.
	unheard := waited && !s.out.empty()
	s.excused = s.stalled
	kind := s.alive(quiet)
	s.mu.Unlock()
	if !quiet && !unheard {
		_ = s.Send(s.dialect.Control(packet.Unit{Kind: kind}))
	}
}

// alive starts the period that follows an expiry which ends nothing, and returns
// what the client is sent: a ping, or where it pings itself and its pings are not
// read, a noop, which counts as an answer with its clients. s.mu is held.
func (s *Socket) alive(quiet bool) packet.Kind {
	o := &s.hub.opts
	switch {
	case quiet:
		s.set(o.CloseTimeout)
	case s.rules().Heartbeat == dialect.ServerPings:
		// The session ends PingInterval and PingTimeout after its last sign of
		// life, not later because the wheel is late: unless it is so late, as after
		// a pause of the process, that the client had no time left to answer.
		due := max(s.due, s.hub.wheel.Now()-o.PingTimeout/2) + o.PingTimeout
		if s.unpinged {
			due += s.early(o.PingInterval)
		}
		s.pongDue, s.restarted, s.unpinged = true, false, false
		s.setAt(due)
		return packet.Ping
	case s.stalled:
		s.set(o.PingTimeout / 2)
	default:
		s.set(o.PingInterval + o.PingTimeout)
	}
	return packet.Noop
}

// EndPoll has a request that waits for messages answered with none. On other
// transports the client gets a packet that it ignores.
func (s *Socket) EndPoll() {
	if noop := s.dialect.Control(packet.Unit{Kind: packet.Noop}); noop != nil {
		_ = s.Send(noop)
	}
}

// arrived and departed enclose a request that waits. One that comes when another
// transport has just taken over leaves that one's heartbeat alone.
func (s *Socket) arrived(poll transport.Poll, v transport.PollRequest) {
	if !s.rules().QuietPolls {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.legacy.polls++
	if s.poll == poll {
		s.legacy.quiet = !v.Answer.Stream
		s.armFirst()
	}
}

func (s *Socket) departed() {
	if !s.rules().QuietPolls {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.legacy.polls--
	if s.quiet() {
		s.arm()
	}
}
