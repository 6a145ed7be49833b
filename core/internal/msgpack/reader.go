package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Kind is the kind of a value.
type Kind uint8

// The kinds. None stands for the end, and for what is no msgpack.
const (
	None Kind = iota
	Nil
	Bool
	Uint
	Int // negative
	Float
	String
	Bytes
	Array
	Map
	Ext
)

var kindNames = [...]string{"nothing", "nil", "a bool", "an integer", "an integer", "a float", "a text", "binary", "an array", "a map", "an extension"}

// String is the kind as it stands in errors.
func (k Kind) String() string { return kindNames[k] }

// Reader reads msgpack in order. After an error all of its methods return zero values: the
// caller asks for Err, or End, when it has read. What it returns points into the input.
// The zero value is at its end.
type Reader struct {
	data    []byte
	at      int
	err     error
	scratch [32]byte
}

// NewReader returns a reader of data.
func NewReader(data []byte) Reader { return Reader{data: data} }

// head is the first bytes of a value.
type head struct {
	kind Kind
	n    uint64 // a number's bits, a length, a count
	ext  int8
}

// form says what follows a code from 0xc0 to 0xdf: so many bytes of a number, and so many
// bytes of an extension whose length the code tells.
type form struct {
	kind  Kind
	bytes uint8
	fixed uint8
}

var forms = [32]form{
	{kind: Nil}, {kind: None}, {kind: Bool}, {kind: Bool},
	{Bytes, 1, 0}, {Bytes, 2, 0}, {Bytes, 4, 0},
	{Ext, 1, 0}, {Ext, 2, 0}, {Ext, 4, 0},
	{Float, 4, 0}, {Float, 8, 0},
	{Uint, 1, 0}, {Uint, 2, 0}, {Uint, 4, 0}, {Uint, 8, 0},
	{Int, 1, 0}, {Int, 2, 0}, {Int, 4, 0}, {Int, 8, 0},
	{Ext, 0, 1}, {Ext, 0, 2}, {Ext, 0, 4}, {Ext, 0, 8}, {Ext, 0, 16},
	{String, 1, 0}, {String, 2, 0}, {String, 4, 0},
	{Array, 2, 0}, {Array, 4, 0},
	{Map, 2, 0}, {Map, 4, 0},
}

// head reads the head of a value, and checks that what it announces can be there.
func (r *Reader) head() (h head) {
	if r.err != nil {
		return head{}
	}
	if r.at >= len(r.data) {
		r.err = errTruncated
		return head{}
	}
	c := r.data[r.at]
	r.at++
	switch {
	case c < 0x80:
		return head{kind: Uint, n: uint64(c)}
	case c >= 0xe0:
		return head{kind: Int, n: uint64(int64(int8(c)))}
	case c < 0x90:
		h = head{kind: Map, n: uint64(c & 0x0f)}
	case c < 0xa0:
		h = head{kind: Array, n: uint64(c & 0x0f)}
	case c < 0xc0:
		h = head{kind: String, n: uint64(c & 0x1f)}
	default:
		h = r.wide(c)
	}
	left := uint64(len(r.data) - r.at)
	switch h.kind {
	case String, Bytes, Ext, Array:
		if h.n > left {
			r.err = errTruncated
		}
	case Map:
		if 2*h.n > left {
			r.err = errTruncated
		}
	}
	if r.err != nil {
		return head{}
	}
	return h
}

// wide is head for the codes from 0xc0 on.
func (r *Reader) wide(c byte) (h head) {
	f := forms[c-0xc0]
	h = head{kind: f.kind, n: uint64(f.fixed)}
	if f.kind == None {
		r.err = fmt.Errorf("msgpack: the code %#x at byte %d", c, r.at-1)
		return h
	}
	if f.kind == Bool {
		h.n = uint64(c & 1)
	}
	rest := r.data[r.at:]
	if len(rest) < int(f.bytes) {
		r.err = errTruncated
		return h
	}
	switch f.bytes {
	case 1:
		h.n = uint64(rest[0])
	case 2:
		h.n = uint64(binary.BigEndian.Uint16(rest))
	case 4:
		h.n = uint64(binary.BigEndian.Uint32(rest))
	case 8:
		h.n = binary.BigEndian.Uint64(rest)
	}
	r.at += int(f.bytes)
	switch {
	case f.kind == Ext:
		if r.at >= len(r.data) {
			r.err = errTruncated
			return h
		}
		h.ext = int8(r.data[r.at])
		r.at++
	case f.kind == Float && f.bytes == 4:
		h.n = math.Float64bits(float64(math.Float32frombits(uint32(h.n))))
	case f.kind == Int:
		shift := 64 - 8*uint(f.bytes)
		v := int64(h.n<<shift) >> shift
		if h.n = uint64(v); v >= 0 {
			h.kind = Uint
		}
	}
	return h
}

// take returns the next n bytes, which head has seen to be there.
func (r *Reader) take(n uint64) []byte {
	from := r.at
	r.at += int(n)
	return r.data[from:r.at:r.at]
}

// want reads the head of a value of one kind.
func (r *Reader) want(k Kind) head {
	at := r.at
	h := r.head()
	if h.kind != k && r.err == nil {
		r.err = fmt.Errorf("msgpack: %v at byte %d instead of %v", h.kind, at, k)
	}
	if r.err != nil {
		return head{}
	}
	return h
}

// Kind is the kind of the next value. It moves nowhere, and makes no error.
func (r *Reader) Kind() Kind {
	peek := Reader{data: r.data, at: r.at, err: r.err}
	return peek.head().kind
}

// Array reads the head of an array and returns the number of its elements, which are next.
// There are not more of them than bytes left.
func (r *Reader) Array() int { return int(r.want(Array).n) }

// Map reads the head of a map and returns the number of its members: a key and a value
// for each are next. There are not more of them than half of the bytes left.
func (r *Reader) Map() int { return int(r.want(Map).n) }

// String reads a text, as it is: it may be no UTF-8.
func (r *Reader) String() []byte { return r.take(r.want(String).n) }

// Bytes reads binary.
func (r *Reader) Bytes() []byte { return r.take(r.want(Bytes).n) }

// Bool reads a bool.
func (r *Reader) Bool() bool { return r.want(Bool).n == 1 }

// Uint reads an integer that is not negative.
func (r *Reader) Uint() uint64 { return r.want(Uint).n }

// Text reads a text, repaired to UTF-8, or a number as its decimal text: what Node makes of
// a key, and what siokit makes of a room. It is valid until the next call.
func (r *Reader) Text() []byte {
	at := r.at
	switch h := r.head(); h.kind {
	case String:
		return repaired(r.take(h.n))
	case Uint:
		return strconv.AppendUint(r.scratch[:0], h.n, 10)
	case Int:
		return strconv.AppendInt(r.scratch[:0], int64(h.n), 10)
	case Float:
		f := math.Float64frombits(h.n)
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			return appendFloat(r.scratch[:0], f)
		}
		r.err = errors.New("msgpack: a text that is no finite number")
	default:
		if r.err == nil {
			r.err = fmt.Errorf("msgpack: %v at byte %d instead of a text", h.kind, at)
		}
	}
	return nil
}

// Raw moves over a value of any kind and returns its bytes.
func (r *Reader) Raw() []byte {
	from := r.at
	for left := uint64(1); left > 0; left-- {
		h := r.head()
		switch h.kind {
		case None:
			return nil
		case String, Bytes, Ext:
			r.at += int(h.n)
		case Array:
			left += h.n
		case Map:
			left += 2 * h.n
		}
		if left-1 > uint64(len(r.data)-r.at) {
			r.err = errTruncated
			return nil
		}
	}
	return r.data[from:r.at:r.at]
}

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// End is the first error; there is one, too, when not all was read.
func (r *Reader) End() error {
	if r.err == nil && r.at < len(r.data) {
		r.err = errTrailing
	}
	return r.err
}
