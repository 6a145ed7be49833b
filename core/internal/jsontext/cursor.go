package jsontext

import "encoding/json"

// Cursor walks JSON text that Split or Valid has accepted, in one pass and
// without decoding it. It must stand at the first byte of a value when a method
// is called, and stands behind that value afterwards. On text that is not valid
// JSON it stops somewhere inside the text.
type Cursor struct {
	Data []byte
	At   int // the next byte
}

// Space moves over white space.
func (c *Cursor) Space() {
	for c.At < len(c.Data) {
		switch c.Data[c.At] {
		case ' ', '\t', '\r', '\n':
			c.At++
		default:
			return
		}
	}
}

// Kind moves over white space and returns the first byte of the value there,
// which tells its kind: { [ " t f n, or the start of a number. 0: there is none.
func (c *Cursor) Kind() byte {
	c.Space()
	if c.At >= len(c.Data) {
		return 0
	}
	return c.Data[c.At]
}

// Skip moves over a value of any kind and returns its text.
func (c *Cursor) Skip() json.RawMessage {
	c.Space()
	from := c.At
	for depth := 0; c.At < len(c.Data); {
		switch c.Data[c.At] {
		case '"':
			c.At = SkipString(c.Data, c.At)
		case '{', '[':
			depth++
			c.At++
			continue
		case '}', ']':
			depth--
			c.At++
		case ',', ':', ' ', '\t', '\r', '\n':
			c.At++
			continue
		default: // a number or a literal
			for c.At < len(c.Data) && !delimiter(c.Data[c.At]) {
				c.At++
			}
		}
		if depth <= 0 {
			break
		}
	}
	c.At = min(c.At, len(c.Data))
	return c.Data[from:c.At:c.At]
}

func delimiter(b byte) bool {
	switch b {
	case ',', ':', ']', '}', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// Object calls member for every member of an object, with the key's text, its
// quotes included. The cursor then stands at the member's value: member must
// move over it.
func (c *Cursor) Object(member func(key []byte)) {
	c.elements(func() {
		key := c.Skip()
		c.Space()
		c.At++ // the colon
		member(key)
	})
}

// Array calls element for every element of an array, with its index. The cursor
// then stands at the element: element must move over it.
func (c *Cursor) Array(element func(i int)) {
	i := 0
	c.elements(func() {
		element(i)
		i++
	})
}

// elements calls one at each element of a compound value.
func (c *Cursor) elements(one func()) {
	c.Space()
	c.At++ // the opening bracket
	for {
		switch c.Kind() {
		case 0:
			return
		case '}', ']':
			c.At++
			return
		case ',':
			c.At++
			continue
		}
		before := c.At
		one()
		if c.At == before { // no JSON; never stand still
			c.At++
		}
	}
}

// SkipString returns the place behind the JSON string that begins at i.
func SkipString(data []byte, i int) int {
	for i++; i < len(data); {
		i += PlainLen(data[i:])
		if i >= len(data) || data[i] == '"' {
			return min(i+1, len(data))
		}
		if data[i] == '\\' {
			i++ // and what it escapes
		}
		i++
	}
	return len(data)
}
