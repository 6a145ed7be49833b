package packet

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync"
	"unicode/utf8"
)

// Headroom is the space that a text Message reserves in front of its text for
// the largest header of a websocket frame that a server sends.
const Headroom = 10

// Message is one packet in the form of one dialect, ready to leave on any
// transport: a text and the binary parts behind it. Messages are immutable and
// shared by all receivers of a broadcast.
//
// The header of the text's websocket frame is written when the Message is made,
// directly in front of the text, so that a websocket sends both as they lie.
type Message struct {
	buf    []byte // headroom, text
	start  int    // where the frame begins in buf
	bins   [][]byte
	binary bool // the first part is binary: buf holds bytes, not text
	texts  bool // bins are texts
	reuse  bool
}

// messages are those that can be used again, by the size of their buffers: up to smallBuffer, and
// then each twice as large as the one before, up to maxPooled. A queue counts the bytes of its
// messages, not those of their buffers, so a small message must not have a large buffer: one of up to
// 4 KiB may have a buffer of as much, which it gets from a message before, and one beyond has a buffer
// of less than twice its size.
var messages [5]sync.Pool

const (
	smallBuffer = 4 << 10
	maxPooled   = smallBuffer << (len(messages) - 1)
)

// class is the pool for messages of n bytes. There is none for those beyond maxPooled.
func class(n int) int {
	if n <= smallBuffer {
		return 0
	}
	return bits.Len(uint(n-1) / smallBuffer)
}

// NewMessage returns a message of size bytes of text, to be filled by fill.
// With reuse the message goes back to a pool once it is sent: it must have one
// receiver only.
func NewMessage(size int, reuse bool, fill func(dst []byte) []byte) *Message {
	m, room := (*Message)(nil), Headroom+size
	if reuse {
		if c := class(room); c < len(messages) {
			m, _ = messages[c].Get().(*Message)
			if c > 0 {
				room = smallBuffer << c
			}
		}
	}
	if m == nil {
		m = new(Message)
	}
	if cap(m.buf) < Headroom+size {
		m.buf = make([]byte, 0, room)
	}
	m.buf = fill(m.buf[:Headroom])
	m.reuse = reuse
	m.start = Headroom - putHeader(m.buf[:Headroom], 0x81, len(m.buf)-Headroom)
	return m
}

// TextMessage returns a message of one text part.
func TextMessage(text string) *Message {
	return NewMessage(len(text), false, func(b []byte) []byte { return append(b, text...) })
}

// ApplicationText returns text of an application as it may leave in a text: bytes
// that are not UTF-8 become U+FFFD, or browsers would close their websocket.
func ApplicationText(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return bytes.ToValidUTF8(text, []byte("\ufffd"))
}

// BinaryMessage returns a message of one binary part, which it copies.
func BinaryMessage(data []byte) *Message {
	m := NewMessage(len(data), false, func(b []byte) []byte { return append(b, data...) })
	m.binary = true
	m.buf[m.start] = 0x82
	return m
}

// Attach adds binary parts behind the text. They are shared, not copied: nobody
// may change them any more. It returns m and must be called before m is sent.
func (m *Message) Attach(parts ...[]byte) *Message {
	m.bins = append(m.bins, parts...)
	return m
}

// AttachTexts is Attach for parts that are texts of their own.
func (m *Message) AttachTexts(parts ...[]byte) *Message {
	m.texts = true
	return m.Attach(parts...)
}

// Release gives a message made with reuse back. The transport that has sent or
// dropped it calls it, once; for a shared message it does nothing.
func (m *Message) Release() {
	if !m.reuse {
		return
	}
	c := class(cap(m.buf))
	if c >= len(messages) || c > 0 && cap(m.buf) != smallBuffer<<c { // fill has needed more than was asked for
		m.buf, c = nil, 0
	}
	m.bins = nil
	m.binary, m.texts = false, false
	messages[c].Put(m)
}

// Binary reports whether the first part is binary.
func (m *Message) Binary() bool { return m.binary }

// Data is the first part of the message.
func (m *Message) Data() []byte { return m.buf[Headroom:] }

// Attachments are the parts behind it, binary unless Texts.
func (m *Message) Attachments() [][]byte { return m.bins }

// Texts reports whether the attachments are texts.
func (m *Message) Texts() bool { return m.texts }

// Size is the number of bytes that the message costs in a queue: its parts and
// the websocket headers in front of them.
func (m *Message) Size() int {
	n := len(m.buf) - m.start
	for _, b := range m.bins {
		n += Headroom + len(b)
	}
	return n
}

// AppendFrames appends the message as websocket frames (RFC 6455, section 5.2), unmasked.
func (m *Message) AppendFrames(dst []byte) []byte {
	dst = append(dst, m.buf[m.start:]...)
	first := byte(0x82)
	if m.texts {
		first = 0x81
	}
	for _, b := range m.bins {
		dst = AppendHeader(dst, first, len(b))
		dst = append(dst, b...)
	}
	return dst
}

// Frames returns the websocket frames of a message without attachments as they
// lie in memory, and false when they do not lie in one piece.
func (m *Message) Frames() ([]byte, bool) {
	if len(m.bins) > 0 {
		return nil, false
	}
	return m.buf[m.start:], true
}

// AppendHeader appends the header of an unmasked websocket frame whose first
// byte (FIN, RSV and opcode) is b0.
func AppendHeader(dst []byte, b0 byte, n int) []byte {
	switch {
	case n < 126:
		return append(dst, b0, byte(n))
	case n < 1<<16:
		return append(dst, b0, 126, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, b0, 127), uint64(n))
	}
}

// putHeader writes a header so that it ends where dst ends, and returns its length.
func putHeader(dst []byte, b0 byte, n int) int {
	var a [Headroom]byte
	h := AppendHeader(a[:0], b0, n)
	copy(dst[len(dst)-len(h):], h)
	return len(h)
}
