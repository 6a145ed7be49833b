package socketio

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// The marks of the framing of Socket.IO 0.6: a message is "~m~", its length in
// UTF-16 units, "~m~" and the data, which may begin with a mark of its own.
const (
	markMessage   = "~m~"
	markJSON      = "~j~"
	markHeartbeat = "~h~"
)

// AppendFrame06 appends data as one message of Socket.IO 0.6.
func AppendFrame06(dst []byte, data string) []byte {
	dst = append(dst, markMessage...)
	dst = strconv.AppendInt(dst, int64(jsontext.UTF16Len([]byte(data))), 10)
	return append(append(dst, markMessage...), data...)
}

// Heartbeat06 is the data of a heartbeat, which the other side sends back.
const Heartbeat06 = markHeartbeat + "1"

// IsHeartbeat06 tells a heartbeat from a message.
func IsHeartbeat06(data []byte) bool { return bytes.HasPrefix(data, []byte(markHeartbeat)) }

// Append06 appends p as a message of Socket.IO 0.6, which knows texts and JSON
// only, and reports false for what it cannot say. An event becomes the JSON
// object that it is in revision 1.
func Append06(dst []byte, p *packet.Packet) ([]byte, bool) {
	data := []byte(p.Data)
	if len(p.Attachments) > 0 {
		data = jsontext.Inline(data, p.Attachments)
	}
	switch p.Type {
	case packet.Text, packet.JSON:
		arg := restOfArray(data)
		if p.Type == packet.Text && len(arg) > 1 && arg[0] == '"' {
			text := jsontext.Unquote(arg)
			if !bytes.HasPrefix(text, []byte(markJSON)) && !bytes.HasPrefix(text, []byte(markHeartbeat)) {
				return AppendFrame06(dst, string(text)), true
			}
		}
		return AppendFrame06(dst, markJSON+string(arg)), true
	case packet.Event:
		object := appendEventObject([]byte(markJSON), data)
		return AppendFrame06(dst, string(object)), true
	}
	return dst, false
}

// DecodePayload06 reads messages of Socket.IO 0.6 and calls yield with the data
// of each until it returns false. limit bounds their number.
func DecodePayload06(body []byte, limit int, yield func([]byte) bool) error {
	if !utf8.Valid(body) {
		return packet.Malformed("payload is not UTF-8")
	}
	if len(body) == 0 {
		return packet.Malformed("empty payload")
	}
	return framed(body, markMessage, limit, yield)
}

// Decoder06 decodes the messages of one connection of Socket.IO 0.6.
type Decoder06 struct {
	limits *packet.Limits
	p      packet.Packet
}

// NewDecoder06 returns a decoder that keeps limits.
func NewDecoder06(limits *packet.Limits) *Decoder06 { return &Decoder06{limits: limits} }

// Text implements packet.Decoder: a text or a JSON value for the default namespace.
func (d *Decoder06) Text(data []byte) (*packet.Packet, error) {
	p := &d.p
	*p = packet.Packet{Namespace: "/", Name: messageName, Args: p.Args[:0]}
	value, isJSON := bytes.CutPrefix(data, []byte(markJSON))
	if !isJSON {
		p.Type = packet.Text
		p.Args = append(p.Args, quote(data))
		return p, nil
	}
	if !jsontext.Valid(value, d.limits.Depth) {
		return nil, packet.Malformed("the data of a json message is not JSON")
	}
	p.Type = packet.JSON
	p.Args = append(p.Args, value)
	return p, nil
}

// Binary implements packet.Decoder: there is no binary in Socket.IO 0.6.
func (d *Decoder06) Binary([]byte) (*packet.Packet, error) {
	return nil, packet.Malformed("binary in Socket.IO 0.6")
}
