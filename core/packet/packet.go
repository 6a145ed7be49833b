// Package packet has the bounds of what clients send, for sio.Options.Limits. The
// packets themselves are internal.
package packet

// Limits bound the parts of one packet, and the packets of one polling body. A
// decoder ends the connection of a client that goes beyond one of them. The zero
// value of a field means the default in sio.Options, and no limit inside the library.
type Limits struct {
	Attachments     int // of one packet
	AttachmentBytes int // of one packet, all attachments together
	Depth           int // nesting of JSON
	EventName       int // bytes
	Namespace       int // bytes
	Auth            int // bytes of a CONNECT payload
	PayloadPackets  int // packets in one polling body
}

// DefaultLimits are the limits where nothing else is said.
var DefaultLimits = Limits{
	Attachments:     10,
	AttachmentBytes: 4 << 20,
	Depth:           64,
	EventName:       256,
	Namespace:       256,
	Auth:            16 << 10,
	PayloadPackets:  10_000,
}
