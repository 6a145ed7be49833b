package msgpack

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// AppendJSON appends the value that a JSON text is, in the form that the package of Node
// gives to what JSON.parse returns: texts by their bytes, integers of at most 64 bits as
// integers, all in their smallest size. The placeholders of attachments become binary. An
// error leaves b as it was.
//
// The key "__proto__" is sent like any other, but for what harms Node: a reader of
// [Notepack3] ends its process over binary below such a key, and one of [Msgpack2] throws
// the whole message away. Both are [ErrProto].
func AppendJSON(b, text []byte, attachments [][]byte, d Dialect) ([]byte, error) {
	if len(attachments) > MaxAttachments {
		return b, errCount
	}
	if !jsontext.Valid(text, MaxDepth) {
		if jsontext.Valid(text, 0) {
			return b, errDeep
		}
		return b, errText
	}
	w := writer{b: b, text: text, attachments: attachments, dialect: d}
	w.value()
	if w.err != nil {
		return b, w.err
	}
	return w.b, nil
}

// writer walks JSON that jsontext.Valid has accepted.
type writer struct {
	b           []byte
	text        []byte
	i           int
	attachments [][]byte
	dialect     Dialect
	proto       int // so many keys "__proto__" lie above
	err         error
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// peek moves over white space and returns the byte there.
func (w *writer) peek() byte {
	for {
		switch c := w.text[w.i]; c {
		case ' ', '\t', '\r', '\n':
			w.i++
		default:
			return c
		}
	}
}

func (w *writer) value() {
	switch w.peek() {
	case '"':
		w.str()
	case '[':
		w.array()
	case '{':
		w.object()
	case 't':
		w.i += 4
		w.b = AppendBool(w.b, true)
	case 'f':
		w.i += 5
		w.b = AppendBool(w.b, false)
	case 'n':
		w.i += 4
		w.b = AppendNil(w.b)
	default:
		w.number()
	}
}

func (w *writer) array() {
	at, n := len(w.b), 0
	w.i++
	for {
		switch w.peek() {
		case ']':
			w.i++
			var head [8]byte
			w.b = insertHead(w.b, at, AppendArray(head[:0], n))
			return
		case ',':
			w.i++
		default:
			w.value()
			n++
		}
	}
}

// placeholder is how siokit writes placeholders, up to the number.
const placeholder = `{"_placeholder":true,"num":`

func (w *writer) object() {
	if len(w.attachments) > 0 && bytes.HasPrefix(w.text[w.i:], []byte(placeholder)) {
		from := w.i + len(placeholder)
		to := from
		for w.text[to]-'0' <= 9 {
			to++
		}
		if w.text[to] == '}' {
			w.i = to + 1
			w.binary(w.text[from:to])
			return
		}
	}
	var mark, num []byte // the values of the two keys of a placeholder
	marks, nums := 0, 0
	at, n := len(w.b), 0
	w.i++
	for {
		switch w.peek() {
		case '}':
			w.i++
			if marks > 0 && len(w.attachments) > 0 && !ordinary(mark, marks) {
				if string(mark) != "true" || marks != 1 || nums != 1 {
					w.fail(ErrPlaceholder)
				}
				w.b = w.b[:at]
				w.binary(num)
				return
			}
			var head [8]byte
			w.b = insertHead(w.b, at, AppendMap(head[:0], n))
			return
		case ',':
			w.i++
			continue
		}
		n++
		switch string(w.str()) {
		case "_placeholder":
			mark = w.member()
			marks++
		case "num":
			num = w.member()
			nums++
		case "__proto__":
			if w.dialect == Msgpack2 {
				w.fail(ErrProto)
			}
			w.proto++
			w.member()
			w.proto--
		default:
			w.member()
		}
	}
}

// ordinary reports whether an object is none that a client could take for a placeholder.
func ordinary(mark []byte, marks int) bool {
	return marks == 1 && (string(mark) == "false" || string(mark) == "null")
}

// member writes the value behind a key, and returns its JSON.
func (w *writer) member() []byte {
	w.peek()
	w.i++ // the colon
	w.peek()
	from := w.i
	w.value()
	return w.text[from:w.i]
}

// binary writes the attachment with a number.
func (w *writer) binary(num []byte) {
	n, err := strconv.ParseUint(string(num), 10, 16)
	switch {
	case err != nil || int(n) >= len(w.attachments) || len(num) > 1 && num[0] == '0':
		w.fail(ErrPlaceholder)
	case w.proto > 0:
		w.fail(ErrProto)
	default:
		w.b = AppendBytes(w.b, w.attachments[n])
	}
}

// str writes a string, and returns its text as it lies in b.
func (w *writer) str() []byte {
	from := w.i + 1
	w.i = jsontext.SkipString(w.text, w.i)
	s := w.text[from : w.i-1]
	at := len(w.b)
	if jsontext.PlainLen(s) == len(s) && utf8.Valid(s) {
		w.b = appendHeaded(w.b, s)
		return w.b[len(w.b)-len(s):]
	}
	w.b = appendUnescaped(w.b, s)
	if !utf8.Valid(w.b[at:]) {
		w.b = append(w.b[:at], repaired(w.b[at:])...)
	}
	n := len(w.b) - at
	var head [8]byte
	w.b = insertHead(w.b, at, appendStringHead(head[:0], n))
	return w.b[len(w.b)-n:]
}

// appendUnescaped appends the text of a JSON string without its quotes. Half of a surrogate
// pair is U+FFFD.
func appendUnescaped(b, s []byte) []byte {
	for len(s) > 0 {
		n := bytes.IndexByte(s, '\\')
		if n < 0 {
			return append(b, s...)
		}
		b = append(b, s[:n]...)
		c := s[n+1]
		s = s[n+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := unit(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					pair = utf16.DecodeRune(r, unit(s[2:]))
				}
				if r = pair; pair != utf8.RuneError {
					s = s[6:]
				}
			}
			b = utf8.AppendRune(b, r)
			continue
		}
		b = append(b, c)
	}
	return b
}

// unit is the number of four hexadecimal digits.
func unit(s []byte) (r rune) {
	for _, c := range s[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

func (w *writer) number() {
	from, integer := w.i, true
scan:
	for ; w.i < len(w.text); w.i++ {
		switch w.text[w.i] {
		case '.', 'e', 'E':
			integer = false
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			break scan
		}
	}
	s := w.text[from:w.i]
	if integer {
		digits, negative := bytes.CutPrefix(s, []byte{'-'})
		v, err := strconv.ParseUint(string(digits), 10, 64)
		switch {
		case err != nil:
		case !negative:
			w.b = AppendUint(w.b, v)
			return
		case v <= 1<<63:
			w.b = AppendInt(w.b, -int64(v)) // of the smallest it is itself
			return
		}
	}
	f, _ := strconv.ParseFloat(string(s), 64) // out of range: an infinity
	w.b = AppendFloat(w.b, f)
}
