package socketio

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// The digits of revision 1, the protocol of Socket.IO 0.7 to 0.9.
const (
	rev1Disconnect = '0'
	rev1Connect    = '1'
	rev1Heartbeat  = '2'
	rev1Message    = '3'
	rev1JSON       = '4'
	rev1Event      = '5'
	rev1Ack        = '6'
	rev1Error      = '7'
	rev1Noop       = '8'
)

// The reasons and the one advice of an error packet in revision 1.
const (
	Rev1NotHandshaken = "1"
	Rev1Unauthorized  = "2"
	Rev1Reconnect     = "1+0" // not handshaken; the advice is to connect again
)

// AppendRev1 appends the text of p in revision 1: type, id, endpoint and data
// between colons. A server's own questions always ask for an answer of the
// application (a plus sign behind the id): clients answer nothing else.
// Attachments travel as base64 strings: the revision has no binary.
func AppendRev1(dst []byte, p *packet.Packet) []byte {
	data := []byte(p.Data)
	if len(p.Attachments) > 0 {
		data = jsontext.Inline(data, p.Attachments)
	}
	switch p.Type {
	case packet.Connect:
		return head(dst, rev1Connect, p)
	case packet.Disconnect:
		return head(dst, rev1Disconnect, p)
	case packet.ConnectError:
		return append(append(head(dst, rev1Error, p), ':'), Rev1Unauthorized...)
	case packet.Failure:
		return failureRev1(dst, p)
	case packet.Ack:
		q := *p
		q.HasID = false
		dst = append(head(dst, rev1Ack, &q), ':')
		dst = strconv.AppendUint(dst, p.ID, 10)
		if inner := bytes.TrimSpace(data); len(inner) > 2 { // more than []
			dst = append(append(dst, '+'), inner...)
		}
		return dst
	case packet.Text, packet.JSON:
		arg := restOfArray(data)
		if p.Type == packet.Text && len(arg) > 1 && arg[0] == '"' {
			dst = head(dst, rev1Message, p)
			if text := jsontext.Unquote(arg); len(text) > 0 {
				dst = append(append(dst, ':'), text...)
			}
			return dst
		}
		return append(append(head(dst, rev1JSON, p), ':'), arg...)
	}
	return appendEventObject(append(head(dst, rev1Event, p), ':'), data)
}

// appendEventObject appends the array of an event as an object of name and args.
func appendEventObject(dst, array []byte) []byte {
	name, rest := cutName(array)
	dst = append(append(dst, `{"name":`...), name...)
	if len(rest) > 0 {
		dst = append(append(append(dst, `,"args":[`...), rest...), ']')
	}
	return append(dst, '}')
}

// head appends type, id and endpoint.
func head(dst []byte, digit byte, p *packet.Packet) []byte {
	dst = append(dst, digit, ':')
	if p.HasID {
		dst = append(strconv.AppendUint(dst, p.ID, 10), '+')
	}
	dst = append(dst, ':')
	if p.Namespace != "/" {
		dst = append(dst, p.Namespace...)
	}
	return dst
}

// failureRev1 writes what gevent-socketio sends when an event has failed: an event
// "error" with a name and a text. Without either the namespace is not joined.
func failureRev1(dst []byte, p *packet.Packet) []byte {
	if p.Data == nil {
		return append(append(head(dst, rev1Error, p), ':'), Rev1NotHandshaken...)
	}
	var e struct{ Code, Message string }
	_ = json.Unmarshal(p.Data, &e) // our own encoder wrote it
	args, _ := json.Marshal([]string{e.Code, e.Message})
	dst = append(head(dst, rev1Event, p), `:{"name":"error","args":`...)
	return append(append(dst, args...), '}')
}

// cutName splits the array of an event into the name's JSON and the rest.
func cutName(data []byte) (name, rest []byte) {
	if len(data) < 2 {
		return []byte(`""`), nil
	}
	end := len(data)
	if data[1] == '"' {
		end = jsontext.SkipString(data, 1)
	}
	return data[1:end], restOfArray(data)
}

// restOfArray is what an event's array, as our encoder writes it, holds behind
// the name and its comma.
func restOfArray(data []byte) []byte {
	if len(data) < 2 || data[1] != '"' {
		return nil
	}
	end := jsontext.SkipString(data, 1)
	if end >= len(data) || data[end] != ',' {
		return nil
	}
	return data[end+1 : len(data)-1]
}

// Rev1Decoder decodes the packets of one connection in revision 1.
type Rev1Decoder struct {
	limits *packet.Limits
	p      packet.Packet
	lastNS string
}

// NewRev1Decoder returns a decoder that keeps limits.
func NewRev1Decoder(limits *packet.Limits) *Rev1Decoder { return &Rev1Decoder{limits: limits} }

// Binary implements packet.Decoder: there is no binary in revision 1.
func (d *Rev1Decoder) Binary([]byte) (*packet.Packet, error) {
	return nil, packet.Malformed("binary in revision 1")
}

// Text implements packet.Decoder. A heartbeat or a noop is a packet of the
// transport and does not come here.
func (d *Rev1Decoder) Text(data []byte) (*packet.Packet, error) {
	p := &d.p
	*p = packet.Packet{Namespace: "/", Args: p.Args[:0]}
	if string(data) == "0" { // the specification's short form
		p.Type = packet.Disconnect
		return p, nil
	}
	kind, rest, ok := bytes.Cut(data, []byte{':'})
	id, rest, ok2 := bytes.Cut(rest, []byte{':'})
	if !ok || !ok2 || len(kind) != 1 {
		return nil, packet.Malformed("not type:id:endpoint:data")
	}
	endpoint, body, hasBody := bytes.Cut(rest, []byte{':'})
	if err := d.endpoint(p, endpoint); err != nil {
		return nil, err
	}
	if err := d.id(p, id); err != nil {
		return nil, err
	}
	switch kind[0] {
	case rev1Disconnect:
		p.Type = packet.Disconnect
		return p, nil
	case rev1Connect:
		p.Type = packet.Connect
		query, ok := strings.CutPrefix(string(body), "?")
		if !ok {
			return p, nil
		}
		return p, setQuery(p, query, d.limits)
	case rev1Message:
		p.Type = packet.Text
		return p, d.argument(p, quote(body))
	case rev1JSON:
		p.Type = packet.JSON
		if !jsontext.Valid(body, d.limits.Depth) {
			return nil, packet.Malformed("the data of a json packet is not JSON")
		}
		return p, d.argument(p, body)
	case rev1Event:
		p.Type = packet.Event
		return p, d.event(p, body)
	case rev1Ack:
		p.Type = packet.Ack
		return p, d.ack(p, body, hasBody)
	case rev1Error, rev1Noop, rev1Heartbeat:
		return nil, packet.Malformed("a packet of type %q is the server's or the transport's", kind)
	}
	return nil, packet.Malformed("unknown packet type %q", kind)
}

func (d *Rev1Decoder) endpoint(p *packet.Packet, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if d.limits.Namespace > 0 && len(b) > d.limits.Namespace {
		return packet.Malformed("endpoint of %d bytes", len(b))
	}
	if d.lastNS != string(b) {
		d.lastNS = string(b)
	}
	p.Namespace = d.lastNS
	return nil
}

// id reads an id: with a plus sign the application answers, without the server does.
func (d *Rev1Decoder) id(p *packet.Packet, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	digits, app := bytes.CutSuffix(b, []byte{'+'})
	rest, err := ackID(p, digits)
	if err != nil {
		return err
	}
	if !p.HasID || len(rest) > 0 {
		return packet.Malformed("the id is not a number")
	}
	p.Bare = !app
	return nil
}

// argument makes p the event "message" with one argument.
func (d *Rev1Decoder) argument(p *packet.Packet, arg []byte) error {
	p.Name = messageName
	p.Args = append(p.Args[:0], arg)
	return nil
}

var messageName = []byte("message")

// quote returns text as JSON.
func quote(text []byte) []byte {
	return jsontext.AppendString(make([]byte, 0, len(text)+2), text)
}

// event reads {"name":..., "args":[...]}, in any order.
func (d *Rev1Decoder) event(p *packet.Packet, body []byte) error {
	// Keys in the spelling of the protocol alone, and the last of two, as in clients.
	var name, args []byte
	valid := jsontext.Members(body, d.limits.Depth, func(key, value []byte) {
		switch string(jsontext.Unquote(key)) {
		case "name":
			name = value
		case "args":
			args = value
		}
	})
	if !valid {
		return packet.Malformed("the data of an event is not JSON")
	}
	if len(name) < 2 || name[0] != '"' {
		return packet.Malformed("an event without a name")
	}
	p.Name = jsontext.Unquote(name)
	if d.limits.EventName > 0 && len(p.Name) > d.limits.EventName {
		return packet.Malformed("event name of %d bytes", len(p.Name))
	}
	if reserved(p.Name) {
		return packet.Malformed("reserved event name %q", p.Name)
	}
	if args == nil || string(args) == "null" {
		return nil
	}
	p.Data = args
	return split(p, d.limits)
}

// ack reads id, and behind the first plus sign the arguments.
func (d *Rev1Decoder) ack(p *packet.Packet, body []byte, hasBody bool) error {
	p.HasID, p.Bare, p.ID = false, false, 0
	if !hasBody {
		return packet.Malformed("an ack of nothing")
	}
	digits, args, has := bytes.Cut(body, []byte{'+'})
	rest, err := ackID(p, digits)
	if err != nil {
		return err
	}
	if !p.HasID || len(rest) > 0 {
		return packet.Malformed("the id of an ack is not a number")
	}
	if !has {
		return nil
	}
	p.Data = args
	return split(p, d.limits)
}

// separator1 encloses the length in front of each packet of a payload.
const separator1 = "\ufffd"

// AppendPayloadRev1 appends packets as one payload of revision 1: a single one
// as it is, several each behind its length in UTF-16 units.
func AppendPayloadRev1(dst []byte, ms []*packet.Message) []byte {
	if len(ms) == 1 {
		return append(dst, ms[0].Data()...)
	}
	for _, m := range ms {
		dst = append(dst, separator1...)
		dst = strconv.AppendInt(dst, int64(jsontext.UTF16Len(m.Data())), 10)
		dst = append(append(dst, separator1...), m.Data()...)
	}
	return dst
}

// SinglePayloadRev1 reports whether a payload of revision 1 is one packet as it is.
func SinglePayloadRev1(body []byte) bool { return !bytes.HasPrefix(body, []byte(separator1)) }

// DecodePayloadRev1 reads a payload of revision 1 and calls yield for each
// packet until it returns false. limit bounds their number.
func DecodePayloadRev1(body []byte, limit int, yield func([]byte) bool) error {
	if !utf8.Valid(body) {
		return packet.Malformed("payload is not UTF-8")
	}
	if SinglePayloadRev1(body) {
		yield(body)
		return nil
	}
	return framed(body, separator1, limit, yield)
}

// framed calls yield for each packet of a payload, which stands behind its
// length in UTF-16 units between two marks, until it returns false. limit bounds
// their number. body is valid UTF-8.
func framed(body []byte, mark string, limit int, yield func([]byte) bool) error {
	for n := 0; len(body) > 0; n++ {
		if limit > 0 && n >= limit {
			return packet.Malformed("more than %d packets in one payload", limit)
		}
		rest, ok := bytes.CutPrefix(body, []byte(mark))
		digits, rest, ok2 := bytes.Cut(rest, []byte(mark))
		length, err := strconv.ParseUint(string(digits), 10, 31)
		if !ok || !ok2 || err != nil {
			return packet.Malformed("no length in front of a packet")
		}
		end, ok := jsontext.UTF16Cut(rest, int(length))
		if !ok {
			return packet.Malformed("a packet of %d units in a payload of %d bytes", length, len(rest))
		}
		if !yield(rest[:end]) {
			return nil
		}
		body = rest[end:]
	}
	return nil
}
