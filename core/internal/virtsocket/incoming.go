package virtsocket

import (
	"errors"
	"time"

	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// crossing is how long a request that says goodbye waits for a poll that was sent
// before it: over two connections the second request may be served first.
const crossing = 200 * time.Millisecond

// Frame implements transport.Link.
func (s *Socket) Frame(f packet.Frame) error {
	if s.legacy != nil {
		if s.rules().FramePayloads {
			return s.framePayload(f)
		}
		if s.rules().Repairs && !f.Binary {
			f.Data = s.legacy.codec.Repair(f.Data)
		}
	}
	u, err := s.dialect.Decode(f)
	if err != nil {
		s.Close(ParseError)
		return &transport.Error{Code: transport.ProtocolError, Text: err.Error()}
	}
	if r := s.unit(u, true, false); r != 0 {
		s.Close(r)
		return &transport.Error{Code: r.code(), Text: r.String()}
	}
	return nil
}

// framePayload handles a frame of a dialect that may put several units into one. The unit of a
// frame that has one is handled inline, as in the other dialects. Of several none is: another
// goroutine would read on while some are still to come.
//
// A frame of one unit is no payload that has begun: when the session ends before the unit is in
// the inbox, by a request of the client's or by Shutdown, the frame counts as one that came behind
// the end, as in the other dialects. Over two connections the client has no order to rely on.
func (s *Socket) framePayload(f packet.Frame) error {
	var err error
	if f.Binary {
		err = packet.Malformed("a binary message")
	} else {
		if d, ok := s.dialect.(dialect.Single); ok {
			if u, one := d.Single(f.Data); one {
				if r := s.unit(u, true, false); r != 0 {
					s.Close(r)
				}
				return nil
			}
		}
		err = payload{s.dialect.Payloads(dialect.Request{}), s}.DecodePayload(f.Data, "", s.Unit)
	}
	if err != nil && !errors.Is(err, transport.ErrClosed) {
		s.Close(ParseError)
		return &transport.Error{Code: transport.ProtocolError, Text: err.Error()}
	}
	return nil
}

// payload decodes for a session. What was read is handled whole: a payload that has
// begun while the session was open goes on when the session has ended, where what
// waits is handled at all (Reason.heard). Each message still waits for its room, and
// Handler.Closed waits in AwaitPayloads for the last one.
type payload struct {
	packet.Payloads
	s *Socket
}

// DecodePayload implements packet.Payloads; yield is Socket.Unit. The error is
// transport.ErrClosed when something is not handled because the session has ended.
func (p payload) DecodePayload(data []byte, contentType string, yield func(packet.Unit) bool) error {
	if !p.s.beginPayload() {
		return transport.ErrClosed
	}
	defer p.s.endPayload()
	cut := false
	err := p.Payloads.DecodePayload(data, contentType, func(u packet.Unit) bool {
		if !p.s.hears() {
			cut = true
			return false
		}
		return yield(u)
	})
	if cut {
		return transport.ErrClosed
	}
	return err
}

// beginPayload counts a payload, unless the session has ended.
func (s *Socket) beginPayload() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.gate != nil {
		gate := s.gate
		s.mu.Unlock()
		<-gate
		s.mu.Lock()
	}
	if s.state != stateOpen {
		return false
	}
	s.bodies++
	return true
}

func (s *Socket) endPayload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bodies--; s.bodies == 0 && s.handled != nil {
		close(s.handled)
		s.handled = nil
	}
}

// hears reports whether a payload that has begun is handled on.
func (s *Socket) hears() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateOpen || s.reason.heard()
}

// AwaitPayloads returns when the payloads that were being handled at the end of the
// session have been handed to the handler. The session has ended, and the caller is
// what Handler.Closed has started: a payload may wait for room behind a slow handler.
func (s *Socket) AwaitPayloads() {
	s.mu.Lock()
	if s.bodies == 0 || !s.reason.heard() {
		s.mu.Unlock()
		return
	}
	handled := s.payloadsEnd()
	s.mu.Unlock()
	<-handled
}

// payloadsEnd is closed when the payloads that are being handled have ended; there is
// one, and s.mu is held.
func (s *Socket) payloadsEnd() <-chan struct{} {
	if s.handled == nil {
		s.handled = make(chan struct{})
	}
	return s.handled
}

// Unit implements transport.Link. The unit is one of a payload that has begun while the
// session was open.
func (s *Socket) Unit(u packet.Unit) bool {
	if u.Kind == packet.Close {
		s.left()
		return false
	}
	if r := s.unit(u, false, true); r != 0 {
		s.Close(r)
		return false
	}
	return true
}

// left ends the session of a client that has sent a close packet in a POST.
func (s *Socket) left() {
	s.mu.Lock()
	poll := s.poll
	s.mu.Unlock()
	if poll != nil { // a waiting request ends with noop: the client said goodbye first
		poll.Hold(true)
		if p, ok := poll.(interface{ Await(d time.Duration) }); ok {
			p.Await(crossing)
		}
	}
	s.Close(TransportClose)
}

// unit handles one unit; a reason other than 0 ends the socket. begun: it belongs to a
// payload that has begun while the session was open.
func (s *Socket) unit(u packet.Unit, inline, begun bool) Reason {
	switch u.Kind {
	case packet.MessageUnit:
		if !s.traffic() && !begun {
			return 0
		}
		return s.handler.Message(u.Binary, u.Data, inline)
	case packet.Ping:
		if s.rules().Heartbeat == dialect.ServerPings {
			return TransportError // invalid heartbeat direction
		}
		s.mu.Lock()
		s.arm()
		s.mu.Unlock()
		_ = s.Send(s.dialect.Control(packet.Unit{Kind: packet.Pong}))
	case packet.Pong:
		if s.rules().Heartbeat == dialect.ClientPings {
			return TransportError
		}
		s.mu.Lock()
		if s.pongDue { // a pong that nobody asked for moves no timer
			s.pongDue = false
			s.arm()
		}
		s.mu.Unlock()
	}
	return 0 // open, upgrade, noop, and on a duplex transport close: ignored
}
