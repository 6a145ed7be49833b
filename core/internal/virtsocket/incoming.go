package virtsocket

import (
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
			return s.payload(f)
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
	if r := s.unit(u, true); r != 0 {
		s.Close(r)
		return &transport.Error{Code: r.code(), Text: r.String()}
	}
	return nil
}

// payload handles a frame of a dialect that may put several units into one. None
// is handled inline: another goroutine would read on while some are still to come.
func (s *Socket) payload(f packet.Frame) error {
	err := packet.Malformed("a binary message")
	if !f.Binary {
		err = s.dialect.Payloads(dialect.Request{}).DecodePayload(f.Data, "", s.Unit)
	}
	if err != nil {
		s.Close(ParseError)
		return &transport.Error{Code: transport.ProtocolError, Text: err.Error()}
	}
	return nil
}

// Unit implements transport.Link.
func (s *Socket) Unit(u packet.Unit) bool {
	if s.isClosed() {
		return false
	}
	if u.Kind == packet.Close {
		s.left()
		return false
	}
	if r := s.unit(u, false); r != 0 {
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

// unit handles one unit; a reason other than 0 ends the socket.
func (s *Socket) unit(u packet.Unit, inline bool) Reason {
	switch u.Kind {
	case packet.MessageUnit:
		if !s.traffic() {
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
