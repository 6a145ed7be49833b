// Package msgpack turns JSON text with placeholders, and the attachments that belong to it,
// into msgpack, and back, without values in between. It writes what the packages of Node
// read, and reads what they write: see [Dialect].
package msgpack

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

// Dialect is a package of Node that reads what is written. What the three read from JSON
// differs in one point, the key "__proto__", which AppendJSON handles.
type Dialect uint8

// The dialects.
const (
	// Notepack3 is notepack.io 3: adapters and emitters for Redis.
	Notepack3 Dialect = iota
	// Msgpack2 is @msgpack/msgpack 2: adapters for Redis streams and for Postgres.
	Msgpack2
	// Notepack2 is notepack.io 2: socket.io-msgpack-parser on the connections of clients.
	Notepack2
)

// The bounds of what is written and read.
const (
	// MaxDepth bounds the nesting of arrays and maps: the readers of Node recurse.
	MaxDepth = 512
	// MaxAttachments bounds the binary values that one call of AppendJSON writes or reads.
	MaxAttachments = 65_535
)

var (
	errTruncated = errors.New("msgpack: truncated")
	errTrailing  = errors.New("msgpack: trailing bytes")
	errDeep      = errors.New("msgpack: nested too deep")
	errText      = errors.New("msgpack: not valid JSON")
	errCount     = errors.New("msgpack: too many attachments")
	// ErrProto: Node would lose the value, or end, because of a key "__proto__".
	ErrProto = errors.New(`msgpack: the key "__proto__" cannot be sent to Node here`)
	// ErrPlaceholder: beside attachments there is an object with the key "_placeholder"
	// that is not the placeholder of one of them.
	ErrPlaceholder = errors.New(`msgpack: an object with the key "_placeholder" cannot travel beside binary`)
)

// AppendNil appends nil.
func AppendNil(b []byte) []byte { return append(b, 0xc0) }

// AppendBool appends a bool.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

// AppendUint appends an integer in its smallest form.
func AppendUint(b []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return append(b, 0xcd, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

// AppendInt appends an integer in its smallest form, which has no sign from zero on.
func AppendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return AppendUint(b, uint64(v))
	case v >= -0x20:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16:
		return append(b, 0xd1, byte(v>>8), byte(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

// AppendFloat appends a number: as an integer when it is one that a float64 holds exactly,
// nil when it is none that JSON knows.
func AppendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return AppendNil(b)
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return AppendInt(b, int64(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(v))
}

// AppendString appends a text. Bytes that are not UTF-8 become U+FFFD.
func AppendString[T string | []byte](b []byte, s T) []byte {
	at := len(b)
	b = append(appendStringHead(b, len(s)), s...)
	if utf8.Valid(b[len(b)-len(s):]) {
		return b
	}
	return appendHeaded(b[:at], appendRepaired(nil, s))
}

// appendHeaded is AppendString for text that is UTF-8.
func appendHeaded(b, s []byte) []byte { return append(appendStringHead(b, len(s)), s...) }

// appendRepaired appends text with U+FFFD for each byte that is not UTF-8.
func appendRepaired[T string | []byte](b []byte, s T) []byte {
	for _, r := range string(s) {
		b = utf8.AppendRune(b, r)
	}
	return b
}

func appendStringHead(b []byte, n int) []byte {
	switch {
	case n < 0x20:
		return append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xd9, byte(n))
	}
	return appendWide(b, 0xda, n)
}

// AppendBytes appends binary.
func AppendBytes(b, v []byte) []byte {
	if n := len(v); n <= math.MaxUint8 {
		b = append(b, 0xc4, byte(n))
	} else {
		b = appendWide(b, 0xc5, n)
	}
	return append(b, v...)
}

// AppendArray appends the head of an array of n elements, which follow.
func AppendArray(b []byte, n int) []byte {
	if n < 0x10 {
		return append(b, 0x90|byte(n))
	}
	return appendWide(b, 0xdc, n)
}

// AppendMap appends the head of a map of n members; a key and a value follow for each.
func AppendMap(b []byte, n int) []byte {
	if n < 0x10 {
		return append(b, 0x80|byte(n))
	}
	return appendWide(b, 0xde, n)
}

// appendWide appends a head with a length of 16 bits, or of 32 bits and the next code.
func appendWide(b []byte, code byte, n int) []byte {
	if n <= math.MaxUint16 {
		return append(b, code, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, code+1), uint32(n))
}

// insertHead puts a head in front of what begins at at.
func insertHead(b []byte, at int, head []byte) []byte {
	n := len(b)
	b = append(b, head...)
	copy(b[at+len(head):], b[at:n])
	copy(b[at:], head)
	return b
}

// repaired is text with U+FFFD for what is not UTF-8; text itself when all of it is.
func repaired(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return appendRepaired(nil, text)
}
