package virtsocket

import (
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// A transport talks to a Link. There are four, and each but the last is a Socket
// with less to say:
//
//   - Socket, for a transport that the session keeps to its end;
//   - candidate, for a websocket that an upgrade may make the transport;
//   - replaceableLink, for a connection that another transport may take over from;
//   - noSession, for a connection that belongs to no session.
var (
	_ transport.Link = (*Socket)(nil)
	_ transport.Link = (*candidate)(nil)
	_ transport.Link = (*replaceableLink)(nil)
	_ transport.Link = (*noSession)(nil)
)

// noSession is the link of a client that has no session: it is sent one message,
// if there is one, and nothing of it is read.
type noSession struct{ message *packet.Message }

func (*noSession) Frame(packet.Frame) error { return transport.ErrClosed }
func (*noSession) Unit(packet.Unit) bool    { return false }
func (*noSession) Begin()                   {}
func (*noSession) End()                     {}

func (l *noSession) Next() []*packet.Message {
	m := l.message
	if l.message = nil; m == nil {
		return nil
	}
	return []*packet.Message{m}
}

func (*noSession) Sent([]*packet.Message)   {}
func (*noSession) Unsent([]*packet.Message) {}
func (*noSession) Lost(error)               {}
