package sio

import "github.com/siokit/siokit/core/internal/virtsocket"

// Reason is why a socket has ended. The zero value is no reason.
type Reason uint8

// The reasons that OnDisconnect is told. After all but the last two the official clients
// connect again by themselves.
const (
	TransportClose    Reason = iota + 1 // the client or the network ended the connection
	TransportError                      // the connection broke, or broke the transport's rules
	PingTimeout                         // no heartbeat in time
	ParseError                          // malformed Engine.IO packet
	MalformedPacket                     // malformed Socket.IO packet
	ProtocolViolation                   // a packet out of place, or no namespace joined in time
	SlowClient                          // the outgoing queue reached its bound
	ServerShutdown                      // the server is shutting down
	ServerTransport                     // CloseTransport of Socket, Conn or Target
	ClientNamespace                     // the client left the namespace
	ServerNamespace                     // Disconnect of Socket or Target
)

// String is the text that a Node server has for the reason, such as "transport close", and
// "unknown" for a value that is none of the constants. Two reasons may have one text.
func (r Reason) String() string { return r.below().String() }

// Reconnects reports whether the official clients connect again by themselves.
func (r Reason) Reconnects() bool { return r.below().Reconnects() }

// below is the reason for the layer of the connection, which counts in the same way.
func (r Reason) below() virtsocket.Reason { return virtsocket.Reason(r) }
