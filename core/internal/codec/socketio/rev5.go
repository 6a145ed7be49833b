// Package socketio holds the text codecs of Socket.IO packets, one file a
// protocol revision, and what they share: JSON arguments and binary attachments.
package socketio

import (
	"bytes"
	"strconv"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// The digits of revisions 4 and 5 ("Packet encoding" of the Socket.IO protocol).
const (
	digitConnect      = '0'
	digitDisconnect   = '1'
	digitEvent        = '2'
	digitAck          = '3'
	digitConnectError = '4'
	digitBinaryEvent  = '5'
	digitBinaryAck    = '6'
)

// AppendRev5 appends the text of p in revision 5: type, attachment count,
// namespace, ack id, JSON. The attachments themselves follow as binary messages.
func AppendRev5(dst []byte, p *packet.Packet) []byte {
	if p.Type == packet.Failure { // there is no packet for it: an event "error"
		dst = append(appendHeader(dst, p), `["error",`...)
		return append(append(dst, p.Data...), ']')
	}
	return append(appendHeader(dst, p), p.Data...)
}

// SizeRev5 is an upper bound for the bytes that AppendRev5 appends.
func SizeRev5(p *packet.Packet) int { return len(p.Namespace) + len(p.Data) + 48 }

func appendHeader(dst []byte, p *packet.Packet) []byte {
	binary := len(p.Attachments) > 0
	switch {
	case p.Type == packet.Connect:
		dst = append(dst, digitConnect)
	case p.Type == packet.Disconnect:
		dst = append(dst, digitDisconnect)
	case p.Type == packet.ConnectError:
		dst = append(dst, digitConnectError)
	case p.Type == packet.Ack && binary:
		dst = append(dst, digitBinaryAck)
	case p.Type == packet.Ack:
		dst = append(dst, digitAck)
	case binary:
		dst = append(dst, digitBinaryEvent)
	default:
		dst = append(dst, digitEvent)
	}
	if binary {
		dst = append(strconv.AppendInt(dst, int64(len(p.Attachments)), 10), '-')
	}
	if p.Namespace != "/" && p.Namespace != "" {
		dst = append(append(dst, p.Namespace...), ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return dst
}

// reserved are the event names that the protocol keeps for itself: a client
// that sends one could pose as the server's own events.
func reserved(name []byte) bool {
	switch string(name) {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// Rev5Decoder decodes the packets of one connection in revision 5.
type Rev5Decoder struct {
	limits *packet.Limits
	query  bool // a query may stand behind the namespace
	p      packet.Packet
	want   int // attachments still to come
	bytes  int // of the attachments that have come
	lastNS string
}

// NewRev5Decoder returns a decoder that keeps limits.
func NewRev5Decoder(limits *packet.Limits) *Rev5Decoder { return &Rev5Decoder{limits: limits} }

// Text implements packet.Decoder. Every error means that the connection must
// be closed: the peer does not speak the protocol.
func (d *Rev5Decoder) Text(data []byte) (*packet.Packet, error) {
	if d.want > 0 {
		return nil, packet.Malformed("text while %d attachments are awaited", d.want)
	}
	p := &d.p
	*p = packet.Packet{Namespace: "/", Args: p.Args[:0]}
	if len(data) == 0 {
		return nil, packet.Malformed("empty packet")
	}
	digit := data[0]
	rest := data[1:]
	count := 0
	if digit == digitBinaryEvent || digit == digitBinaryAck {
		var err error
		if count, rest, err = d.attachmentCount(rest); err != nil {
			return nil, err
		}
	}
	rest, err := d.namespace(p, rest)
	if err != nil {
		return nil, err
	}
	if rest, err = ackID(p, rest); err != nil {
		return nil, err
	}
	p.Data = rest
	switch digit {
	case digitConnect:
		p.Type = packet.Connect
		return p, d.checkConnect(p)
	case digitDisconnect:
		p.Type = packet.Disconnect
		if len(rest) > 0 {
			return nil, packet.Malformed("a disconnect has no payload")
		}
		return p, nil
	case digitEvent, digitBinaryEvent:
		p.Type = packet.Event
	case digitAck, digitBinaryAck:
		p.Type = packet.Ack
	case digitConnectError:
		p.Type = packet.ConnectError
		return p, nil
	default:
		return nil, packet.Malformed("unknown packet type %q", digit)
	}
	if err := d.array(p); err != nil {
		return nil, err
	}
	if count == 0 {
		return p, nil
	}
	return nil, d.hold(p, count)
}

// hold keeps the text of a packet whose attachments come in later reads, when what was
// read is no longer there. The text alone: a list of small arguments costs many times as
// much. The placeholders are checked before the first attachment may cost anything.
func (d *Rev5Decoder) hold(p *packet.Packet, count int) error {
	if !jsontext.EachPlaced(p.Data, count) {
		return packet.Malformed("illegal attachments")
	}
	p.Data = bytes.Clone(p.Data)
	p.Name = nil // points into what was read
	p.ForgetArgs()
	p.Attachments = make([][]byte, 0, count)
	d.want, d.bytes = count, 0
	return nil
}

// Binary implements packet.Decoder. The attachment is copied: handlers own it.
func (d *Rev5Decoder) Binary(data []byte) (*packet.Packet, error) {
	if d.want == 0 {
		return nil, packet.Malformed("binary message when no attachment is awaited")
	}
	if d.bytes += len(data); d.limits.AttachmentBytes > 0 && d.bytes > d.limits.AttachmentBytes {
		return nil, packet.Malformed("attachments of more than %d bytes", d.limits.AttachmentBytes)
	}
	d.p.Attachments = append(d.p.Attachments, append(make([]byte, 0, len(data)), data...))
	if d.want--; d.want > 0 {
		return nil, nil
	}
	if err := d.array(&d.p); err != nil { // there was none when the text came
		return nil, err
	}
	return &d.p, nil
}

// Awaiting reports whether attachments are awaited and for which namespace.
func (d *Rev5Decoder) Awaiting() (string, bool) { return d.p.Namespace, d.want > 0 }

func (d *Rev5Decoder) attachmentCount(b []byte) (int, []byte, error) {
	n, i := 0, 0
	for ; i < len(b) && b[i]-'0' <= 9 && i < 4; i++ {
		n = n*10 + int(b[i]-'0')
	}
	if i == 0 || i >= len(b) || b[i] != '-' || n == 0 {
		return 0, nil, packet.Malformed("illegal attachments")
	}
	if d.limits.Attachments > 0 && n > d.limits.Attachments {
		return 0, nil, packet.Malformed("too many attachments: %d", n)
	}
	return n, b[i+1:], nil
}

// maxKeptName bounds the name that a decoder keeps for the next packet.
const maxKeptName = 512

func (d *Rev5Decoder) namespace(p *packet.Packet, b []byte) ([]byte, error) {
	if len(b) == 0 || b[0] != '/' {
		return b, nil
	}
	end := len(b)
	for i, c := range b {
		if c == ',' {
			end = i
			break
		}
	}
	name := end
	if i := bytes.IndexByte(b[:end], '?'); d.query && i >= 0 {
		name = i
	}
	if d.limits.Namespace > 0 && name > d.limits.Namespace {
		return nil, packet.Malformed("namespace of %d bytes", name)
	}
	switch {
	case end > maxKeptName:
		p.Namespace = string(b[:end]) // with a query as long as an auth payload
	case d.lastNS != string(b[:end]):
		d.lastNS = string(b[:end])
		fallthrough
	default:
		p.Namespace = d.lastNS
	}
	if end == len(b) {
		return nil, nil
	}
	return b[end+1:], nil
}

// ackID reads the decimal ack id. Ids that a JavaScript client cannot hold are refused.
func ackID(p *packet.Packet, b []byte) ([]byte, error) {
	i := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		p.ID = p.ID*10 + uint64(b[i]-'0')
		if p.ID > packet.MaxID {
			return nil, packet.Malformed("ack id out of range")
		}
	}
	p.HasID = i > 0
	return b[i:], nil
}

func (d *Rev5Decoder) checkConnect(p *packet.Packet) error {
	if p.HasID {
		return packet.Malformed("a connect has no ack id")
	}
	if len(p.Data) == 0 {
		p.Data = nil
		return nil
	}
	if d.limits.Auth > 0 && len(p.Data) > d.limits.Auth {
		return packet.Malformed("auth payload of %d bytes", len(p.Data))
	}
	if p.Data[0] != '{' || !jsontext.Valid(p.Data, d.limits.Depth) {
		return packet.Malformed("the auth payload is not an object")
	}
	return nil
}

// split cuts the JSON array of p.Data into p.Args.
func split(p *packet.Packet, limits *packet.Limits) (err error) {
	if p.Args, err = jsontext.Split(p.Data, p.Args[:0], limits.Depth); err != nil {
		return packet.Malformed("%v", err)
	}
	return nil
}

// array cuts the JSON array of an event or ack into its arguments.
func (d *Rev5Decoder) array(p *packet.Packet) error {
	if len(p.Data) == 0 {
		// Both are legal: an event without a name reaches catch-all handlers
		// only, an ack without payload acknowledges nothing.
		p.Data = nil
		return nil
	}
	if err := split(p, d.limits); err != nil {
		return err
	}
	if p.Type == packet.Ack {
		return nil
	}
	if len(p.Args) == 0 {
		return packet.Malformed("an event without a name")
	}
	switch name := p.Args[0]; {
	case name[0] == '"':
		p.Name = jsontext.Unquote(name)
	case name[0] == '-' || name[0]-'0' <= 9:
		p.Name = name // a number is a legal name in the reference; it is matched by its digits
	default:
		return packet.Malformed("the event name is neither a string nor a number")
	}
	if d.limits.EventName > 0 && len(p.Name) > d.limits.EventName {
		return packet.Malformed("event name of %d bytes", len(p.Name))
	}
	if reserved(p.Name) {
		return packet.Malformed("reserved event name %q", p.Name)
	}
	// Moved down, not cut off: the slice keeps its capacity for the next packet.
	last := copy(p.Args, p.Args[1:])
	p.Args[last] = nil
	p.Args = p.Args[:last]
	return nil
}
