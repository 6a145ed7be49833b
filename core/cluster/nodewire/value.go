package nodewire

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/msgpack"
	"github.com/siokit/siokit/core/internal/packet"
)

// value is a value of a message: JSON or msgpack that was checked as a whole.
type value struct {
	raw  []byte
	json bool
}

// parse checks a message. It is JSON when it begins as an object does.
func parse(b []byte) (value, error) {
	switch {
	case len(b) == 0:
		return value{}, fmt.Errorf("%w: empty", errMalformed)
	case len(b) > maxMessage:
		return value{}, fmt.Errorf("%w: more than %d bytes", errMalformed, maxMessage)
	case b[0] == '{':
		if !utf8.Valid(b) {
			b = packet.ApplicationText(b)
		}
		if !jsontext.Valid(b, msgpack.MaxDepth+envelopeDepth) {
			return value{}, fmt.Errorf("%w: invalid JSON, or nested too deep", errMalformed)
		}
		return value{b, true}, nil
	}
	r := msgpack.NewReader(b)
	raw := r.Raw()
	if err := r.End(); err != nil {
		return value{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return value{raw, false}, nil
}

// envelopeDepth is how deep the values of an application lie in a message.
const envelopeDepth = 3

// kind is the kind of the value; of all numbers of JSON it is Float.
func (v value) kind() msgpack.Kind {
	if len(v.raw) == 0 {
		return msgpack.None
	}
	if !v.json {
		r := msgpack.NewReader(v.raw)
		return r.Kind()
	}
	c := jsontext.Cursor{Data: v.raw}
	switch c.Kind() {
	case '{':
		return msgpack.Map
	case '[':
		return msgpack.Array
	case '"':
		return msgpack.String
	case 't', 'f':
		return msgpack.Bool
	case 'n':
		return msgpack.Nil
	}
	return msgpack.Float
}

// there reports whether there is a value, and one that is not null.
func (v value) there() bool {
	k := v.kind()
	return k != msgpack.None && k != msgpack.Nil
}

// object calls member for each member of an object.
func (v value) object(member func(key []byte, v value)) {
	if v.json {
		c := jsontext.Cursor{Data: v.raw}
		c.Object(func(key []byte) { member(jsontext.Unquote(key), value{c.Skip(), true}) })
		return
	}
	r := msgpack.NewReader(v.raw)
	for range r.Map() {
		var key []byte
		if r.Kind() == msgpack.String {
			key = r.String()
		} else {
			r.Raw()
		}
		member(key, value{r.Raw(), false})
	}
}

// array calls element for each element of an array.
func (v value) array(element func(v value)) {
	if v.json {
		c := jsontext.Cursor{Data: v.raw}
		c.Array(func(int) { element(value{c.Skip(), true}) })
		return
	}
	r := msgpack.NewReader(v.raw)
	for range r.Array() {
		element(value{r.Raw(), false})
	}
}

// text is a text, or a number as its decimal text; before when that is the same text.
func (v value) text(before string) (string, bool) {
	var b []byte
	switch k := v.kind(); {
	case v.json && k == msgpack.String:
		c := jsontext.Cursor{Data: v.raw}
		b = jsontext.Unquote(c.Skip())
	case v.json && k == msgpack.Float:
		if b = v.raw; !plain(b) {
			b = number(v.raw)
		}
	default:
		r := msgpack.NewReader(v.raw)
		b = r.Text()
		if r.Err() != nil || v.json {
			return "", false
		}
	}
	switch {
	case len(b) > maxText:
		return "", false
	case string(b) == before:
		return before, true
	}
	return string(b), true
}

// plain reports whether a number of JSON is one that JavaScript writes so.
func plain(raw []byte) bool {
	for _, c := range raw {
		if c-'0' > 9 {
			return false
		}
	}
	return len(raw) <= 15
}

// number is a number of JSON as JavaScript writes it.
func number(raw []byte) []byte {
	b, err := msgpack.AppendJSON(nil, raw, nil, msgpack.Notepack3)
	if err != nil {
		return nil
	}
	r := msgpack.NewReader(b)
	return r.Text()
}

// number is a number that is not negative.
func (v value) number() (float64, bool) {
	switch v.kind() {
	case msgpack.Uint, msgpack.Float:
		if v.json && plain(v.raw) {
			n, err := strconv.ParseUint(string(v.raw), 10, 64)
			return float64(n), err == nil
		}
		text, ok := v.text("")
		f, err := strconv.ParseFloat(text, 64)
		return f, ok && err == nil && f >= 0
	}
	return 0, false
}

// isTrue reports whether the value is the bool true.
func (v value) isTrue() bool {
	if v.kind() != msgpack.Bool {
		return false
	}
	if v.json {
		c := jsontext.Cursor{Data: v.raw}
		return c.Kind() == 't'
	}
	r := msgpack.NewReader(v.raw)
	return r.Bool()
}

// appendJSON appends the JSON of the value. Binary of msgpack goes to attachments, or, when attachments is
// nil, becomes the JSON of a Buffer. Without dst, JSON
// is not copied.
func (v value) appendJSON(dst []byte, attachments *[][]byte) ([]byte, error) {
	if v.json {
		if dst == nil {
			return v.raw, nil
		}
		return append(dst, v.raw...), nil
	}
	if dst == nil {
		dst = make([]byte, 0, len(v.raw)+len(v.raw)/4+16)
	}
	r := msgpack.NewReader(v.raw)
	dst = r.AppendJSON(dst, attachments)
	return dst, r.End()
}

// takeBuffers puts placeholders in the places of Buffers, as JSON.stringify writes them, and
// appends what was in them to attachments. Without any it returns text itself.
func takeBuffers(text []byte, attachments *[][]byte) ([]byte, error) {
	if !bytes.Contains(text, []byte(msgpack.Buffer)) {
		return text, nil
	}
	from, marked := len(*attachments), false
	dst := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		switch text[i] {
		case '"':
			end := jsontext.SkipString(text, i)
			marked = marked || string(jsontext.Unquote(text[i:end])) == "_placeholder"
			dst = append(dst, text[i:end]...)
			i = end
			continue
		case '{':
			if data, n := msgpack.ReadBuffer(text[i:]); n > 0 && len(*attachments) < msgpack.MaxAttachments {
				dst = msgpack.AppendPlaceholder(dst, len(*attachments))
				*attachments = append(*attachments, data)
				i += n
				continue
			}
		}
		dst = append(dst, text[i])
		i++
	}
	if n := len(*attachments) - from; marked && n > 0 && (!jsontext.Valid(dst, msgpack.MaxDepth) || !jsontext.PlacedFrom(dst, from, n)) {
		return nil, msgpack.ErrPlaceholder
	}
	return dst, nil
}
