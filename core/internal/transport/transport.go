// Package transport is the seam between the virtual socket and the ways in
// which bytes move. A transport knows nothing of dialects: it moves frames or
// payloads and leaves their meaning to the link it serves.
package transport

import (
	"errors"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
)

// Code is the status of a websocket close frame (RFC 6455, section 7.4).
type Code uint16

// The codes that the library sends. NoStatus ends the connection without a
// closing handshake. The code 1005 never stands in a frame: it is what a peer is
// told that got none.
const (
	NoStatus      Code = 0
	Normal        Code = 1000
	GoingAway     Code = 1001
	NoCode        Code = 1005 // a close frame without a code and a reason
	ProtocolError Code = 1002
	InvalidData   Code = 1007
	Policy        Code = 1008
	TooBig        Code = 1009
	Internal      Code = 1011
)

// Error is why a transport ended, with the code that it told the peer.
type Error struct {
	Code Code
	Text string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Errors that a transport reports to Link.Lost, beside *Error and those of the network.
var (
	// ErrClosed: the peer has ended the connection in an orderly way.
	ErrClosed = errors.New("transport: closed by the peer")
	// ErrSlow: the peer did not take what was written in time.
	ErrSlow = errors.New("transport: the peer does not read")
	// ErrOverlap: a second request of a kind came while one was in progress.
	ErrOverlap = errors.New("transport: overlapping requests from the client")
	// ErrEncoding: a request body is compressed, which is not supported.
	ErrEncoding = errors.New("transport: content encoding not supported")
	// ErrAborted: a request ended before its body had arrived.
	ErrAborted = errors.New("transport: request ended prematurely")
)

// Link is the virtual socket as its transport sees it.
type Link interface {
	// Frame handles one message of a duplex transport. It may run application
	// code. data is valid until it returns. An error closes the transport.
	Frame(f packet.Frame) error
	// Unit handles one packet of a polling payload; it reports false when the
	// rest of the payload is to be dropped.
	Unit(u packet.Unit) bool
	// Begin and End enclose what one read brought: answers to it may leave together.
	Begin()
	End()
	// Next takes the queued messages, nil when there are none. They count as
	// queued until Sent gives them back, the slice included.
	Next() []*packet.Message
	Sent(ms []*packet.Message)
	// Unsent gives messages back that have not left: they are the next ones again.
	Unsent(ms []*packet.Message)
	// Lost is called exactly once, when the transport has ended.
	Lost(err error)
}

// Conn is one transport in use by a virtual socket.
type Conn interface {
	// Name is the name of the transport.
	Name() string
	// Flush sends what the link has queued. It does not block and may be
	// called by many goroutines: one of them writes.
	Flush()
	// Enter says, on the goroutine that reads and inside Link.Frame, that what
	// follows may take long: from here to the end of Frame, Detach lets another
	// goroutine read on. What Frame does before Enter is done before the next message
	// is read.
	Enter()
	// Detach moves the reading role. It does nothing outside such a stretch.
	Detach()
	// Close sends what is queued, says goodbye with code, and ends the
	// connection. NoStatus ends it at once. It does not block.
	Close(code Code, reason string)
}

// Duplex is a transport that keeps a connection of its own.
type Duplex interface {
	Name() string
	// Serve takes the connection of x over for l. start is called once with the
	// new conn, from the goroutine that will read, unless the client has left
	// meanwhile. On an error x has not been answered.
	Serve(x host.Exchange, l Link, start func(c Conn)) error
}

// Form is the outward shape of a transport made of single requests: how the
// answer of a request that waits for messages looks. What happens behind it is
// the same for all of them, and the business of a Polling.
type Form interface {
	// Name is the name of the transport.
	Name() string
	// Answer describes one answer. s is the dialect's part of it.
	Answer(s packet.Script) Answer
}

// Answer is the shape of one answer. The zero value is a bare payload.
type Answer struct {
	// ContentType is "" when the payload's own applies.
	ContentType string
	// Wrap appends a payload the way it stands in the answer; nil: as it is.
	Wrap func(dst, payload []byte) []byte
	// Escaped: request bodies are encoded as forms, which makes them larger.
	Escaped bool
	// Stream: the answer does not end with its first payload. Head comes first.
	Stream bool
	Head   string
}

// PollRequest is one request of a session that polls.
type PollRequest struct {
	Name     string // of the transport
	Answer   Answer
	Payloads packet.Payloads
}

// PollOptions are how one session polls.
type PollOptions struct {
	// Name is the transport of the first request.
	Name string
	// Noop ends a waiting request that has nothing to say.
	Noop *packet.Message
	// Newest: a newer request replaces the one that waits, and a client that
	// gives its request up may come back. Otherwise both end the session.
	Newest bool
	// Duration is how long a request waits; 0 means until there is something to
	// say. Streams do not end.
	Duration time.Duration
}

// Polling is the mechanics of transports made of single requests.
type Polling interface {
	// New returns the polling side of one virtual socket.
	New(l Link, o PollOptions) Poll
	// Reply answers a request with messages, without any session.
	Reply(x host.Exchange, v PollRequest, ms []*packet.Message) error
}

// Poll is the polling side of one virtual socket.
type Poll interface {
	Conn
	// Get serves a request that waits for messages. On an error nothing was
	// answered. A stream may go on when Get has returned.
	Get(x host.Exchange, v PollRequest) error
	// Post reads a request body of at most limit bytes and hands its units to
	// the link. It answers nothing.
	Post(x host.Exchange, v PollRequest, limit int64) error
	// Hold makes waiting requests return at once, while an upgrade is under way.
	Hold(on bool)
	// Goodbye says what the client is told last; nil: its request fails. It is
	// called before Close.
	Goodbye(m *packet.Message)
	// Retire waits until no request is in progress, and refuses later ones:
	// another transport takes over.
	Retire()
}
