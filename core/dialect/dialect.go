// Package dialect defines what a client generation is to the rest of the core:
// how its requests are recognised, how its handshake and its errors look, who
// sends heartbeats, and how engine units and Socket.IO packets are written. Each
// generation has a folder of its own below this one.
package dialect

import (
	"net/http"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/packet"
)

// Request is what a dialect read from an exchange.
type Request struct {
	Transport string // the transport's name in package transport; "" for a handshake on its own
	SID       string // "" opens a session
	Base64    bool   // the client cannot receive binary payloads
}

// Heartbeat says which side sends the heartbeats.
type Heartbeat uint8

// The rules of the client generations.
const (
	ServerPings Heartbeat = iota // Engine.IO 4, Socket.IO 0.9
	ClientPings                  // Engine.IO 3
)

// Rules are the constant properties of a dialect.
type Rules struct {
	Heartbeat Heartbeat
	// ImplicitConnect: the server connects the default namespace by itself.
	ImplicitConnect bool
	// SeparateHandshake: the handshake is an exchange of its own, and the
	// session has no transport until the next one.
	SeparateHandshake bool
}

// Opening is what the handshake tells the client.
type Opening struct {
	SID          string
	Upgrades     []string // transports that the session may move to
	Transports   []string // transports that a client may choose from
	PingInterval time.Duration
	PingTimeout  time.Duration
	MaxPayload   int64
}

// Dialect is one client generation. Dialects are stateless values.
type Dialect interface {
	// Name is a short constant, such as "eio4".
	Name() string
	// Rules are the dialect's constant properties.
	Rules() Rules
	// Recognise reports whether the request is of this generation.
	Recognise(x host.Exchange) bool
	// Parse reads a request that Recognise accepted.
	Parse(x host.Exchange) (Request, *Refusal)
	// Refuse answers with an error in the dialect's own form.
	Refuse(x host.Exchange, r *Refusal) error
	// Open is the first message of a session, or with SeparateHandshake the
	// body of the handshake's answer.
	Open(o Opening) *packet.Message

	// Decode reads one message of a duplex transport.
	Decode(f packet.Frame) (packet.Unit, error)
	// DecodePayload reads the body of a polling request.
	DecodePayload(body []byte, contentType string, yield func(packet.Unit) bool) error
	// AppendPayload appends messages as the answer of a poll and returns its content type.
	AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string)
	// Control is the message of a unit without application data, or of a plain
	// text of an application that uses no Socket.IO packets. Data is copied.
	Control(u packet.Unit) *packet.Message

	// Encode writes a Socket.IO packet. Attachments are shared with the message.
	// With reuse the message has one receiver.
	Encode(p *packet.Packet, reuse bool) *packet.Message
	// NewDecoder returns the packet decoder of one connection.
	NewDecoder() packet.Decoder
}

// Refusal is an answer to a request that is not served, independent of dialects.
type Refusal struct {
	Code    Code
	Status  int    // HTTP status; 0 means the code's usual one
	Message string // "" means the code's usual text
	Context string // for logs: what exactly was wrong
}

// Error implements error.
func (r *Refusal) Error() string {
	s := r.Text()
	if r.Context != "" {
		s += " (" + r.Context + ")"
	}
	return s
}

// Text is Message or the code's usual text.
func (r *Refusal) Text() string {
	if r.Message != "" {
		return r.Message
	}
	return r.Code.Text()
}

// HTTPStatus is Status or the code's usual one.
func (r *Refusal) HTTPStatus() int {
	if r.Status != 0 {
		return r.Status
	}
	if r.Code == Forbidden {
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// Code is the number of an Engine.IO error (its server's "connection_error" codes).
type Code int

// The error codes of Engine.IO.
const (
	UnknownTransport   Code = 0
	UnknownSID         Code = 1
	BadHandshakeMethod Code = 2
	BadRequest         Code = 3
	Forbidden          Code = 4
	UnsupportedVersion Code = 5
)

// Text is the message that belongs to the code on the wire.
func (c Code) Text() string {
	switch c {
	case UnknownTransport:
		return "Transport unknown"
	case UnknownSID:
		return "Session ID unknown"
	case BadHandshakeMethod:
		return "Bad handshake method"
	case Forbidden:
		return "Forbidden"
	case UnsupportedVersion:
		return "Unsupported protocol version"
	}
	return "Bad request"
}

// ValidSID reports whether s can be a session id: 1 to 64 characters of the
// base64url alphabet. Anything else is answered as an unknown id, unread.
func ValidSID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
