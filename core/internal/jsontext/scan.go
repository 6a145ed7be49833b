package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Split cuts a JSON array into its elements without decoding them, and
// validates all of it on the way: what passes may be sent on to other clients
// as it is. dst is appended to and returned; the elements point into data.
// depth bounds the nesting, the array itself included; 0 means the 10 000 of
// encoding/json.
//
// data must be valid UTF-8; transports check that once for the whole message.
func Split(data []byte, dst []json.RawMessage, depth int) ([]json.RawMessage, error) {
	depth = bound(depth)
	s := scanner{data: data}
	s.space()
	if s.i >= len(data) || data[s.i] != '[' {
		return dst, errors.New("not a JSON array")
	}
	s.i++
	s.space()
	if s.i < len(data) && data[s.i] == ']' {
		s.i++
		return dst, s.end()
	}
	for {
		s.space()
		from := s.i
		if !s.value(depth - 1) {
			return dst, s.fail(depth)
		}
		if len(dst) == cap(dst) && len(dst) >= 64 {
			// Each element left has a comma in front of it: growing once more is
			// enough, where doubling would cost many times what it keeps.
			dst = append(make([]json.RawMessage, 0, len(dst)+1+bytes.Count(data[s.i:], []byte{','})), dst...)
		}
		dst = append(dst, data[from:s.i:s.i])
		s.space()
		if s.i >= len(data) {
			return dst, s.fail(depth)
		}
		c := data[s.i]
		s.i++
		if c == ']' {
			return dst, s.end()
		}
		if c != ',' {
			s.i--
			return dst, s.fail(depth)
		}
	}
}

// maxDepth is the nesting that is allowed where no other bound is given: that of
// encoding/json.
const maxDepth = 10_000

func bound(depth int) int {
	if depth <= 0 {
		return maxDepth
	}
	return depth
}

// Valid reports whether data is one JSON value. depth bounds its nesting as in Split.
func Valid(data []byte, depth int) bool {
	s := scanner{data: data}
	s.space()
	if !s.value(bound(depth)) {
		return false
	}
	return s.end() == nil
}

// Members calls f for each member of a JSON object, in order, with the text of the key, its
// quotes included, and that of the value. It validates data on the way and reports what Valid
// reports; for a value that is no object it does that alone. f is called before what follows the
// member has been looked at.
func Members(data []byte, depth int, f func(key, value []byte)) bool {
	s := scanner{data: data}
	s.space()
	if s.i >= len(data) || data[s.i] != '{' {
		return Valid(data, depth)
	}
	if s.i++; s.closes('}') {
		return s.end() == nil
	}
	for {
		key, ok := s.key()
		from := s.i
		if !ok || !s.value(bound(depth)-1) {
			return false
		}
		f(key, data[from:s.i:s.i])
		if s.closes('}') {
			return s.end() == nil
		}
		if s.i >= len(data) || data[s.i] != ',' {
			return false
		}
		s.i++
	}
}

// scanner walks JSON (RFC 8259). Its recursion is bounded by the depth it is given.
type scanner struct {
	data    []byte
	i       int
	tooDeep bool
}

func (s *scanner) fail(depth int) error {
	if s.tooDeep {
		return fmt.Errorf("JSON nested deeper than %d", depth)
	}
	return fmt.Errorf("invalid JSON at byte %d", s.i)
}

func (s *scanner) end() error {
	s.space()
	if s.i != len(s.data) {
		return errors.New("trailing bytes after the JSON value")
	}
	return nil
}

func (s *scanner) space() {
	for s.i < len(s.data) {
		switch s.data[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) bool {
	if s.i >= len(s.data) {
		return false
	}
	switch c := s.data[s.i]; c {
	case '"':
		return s.str()
	case '{', '[':
		if depth <= 0 {
			s.tooDeep = true
			return false
		}
		return s.compound(c, depth)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

func (s *scanner) compound(open byte, depth int) bool {
	s.i++
	closing := open + 2 // the closing bracket of both forms is two behind in ASCII
	if s.closes(closing) {
		return true
	}
	for {
		if open == '{' {
			if _, ok := s.key(); !ok {
				return false
			}
		} else {
			s.space()
		}
		if !s.value(depth - 1) {
			return false
		}
		if s.closes(closing) {
			return true
		}
		if s.i >= len(s.data) || s.data[s.i] != ',' {
			return false
		}
		s.i++
	}
}

// closes moves over white space, and over a bracket if it stands there.
func (s *scanner) closes(bracket byte) bool {
	s.space()
	if s.i >= len(s.data) || s.data[s.i] != bracket {
		return false
	}
	s.i++
	return true
}

// key moves over the key of a member and its colon, to the value.
func (s *scanner) key() (key []byte, ok bool) {
	s.space()
	from := s.i
	if from >= len(s.data) || s.data[from] != '"' || !s.str() {
		return nil, false
	}
	key = s.data[from:s.i:s.i]
	s.space()
	if s.i >= len(s.data) || s.data[s.i] != ':' {
		return nil, false
	}
	s.i++
	s.space()
	return key, true
}

func (s *scanner) literal(want string) bool {
	if len(s.data)-s.i < len(want) || string(s.data[s.i:s.i+len(want)]) != want {
		return false
	}
	s.i += len(want)
	return true
}

func (s *scanner) number() bool {
	if s.i < len(s.data) && s.data[s.i] == '-' {
		s.i++
	}
	switch {
	case s.i >= len(s.data):
		return false
	case s.data[s.i] == '0':
		s.i++
	case !s.digits():
		return false
	}
	if s.i < len(s.data) && s.data[s.i] == '.' {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if s.i < len(s.data) && s.data[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.data) && (s.data[s.i] == '+' || s.data[s.i] == '-') {
			s.i++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	from := s.i
	for s.i < len(s.data) && s.data[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > from
}

// str passes over a string; s.i is at its opening quote.
func (s *scanner) str() bool {
	i := s.i + 1
	data := s.data
	for {
		i += PlainLen(data[i:])
		if i >= len(data) {
			break
		}
		switch c := data[i]; {
		case c == '"':
			s.i = i + 1
			return true
		case c < 0x20:
			s.i = i
			return false
		}
		// a backslash
		if i+1 >= len(data) {
			break
		}
		switch data[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if i+6 > len(data) {
				s.i = i
				return false
			}
			for _, h := range data[i+2 : i+6] {
				if h-'0' > 9 && h|0x20-'a' > 5 {
					s.i = i
					return false
				}
			}
			i += 6
		default:
			s.i = i
			return false
		}
	}
	s.i = len(data)
	return false
}
