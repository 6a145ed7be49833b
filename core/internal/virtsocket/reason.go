package virtsocket

import "github.com/siokit/siokit/core/internal/transport"

// Reason is why a virtual socket, or a namespace of it, has ended.
type Reason uint8

// The reasons. The texts are those of the Node server where it has one, so that
// logs and the event "disconnect" read alike.
const (
	// The client reconnects by itself after these.
	TransportClose       Reason = iota + 1 // the client or the network ended the connection
	TransportError                         // the connection broke, or broke the transport's rules
	PingTimeout                            // no heartbeat in time
	ParseError                             // malformed Engine.IO packet
	MalformedPacket                        // malformed Socket.IO packet
	ProtocolViolation                      // protocol violation, or no namespace joined in time
	SlowClient                             // the outgoing queue reached its bound
	ServerShutdown                         // the server is shutting down
	ServerTransportClose                   // the application closed the transport

	// The client stays away after these.
	ClientNamespace // the client left the namespace
	ServerNamespace // the server disconnected the namespace
	Expired         // the application's time for the namespace is over
)

var reasons = [...]struct {
	text       string
	code       transport.Code
	reconnects bool
}{
	TransportClose:       {"transport close", transport.NoStatus, true},
	TransportError:       {"transport error", transport.ProtocolError, true},
	PingTimeout:          {"ping timeout", transport.NoStatus, true},
	ParseError:           {"parse error", transport.ProtocolError, true},
	MalformedPacket:      {"forced close", transport.ProtocolError, true},
	ProtocolViolation:    {"forced server close", transport.Policy, true},
	SlowClient:           {"slow client", transport.NoStatus, true},
	ServerShutdown:       {"server shutting down", transport.GoingAway, true},
	ServerTransportClose: {"transport close", transport.Normal, true},
	ClientNamespace:      {"client namespace disconnect", transport.Normal, false},
	ServerNamespace:      {"server namespace disconnect", transport.Normal, false},
	Expired:              {"expired", transport.Normal, false},
}

// String is the reason's usual text.
func (r Reason) String() string {
	if int(r) < len(reasons) && r > 0 {
		return reasons[r].text
	}
	return "unknown"
}

// Reconnects reports whether the official clients connect again by themselves.
func (r Reason) Reconnects() bool { return int(r) < len(reasons) && reasons[r].reconnects }

// heard reports whether what was received before the end is handled: always but when
// the application has ended the session.
func (r Reason) heard() bool {
	return r != ServerNamespace && r != ServerTransportClose && r != Expired
}

// code is the status of the close frame that tells the client.
func (r Reason) code() transport.Code {
	if int(r) < len(reasons) {
		return reasons[r].code
	}
	return transport.NoStatus
}
