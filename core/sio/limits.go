package sio

import "github.com/siokit/siokit/core/internal/packet"

// Limits bound the parts of one incoming packet, and the packets of one polling body. A
// field that is 0 has its default; a negative one panics in NewServer. A client that
// goes beyond one of them loses its connection.
type Limits struct {
	// Attachments is how many attachments one packet may have, 10.
	Attachments int
	// AttachmentBytes is the largest sum of the attachments of one packet, in bytes;
	// 4 MiB, or 4 times Options.MaxPayload if that is more.
	AttachmentBytes int
	// Depth is how deep JSON may be nested, 64.
	Depth int
	// EventName is the longest name of an event, in bytes; 256.
	EventName int
	// Namespace is the longest name of a namespace, in bytes; 256.
	Namespace int
	// Auth is the largest payload of a CONNECT, in bytes, and with older clients the
	// largest query behind the name of its namespace; 16 KiB.
	Auth int
	// PayloadPackets is how many packets one polling body may have, 10 000. One more
	// is also answered with status 400.
	PayloadPackets int
}

// defaultLimits sets each of the Limits on its own.
func (o *Options) defaultLimits() {
	l, def := &o.Limits, packet.DefaultLimits
	// Attachments travel one message each; their sum may be a few messages.
	def.AttachmentBytes = max(def.AttachmentBytes, int(4*o.MaxPayload))
	defaultTo("Limits.Attachments", &l.Attachments, def.Attachments)
	defaultTo("Limits.AttachmentBytes", &l.AttachmentBytes, def.AttachmentBytes)
	defaultTo("Limits.Depth", &l.Depth, def.Depth)
	defaultTo("Limits.EventName", &l.EventName, def.EventName)
	defaultTo("Limits.Namespace", &l.Namespace, def.Namespace)
	defaultTo("Limits.Auth", &l.Auth, def.Auth)
	defaultTo("Limits.PayloadPackets", &l.PayloadPackets, def.PayloadPackets)
}
