package engineio

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// maxLength is how many digits the length of a packet may have: more than any
// payload needs, few enough for an int.
const maxLength = 10

// BinaryV3 is the content type of payloads in the binary form of version 3.
const BinaryV3 = "application/octet-stream"

// DecodeV3 reads one message of a version 3 websocket (Engine.IO protocol 3,
// "Encoding"): a text as in version 4, but base64 has a type digit; a binary
// message begins with the type as a byte.
func DecodeV3(f packet.Frame) (packet.Unit, error) {
	if f.Binary {
		return binaryV3(f.Data)
	}
	return textV3(f.Data)
}

func binaryV3(b []byte) (packet.Unit, error) {
	if len(b) == 0 || packet.Kind(b[0]) > packet.Noop {
		return packet.Unit{}, packet.Malformed("binary packet of unknown type")
	}
	return packet.Unit{Kind: packet.Kind(b[0]), Binary: true, Data: b[1:]}, nil
}

func textV3(b []byte) (packet.Unit, error) {
	if len(b) == 0 || b[0] != 'b' {
		return decodeText(b)
	}
	if len(b) < 2 || packet.Kind(b[1]-'0') > packet.Noop {
		return packet.Unit{Kind: packet.Noop}, nil // ignored, as in the reference
	}
	data, err := decodeBase64(b[2:])
	return packet.Unit{Kind: packet.Kind(b[1] - '0'), Binary: true, Data: data}, err
}

// DecodePayloadV3 reads the text form of a version 3 payload: packets behind
// their lengths, which count UTF-16 units. repair, if not nil, is given the text
// of every packet and returns what is to be read in its place.
func DecodePayloadV3(body []byte, limit int, repair func([]byte) []byte, yield func(packet.Unit) bool) error {
	if !utf8.Valid(body) {
		return packet.Malformed("payload is not UTF-8")
	}
	if len(body) == 0 {
		return packet.Malformed("empty payload")
	}
	for n := 0; len(body) > 0; n++ {
		if limit > 0 && n >= limit {
			return packet.Malformed("more than %d packets in one payload", limit)
		}
		length, rest, err := decimal(body, ':')
		if err != nil {
			return err
		}
		end, ok := jsontext.UTF16Cut(rest, length)
		if !ok {
			return packet.Malformed("a packet of %d units in a payload of %d bytes", length, len(rest))
		}
		part := rest[:end]
		body = rest[end:]
		if len(part) == 0 {
			continue // the form of an empty payload
		}
		if repair != nil && part[0] != 'b' {
			part = repair(part)
		}
		u, err := textV3(part)
		if err != nil {
			return err
		}
		if !yield(u) {
			return nil
		}
	}
	return nil
}

// decimal reads digits and the byte behind them.
func decimal(b []byte, end byte) (n int, rest []byte, err error) {
	for i, c := range b {
		if c == end && i > 0 {
			return n, b[i+1:], nil
		}
		if c-'0' > 9 || i >= maxLength {
			break
		}
		n = n*10 + int(c-'0')
	}
	return 0, nil, packet.Malformed("no length in front of a packet")
}

// DecodeBinaryPayloadV3 reads the binary form of a version 3 payload: for each
// packet a byte 0 (text) or 1 (binary), the digits of its length in bytes as
// bytes 0 to 9, a byte 255, and the packet.
func DecodeBinaryPayloadV3(body []byte, limit int, yield func(packet.Unit) bool) error {
	if len(body) == 0 {
		return packet.Malformed("empty payload")
	}
	for n := 0; len(body) > 0; n++ {
		if limit > 0 && n >= limit {
			return packet.Malformed("more than %d packets in one payload", limit)
		}
		binary := body[0]
		length, i := 0, 1
		for ; i < len(body) && i <= maxLength && body[i] <= 9; i++ {
			length = length*10 + int(body[i])
		}
		if binary > 1 || i == 1 || i >= len(body) || body[i] != 255 || length > len(body)-i-1 {
			return packet.Malformed("no length in front of a packet")
		}
		part := body[i+1 : i+1+length]
		body = body[i+1+length:]
		var u packet.Unit
		var err error
		switch {
		case binary == 1:
			u, err = binaryV3(part)
		case !utf8.Valid(part):
			err = packet.Malformed("text packet is not UTF-8")
		default:
			u, err = textV3(part)
		}
		if err != nil {
			return err
		}
		if !yield(u) {
			return nil
		}
	}
	return nil
}

// AppendPayloadV3 appends a message of texts in the text form; see PlainV3.
func AppendPayloadV3(dst []byte, m *packet.Message) []byte {
	dst = appendTextV3(dst, m.Data())
	for _, b := range m.Attachments() {
		dst = appendTextV3(dst, b)
	}
	return dst
}

func appendTextV3(dst, text []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(jsontext.UTF16Len(text)), 10), ':')
	return append(dst, text...)
}

// PlainV3 returns m for a client that cannot receive binary. The binary parts of
// a version 3 message begin with their type as a byte; as text they are base64
// behind the type's digit.
func PlainV3(m *packet.Message) *packet.Message {
	if m.Binary() {
		return packet.TextMessage(string(plainV3(m.Data())))
	}
	if len(m.Attachments()) == 0 {
		return m
	}
	plain := packet.TextMessage(string(m.Data()))
	for _, b := range m.Attachments() {
		plain.AttachTexts(plainV3(b))
	}
	return plain
}

func plainV3(part []byte) []byte {
	return base64.StdEncoding.AppendEncode([]byte{'b', '0' + part[0]}, part[1:])
}

// AppendBinaryPayloadV3 appends a message in the binary form.
func AppendBinaryPayloadV3(dst []byte, m *packet.Message) []byte {
	kind := byte(0)
	if m.Binary() {
		kind = 1
	}
	dst = appendPartV3(dst, kind, m.Data())
	for _, b := range m.Attachments() {
		dst = appendPartV3(dst, 1, b)
	}
	return dst
}

func appendPartV3(dst []byte, kind byte, part []byte) []byte {
	dst = append(dst, kind)
	at := len(dst)
	dst = strconv.AppendInt(dst, int64(len(part)), 10)
	for i := at; i < len(dst); i++ {
		dst[i] -= '0'
	}
	return append(append(dst, 255), part...)
}

// Twice reports whether text looks as if it was encoded as UTF-8 twice, and
// returns it encoded once. Clients of Socket.IO 1.x do that, most of them when
// they poll: every character is then below U+0100, and the characters read as
// bytes are UTF-8. plain is set when the text cannot come from such a client.
func Twice(text []byte) (once []byte, plain bool) {
	high := 0
	for high < len(text) && text[high] < utf8.RuneSelf {
		high++
	}
	if high == len(text) {
		return text, false
	}
	once = make([]byte, 0, len(text))
	once = append(once, text[:high]...)
	for i := high; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r > 0xff {
			return text, true
		}
		once = append(once, byte(r))
		i += size
	}
	if !utf8.Valid(once) {
		return text, true
	}
	return once, false
}
