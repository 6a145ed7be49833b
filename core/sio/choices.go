package sio

// Limits bound the parts of what a client sends. A field that is 0 has its default.
type Limits struct {
	Attachments     int // of one packet; 10
	AttachmentBytes int // of one packet, all attachments together; 4 MiB, or 4 times Options.MaxPayload if that is more
	Depth           int // nesting of JSON; 64
	EventName       int // bytes; 256
	Namespace       int // bytes of a namespace's name; 256
	Auth            int // bytes of the payload of a CONNECT; 16 KiB
	PayloadPackets  int // packets in the body of one POST; 10 000
}

// RepairText is what is done about clients of Socket.IO 1.x, which encode text
// twice when they poll.
type RepairText uint8

// The choices; the first is the default.
const (
	RepairDetected RepairText = iota // a packet that cannot be much else is read as encoded twice
	RepairNever                      // for fleets of 2.x alone
	RepairAlways                     // for fleets of 1.x alone
)

// PollFraming is the form of the payloads to clients 1.x and 2.x that poll.
type PollFraming uint8

// The choices; the first is the default.
const (
	FramingDetected PollFraming = iota // binary for those whose handshake has the parameter t, as that of official clients has
	FramingText                        // text, which clients 1.0 to 1.3 do not read
	FramingBinary                      // binary for everybody who has not asked for b64
)
