package cluster

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Parse reads what Append has written, into m: the fields that the kind does not use are
// zero. It takes the memory of m's lists, unless they are long, and of its texts where they
// are the same as before. Data, the Data and Handshake of Sockets, and Attachments point
// into b.
//
// Whatever b is, Parse does not panic, and takes no more memory than some forty bytes for
// each byte of b. An error says what is wrong, and m is then of no use. Which attachment a
// placeholder in Data means is not looked at.
func Parse(b []byte, m *Message) error {
	switch {
	case len(b) < 3:
		return fmt.Errorf("%w: %d bytes", errMalformed, len(b))
	case len(b) > maxMessage:
		return fmt.Errorf("%w: more than %d bytes", errMalformed, maxMessage)
	case b[0] != version:
		return fmt.Errorf("cluster: a message of version %d; version %d is known", b[0], version)
	case b[1] == 0 || int(b[1]) >= len(kinds):
		return fmt.Errorf("cluster: a message of unknown %v", Kind(b[1]))
	}
	r := reader{rest: b[3:]}
	old := *m
	*m = Message{Kind: Kind(b[1]), Rooms: kept(old.Rooms), Except: kept(old.Except), Names: kept(old.Names),
		Attachments: kept(old.Attachments), Sockets: kept(old.Sockets)}
	if r.message(m, &old, kinds[m.Kind].parts, b[2]); r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes too many", len(r.rest))
	}
	if r.err != nil {
		return fmt.Errorf("%w of kind %v: %w", errMalformed, m.Kind, r.err)
	}
	return nil
}

// keptLen is how long a list may be that is used again: one large message must not hold its
// memory for ever.
const keptLen = 1024

func kept[T any](list []T) []T {
	if cap(list) > keptLen {
		return nil
	}
	return list[:0]
}

// sized is a list of n elements, in the memory of one that is empty now when it is enough.
func sized[T any](list []T, n int) []T {
	if n <= cap(list) {
		return list[:n]
	}
	return make([]T, n)
}

type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) message(m, old *Message, has parts, flags byte) {
	allowed := byte(0)
	if has&hasEmit != 0 {
		allowed |= flagVolatile | flagSingle
	}
	if has&hasOnly != 0 {
		allowed |= flagOnly
	}
	if has&hasWhole != 0 {
		allowed |= flagPart
	}
	if flags&^allowed != 0 {
		r.fail("the flags %#x", flags)
	}
	m.Volatile, m.Single, m.OnlyIDs = flags&flagVolatile != 0, flags&flagSingle != 0, flags&flagOnly != 0
	m.Node = r.text(old.Node)
	m.To = r.text(old.To)
	m.Namespace = r.text(old.Namespace)
	m.ID = r.text(old.ID)
	if has&hasTarget != 0 {
		m.Rooms = r.texts(m.Rooms)
		m.Except = r.texts(m.Except)
	}
	if has&hasEmit != 0 {
		m.Timeout = time.Duration(r.count(math.MaxInt64))
	}
	if has&hasNames != 0 {
		m.Names = r.texts(m.Names)
	}
	if has&hasData != 0 {
		m.Data = r.bytes()
		if err := checkData(m.Data, has); err != nil {
			r.fail("%w", err)
		}
		n := r.listed(maxAttachments, 1)
		m.Attachments = sized(m.Attachments, n)[:0]
		for i := 0; i < n && r.err == nil; i++ {
			m.Attachments = append(m.Attachments, r.bytes())
		}
	}
	if has&hasSockets != 0 {
		r.sockets(m)
	}
	if has&hasNumber != 0 || flags&flagPart != 0 {
		m.Number = int(r.count(math.MaxInt))
	}
	if flags&flagPart != 0 && m.Number <= len(m.Sockets) {
		r.fail("%d sockets are a part of %d", len(m.Sockets), m.Number)
	}
	if has&hasInfo != 0 {
		m.Info = r.text(old.Info)
	}
}

func (r *reader) sockets(m *Message) {
	n := r.listed(maxListed, 4) // each has an id, a list and two texts, at least their lengths
	m.Sockets = sized(m.Sockets, n)
	for i := 0; i < n && r.err == nil; i++ {
		s := &m.Sockets[i]
		s.ID = r.text(s.ID)
		s.Rooms = r.texts(s.Rooms[:0])
		s.Data, s.Handshake = r.json(), r.json()
	}
}

// json reads JSON that may be missing.
func (r *reader) json() []byte {
	text := r.bytes()
	if len(text) == 0 {
		return nil
	}
	if err := checkJSON(text); err != nil {
		r.fail("a socket: %w", err)
	}
	return text
}

func (r *reader) count(most uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.fail("a number is truncated or too large")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// listed reads the count of a list whose elements take so many bytes at least.
func (r *reader) listed(most, least int) int {
	n := int(r.count(uint64(most)))
	if n*least > len(r.rest) {
		r.fail("a list of %d in %d bytes", n, len(r.rest))
		return 0
	}
	return n
}

func (r *reader) bytes() []byte { return r.take(maxMessage) }

func (r *reader) take(most uint64) []byte {
	n := r.count(most)
	if n > uint64(len(r.rest)) {
		r.fail("truncated")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// text reads a text. When it is the one of before, that one is kept.
func (r *reader) text(before string) string {
	if b := r.take(maxText); string(b) != before {
		return string(b)
	}
	return before
}

// texts reads a list into the memory of one that is empty now.
func (r *reader) texts(list []string) []string {
	n := r.listed(maxListed, 1)
	list = sized(list, n)
	for i := 0; i < n && r.err == nil; i++ {
		list[i] = r.text(list[i])
	}
	return list
}
