// Package dialect defines what a client generation is to the rest of the core:
// how its requests are recognised, how its handshake and its errors look, who
// sends heartbeats, and how engine units and Socket.IO packets are written. Each
// generation has a folder of its own below this one.
package dialect

import (
	"net/http"
	"strings"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
)

// The transports, by the names that dialects and transports agree on. They are
// those of Options.Transports; some dialects have other names for them on the wire.
const (
	Polling      = "polling"
	WebSocket    = "websocket"
	JSONP        = "jsonp"
	HTMLFile     = "htmlfile"
	XHRMultipart = "xhr-multipart"
	FlashSocket  = "flashsocket"
)

// Transports are all of them.
var Transports = []string{Polling, WebSocket, JSONP, HTMLFile, XHRMultipart, FlashSocket}

// Request is what a dialect read from an exchange.
type Request struct {
	Transport string        // "" for a handshake on its own
	SID       string        // "" opens a session
	Base64    bool          // the client cannot receive binary payloads
	Script    packet.Script // how the answer of jsonp or htmlfile looks
	End       bool          // the request ends the session, whatever its transport
	Binary    bool          // of a handshake: every payload to this client is to be binary
	Own       any           // of a handshake: what the dialect wants to find in Payloads
}

// Heartbeat says which side sends the heartbeats.
type Heartbeat uint8

// The rules of the client generations.
const (
	ServerPings Heartbeat = iota // Engine.IO 4, Socket.IO 0.6 to 0.9
	ClientPings                  // Engine.IO 3
)

// Rules are the constant properties of a dialect.
type Rules struct {
	Heartbeat Heartbeat
	// ImplicitConnect: the server connects the default namespace by itself.
	ImplicitConnect bool
	// NewestTransportWins: a request for another transport replaces the one in use, and a
	// newer poll the one that waits. Without it the one way to another transport
	// is the upgrade of Engine.IO, and a second poll ends the session.
	NewestTransportWins bool
	// QuietPolls: there are no heartbeats while the session polls; it ends when
	// the close timeout passes without a poll.
	QuietPolls bool
	// FramePayloads: a message of a duplex transport is a payload, which may
	// hold several units.
	FramePayloads bool
	// RootEndsConn: leaving the default namespace ends the connection.
	RootEndsConn bool
	// AnswersStrayPackets: what is sent to a namespace that the client has not joined is
	// answered with an error; otherwise it ends the connection.
	AnswersStrayPackets bool
	// Repairs: the Payloads of a session are a Repairer.
	Repairs bool
	// Accepted is the answer to a request with a body, Type its content type.
	Accepted, Type string
}

// Opening is what the handshake tells the client.
type Opening struct {
	SID          string
	Transports   []string // those that are enabled, by the names above
	Upgrade      bool     // the session does not use a duplex transport yet
	PingInterval time.Duration
	PingTimeout  time.Duration
	CloseTimeout time.Duration
	MaxPayload   int64
}

// Repairer are Payloads that make up for what a client does wrong, or cannot do,
// on duplex transports too.
type Repairer interface {
	packet.Payloads
	// Repair returns what is to be read in place of the text of a message.
	Repair(text []byte) []byte
	// Outgoing returns what is to be sent in place of a message.
	Outgoing(m *packet.Message) *packet.Message
}

// Dialect is one client generation. Dialects are stateless values.
type Dialect interface {
	// Name is a short constant, such as "eio4".
	Name() string
	// Rules are the dialect's constant properties.
	Rules() *Rules
	// Recognise reports whether the request is of this generation.
	Recognise(x host.Exchange) bool
	// Parse reads a request that Recognise accepted.
	Parse(x host.Exchange) (Request, *Refusal)
	// Refuse answers with an error in the dialect's own form.
	Refuse(x host.Exchange, r *Refusal) error

	// Open is the first message of a session; nil: there is none.
	Open(o Opening) *packet.Message
	// UnknownSession is the answer to a request of a session that does not exist, on
	// whatever transport it came; nil: it is refused with UnknownSID.
	UnknownSession() *packet.Message
	// CloseMessage is the last message to a client that polls; nil: its request fails.
	CloseMessage(reconnect bool) *packet.Message
	// SocketID is what a client takes for the public id of its socket in a
	// namespace; "" when the server tells it.
	SocketID(sid, namespace string) string

	// Decode reads one message of a duplex transport, unless FramePayloads.
	Decode(f packet.Frame) (packet.Unit, error)
	// Payloads returns the framing for the requests of a session. With Repairs
	// it is asked once for a session, and may keep state; else for every request.
	Payloads(req Request) packet.Payloads
	// Control is the message of a unit without application data, or of a plain
	// text of an application that uses no Socket.IO packets. Data is copied.
	Control(u packet.Unit) *packet.Message

	// Encode writes a Socket.IO packet; nil: the dialect has no such packet, and
	// its clients need none. Attachments are shared with the message. With reuse
	// the message has one receiver.
	Encode(p *packet.Packet, reuse bool) *packet.Message
	// NewDecoder returns the packet decoder of one connection.
	NewDecoder() packet.Decoder
}

// Guesser is a Dialect with clients that do not say which generation they are of.
type Guesser interface {
	Dialect
	// Resumes returns the session id of a request that names a session and no
	// generation, else "". Such a request is of its session's dialect.
	Resumes(x host.Exchange) string
	// Guess reports whether a request that no dialect recognises, and whose
	// session nobody knows, is nevertheless of this generation.
	Guess(x host.Exchange) bool
}

// Single is a Dialect with FramePayloads most of whose payloads have one unit.
type Single interface {
	Dialect
	// Single returns the unit of a message of a duplex transport that has no other; ok is
	// false when there may be several. data is valid UTF-8.
	Single(data []byte) (u packet.Unit, ok bool)
}

// Greeter is a Dialect whose handshake is an exchange of its own: the session
// has no transport until the next one.
type Greeter interface {
	Dialect
	// Greet answers the handshake.
	Greet(x host.Exchange, o Opening) error
}

// Refusal is an answer to a request that is not served, independent of dialects.
type Refusal struct {
	Code    Code
	Status  int    // HTTP status; 0 means the code's usual one
	Message string // "" means the code's usual text
	Context string // for logs: what exactly was wrong
	Cause   Cause  // for logs and counts: what kind of refusal it is
	// HostLimit is the host's own limit for bodies, with CauseTooLarge, when that was
	// what the message was too large for.
	HostLimit int64
}

// Cause is a kind of refusal that an operator is told about in a way of its own.
type Cause uint8

// The causes. Code says all about the others.
const (
	CauseCode     Cause = iota
	CauseOrigin         // the page may not talk to the server
	CauseLimit          // a bound of sessions is reached
	CauseTooLarge       // a message over the limit
	CauseUpgrade        // a request for a websocket without its Upgrade header
	CauseShutdown       // the server is shutting down
	CauseReported       // application code failed, which has been reported
	CauseQuiet          // not for the log: it is there already, or no one's mistake
)

// Error implements error.
func (r *Refusal) Error() string {
	s := r.Text()
	if r.Context != "" {
		s += " (" + r.Context + ")"
	}
	return s
}

// Text is Message or the code's usual text. It is UTF-8.
func (r *Refusal) Text() string {
	if r.Message != "" {
		return strings.ToValidUTF8(r.Message, "\ufffd")
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

// ScriptIndex reports whether s can be the number of a script callback: 1 to 9
// digits. Anything else could bring code of its own into the answer.
func ScriptIndex(s string) bool {
	if s == "" || len(s) > 9 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
