package sio

import "github.com/siokit/siokit/core/internal/virtsocket"

// Reason is why a socket has ended. The zero value is not a reason.
type Reason uint8

// The reasons that OnDisconnect gets. The official clients connect again by themselves
// after all but ServerNamespace, ClientNamespace and Expired.
const (
	TransportClose       Reason = iota + 1 // the client or the network ended the connection
	TransportError                         // the connection broke, or broke the transport's rules
	PingTimeout                            // no heartbeat in time
	ParseError                             // malformed Engine.IO packet
	MalformedPacket                        // malformed Socket.IO packet
	ProtocolViolation                      // a packet out of place, or no namespace joined in time
	SlowClient                             // the outgoing queue reached its bound
	ServerShutdown                         // the server is shutting down
	ServerTransportClose                   // CloseTransport of Socket, Conn or Target
	ClientNamespace                        // the client left the namespace
	ServerNamespace                        // Disconnect of Socket or Target, Conn.Close
	Expired                                // the time of Socket.ExpireAt has come
)

// String returns the text that Node's server has for the reason, such as "transport
// close", and "unknown" for a value that is none of the constants. Two reasons may have
// the same text.
func (r Reason) String() string { return r.below().String() }

// Reconnects reports whether the official clients connect again by themselves after
// this reason.
func (r Reason) Reconnects() bool { return r.below().Reconnects() }

// below is the reason as the layer of the connection has it: the numbers are the same.
func (r Reason) below() virtsocket.Reason { return virtsocket.Reason(r) }
