// Package packet holds what travels between client and server, in a form that
// every dialect shares: Socket.IO packets, Engine.IO units, encoded messages,
// and the limits that decoders keep.
package packet

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// Type is the type of a Socket.IO packet. The values are the project's own;
// each codec maps them to the digits of its revision.
type Type uint8

// The packet types of all revisions. Text and JSON exist as
// packets in revision 1 only.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError // revision 1 and 4: error
	Text         // revision 1: a message, an unstructured text
	JSON         // revision 1: one JSON value without a name
	Failure      // what the client sent has failed; each revision has its own way to say so
)

var typeNames = [...]string{"connect", "disconnect", "event", "ack", "connect error", "message", "json", "failure"}

// String returns the type's name for logs.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", t)
}

// Packet is one Socket.IO packet.
//
// A decoded packet points into the bytes it was read from: it is valid until
// the function that received it returns. Clone makes a lasting copy.
type Packet struct {
	Type      Type
	Namespace string // "/" is the default namespace
	// Query is what stands behind the namespace of a CONNECT of revisions 1 and
	// 4, without the question mark; Data is then the same as an object of strings.
	Query string
	ID    uint64 // ack id; valid when HasID
	HasID bool
	// Bare: the id asks for an ack without arguments, to be given on arrival
	// (revision 1, an id without a plus sign). Set by decoders only.
	Bare bool
	// Data is the JSON behind the header: the array of an event or ack, the
	// object of a connect, the object {"message","data"} of a connect error,
	// {"code","message","data"} of a failure. Text and JSON have the array of
	// an event "message" with one argument. Nil: there was none.
	Data json.RawMessage
	// Name is the event's name, unescaped; set by decoders only.
	Name []byte
	// Args are the elements of Data without the name; set by decoders only.
	Args []json.RawMessage
	// Attachments are the binary parts, in the order of their placeholders' num.
	Attachments [][]byte

	packed int // so many Args are in Data, as Pack has written them; see Clone
}

// Clone returns a copy that shares no memory with p but the attachments, which
// decoders never reuse. The copy of an event has no Data: that would be the same
// text once more.
//
// A clone is made of what has to wait. So the copy of a packet of more than MaxKept
// arguments has their text alone, in Data, until Restore is called: a list of small
// arguments costs many times its text. Whoever handles a clone calls Restore first.
func (p *Packet) Clone() *Packet {
	if len(p.Args) > MaxKept {
		return p.pack()
	}
	c := *p
	c.Args = nil // not even an empty one: whoever gets the copy may append to it
	n := len(p.Name)
	if len(p.Args) > 0 {
		c.Args = make([]json.RawMessage, len(p.Args))
		for _, a := range p.Args {
			n += len(a)
		}
	}
	if p.repeats() {
		c.Data = nil
	} else {
		n += len(p.Data)
	}
	buf := make([]byte, 0, n)
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		at := len(buf)
		buf = append(buf, b...)
		return buf[at:len(buf):len(buf)]
	}
	c.Name = keep(p.Name)
	for i, a := range p.Args {
		c.Args[i] = keep(a)
	}
	if !p.repeats() {
		c.Data = keep(p.Data)
	}
	c.Attachments = append([][]byte(nil), p.Attachments...)
	return &c
}

// pack is Clone for a packet of many arguments.
func (p *Packet) pack() *Packet {
	c := *p
	name := len(p.Name)
	buf := make([]byte, 0, name+jsontext.PackedLen(p.Args))
	buf = jsontext.AppendPacked(append(buf, p.Name...), p.Args)
	if p.Name != nil {
		c.Name = buf[:name:name]
	}
	c.Data, c.Args, c.packed = buf[name:], nil, len(p.Args)
	c.Attachments = append([][]byte(nil), p.Attachments...)
	return &c
}

// Restore gives a clone the arguments that Clone has kept as text. They point into that
// text. It does nothing to any other packet.
func (p *Packet) Restore() {
	if p.packed > 0 {
		p.Args = jsontext.Unpack(p.Data, p.packed)
		p.Data, p.packed = nil, 0
	}
}

// repeats reports whether Data holds nothing that Name and Args do not.
func (p *Packet) repeats() bool {
	return p.packed == 0 && (len(p.Args) > 0 || p.Type == Event || p.Type == Text || p.Type == JSON)
}

// packetBytes is what a packet costs beside what it holds, partBytes what each of
// its arguments and attachments does.
const (
	packetBytes = 256
	partBytes   = 24
)

// Size is the number of bytes that keeping a clone of p holds, itself included: a
// packet of nothing costs memory too. A Clone has the size of its original.
func (p *Packet) Size() int {
	n := packetBytes + len(p.Name)
	if !p.repeats() {
		n += len(p.Data)
	}
	if len(p.Args) > MaxKept {
		n += jsontext.PackedLen(p.Args)
	} else {
		for _, a := range p.Args {
			n += partBytes + len(a)
		}
	}
	for _, a := range p.Attachments {
		n += partBytes + len(a)
	}
	return n
}

// MaxKept is how many arguments a list may have that is kept, for the next packet or
// while its packet waits. A larger one is left to the garbage collector, or one packet
// of many arguments would hold its memory for the life of whoever decoded it. What
// waits keeps the text instead, and makes the list again; see Clone.
const MaxKept = 64

// Forget empties p, the memory of its arguments included, and keeps the list for
// the next packet unless it is a large one.
func (p *Packet) Forget() {
	p.ForgetArgs()
	*p = Packet{Args: p.Args}
}

// ForgetArgs is Forget for the arguments alone.
func (p *Packet) ForgetArgs() {
	args := p.Args
	if cap(args) > MaxKept {
		args = nil
	}
	clear(args[:cap(args)])
	p.Args = args[:0]
}

// Kind is the kind of an engine-level unit, the layer below Socket.IO packets.
// The first seven are the packet types of Engine.IO; revision 1 uses those it knows.
type Kind uint8

// The kinds of units.
const (
	Open Kind = iota
	Close
	Ping
	Pong
	MessageUnit
	Upgrade
	Noop
)

// Unit is one engine-level packet. Data is valid only during the call that hands it over.
type Unit struct {
	Kind   Kind
	Binary bool
	Data   []byte
}

// Frame is one message of a transport that keeps message boundaries: a text or
// binary message of a websocket.
type Frame struct {
	Binary bool
	Data   []byte
}

// Limits bound the parts of one packet, and the packets of one polling body: what a
// decoder accepts. sio.Limits has the same fields. The zero value of a field means no limit.
type Limits struct {
	Attachments     int // of one packet
	AttachmentBytes int // of one packet, all attachments together
	Depth           int // nesting of JSON
	EventName       int // bytes
	Namespace       int // bytes
	Auth            int // bytes of a CONNECT payload
	PayloadPackets  int // packets in one polling body
}

// DefaultLimits are the limits that a dialect keeps when nothing else is said.
var DefaultLimits = Limits{
	Attachments:     10,
	AttachmentBytes: 4 << 20,
	Depth:           64,
	EventName:       256,
	Namespace:       256,
	Auth:            16 << 10,
	PayloadPackets:  10_000,
}

// InvalidNamespace is the Data of the ConnectError for a namespace that does not exist.
const InvalidNamespace = `{"message":"Invalid namespace"}`

// Script is how an answer looks that a browser runs as a script: what comes once
// at the start, and what stands around the JSON string of each payload.
type Script struct{ Head, Before, After string }

// MaxID is the largest ack id that every client can hold: 2^53-1.
const MaxID = 1<<53 - 1

// ErrMalformed is wrapped by every error that a decoder returns for bad input.
var ErrMalformed = errors.New("malformed packet")

// Malformed returns an error that wraps ErrMalformed.
func Malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Decoder turns the messages of one connection into packets. It keeps the state
// of a packet whose attachments are still to come, so each connection has its own.
type Decoder interface {
	// Text decodes a text message. Nil, nil: attachments must follow. The
	// packet is valid until the next call; its Args may be taken over by
	// leaving another slice in their place.
	Text(data []byte) (*Packet, error)
	// Binary decodes a binary message, an attachment.
	Binary(data []byte) (*Packet, error)
}
