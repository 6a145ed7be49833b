// Package engineio holds the framings of Engine.IO, one file a protocol version:
// how units become the messages of a websocket and the bodies of a poll.
// It is stateless.
package engineio

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/packet"
)

// separator stands between the packets of a version 4 payload.
const separator = 0x1e

// DecodeV4 reads one message of a version 4 websocket (Engine.IO protocol 4,
// "Packet encoding"): a text is the digit of its type and data, or the base64
// of a client that cannot send binary; a binary message is a message unit as it is.
func DecodeV4(f packet.Frame) (packet.Unit, error) {
	if f.Binary {
		return packet.Unit{Kind: packet.MessageUnit, Binary: true, Data: f.Data}, nil
	}
	return decodePart(f.Data)
}

func decodeText(b []byte) (packet.Unit, error) {
	if len(b) == 0 {
		return packet.Unit{}, packet.Malformed("empty packet")
	}
	kind := packet.Kind(b[0] - '0')
	if kind > packet.Noop {
		return packet.Unit{}, packet.Malformed("unknown packet type %q", b[0])
	}
	return packet.Unit{Kind: kind, Data: b[1:]}, nil
}

// DecodePayloadV4 reads the body of a version 4 polling request and calls yield
// for each unit until it returns false. limit bounds the number of packets; a
// body that holds more is refused before the first is yielded. The units before
// a malformed one are yielded, as in the reference server.
func DecodePayloadV4(body []byte, limit int, yield func(packet.Unit) bool) error {
	if limit > 0 && bytes.Count(body, []byte{separator}) >= limit {
		return packet.Malformed("more than %d packets in one payload", limit)
	}
	if !utf8.Valid(body) {
		return packet.Malformed("payload is not UTF-8")
	}
	for {
		part, rest, more := bytes.Cut(body, []byte{separator})
		u, err := decodePart(part)
		if err != nil {
			return err
		}
		if !yield(u) || !more {
			return nil
		}
		body = rest
	}
}

func decodePart(part []byte) (packet.Unit, error) {
	if len(part) == 0 || part[0] != 'b' {
		return decodeText(part)
	}
	data, err := decodeBase64(part[1:])
	if err != nil {
		return packet.Unit{}, err
	}
	return packet.Unit{Kind: packet.MessageUnit, Binary: true, Data: data}, nil
}

// decodeBase64 reads the base64 of clients in all the forms that encoders have: with
// or without padding, in the usual or the URL alphabet, with white space in between.
// Node skips every other character too. Here it is an error: nobody means it.
func decodeBase64(text []byte) ([]byte, error) {
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text))+3)
	if n, err := base64.StdEncoding.Decode(data, text); err == nil { // it skips line ends
		return data[:n], nil
	}
	plain := make([]byte, 0, len(text))
	for _, c := range text {
		switch c {
		case '\r', '\n', ' ', '\t', '\v', '\f':
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		plain = append(plain, c)
	}
	if len(plain) == 0 {
		return plain, nil
	}
	for range 2 { // what there is of padding
		plain = bytes.TrimSuffix(plain, []byte{'='})
	}
	n, err := base64.RawStdEncoding.Decode(data, plain)
	if err != nil || n == 0 {
		return nil, packet.Malformed("invalid base64")
	}
	return data[:n], nil
}

// AppendPayloadV4 appends a message to a version 4 payload. Binary parts become
// base64 without a type digit.
func AppendPayloadV4(dst []byte, m *packet.Message) []byte {
	if m.Binary() {
		dst = appendBinary(dst, m.Data())
	} else {
		if len(dst) > 0 {
			dst = append(dst, separator)
		}
		dst = append(dst, m.Data()...)
	}
	for _, b := range m.Attachments() {
		dst = appendBinary(dst, b)
	}
	return dst
}

func appendBinary(dst, b []byte) []byte {
	if len(dst) > 0 {
		dst = append(dst, separator)
	}
	return base64.StdEncoding.AppendEncode(append(dst, 'b'), b)
}
