package sio

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/siokit/siokit/core/packet"
	"github.com/siokit/siokit/core/packet/socketio"
)

// maxEncodeDepth bounds the nesting of what an application emits: cyclic values
// must end in an error, not in a stack overflow that nothing can recover.
const maxEncodeDepth = 1000

// encoder appends values as JSON and collects binary parts.
type encoder struct {
	buf   []byte
	parts [][]byte
	json  JSON
}

var encoders = sync.Pool{New: func() any { return &encoder{buf: make([]byte, 0, 512)} }}

func newEncoder(j JSON) *encoder {
	e := encoders.Get().(*encoder)
	e.buf, e.parts, e.json = e.buf[:0], nil, j
	return e
}

func (e *encoder) free() {
	if cap(e.buf) <= 64<<10 {
		encoders.Put(e)
	}
}

// array appends the array of an event (with its name) or of an ack (without).
func (e *encoder) array(name string, named bool, args []any) error {
	e.buf = append(e.buf, '[')
	if named {
		e.buf = appendString(e.buf, name)
	}
	for i, arg := range args {
		if err := e.argument(arg); err != nil {
			return fmt.Errorf("sio: argument %d of %q: %w", i+1, name, err)
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

func (e *encoder) comma() {
	if c := e.buf[len(e.buf)-1]; c != '[' && c != '{' {
		e.buf = append(e.buf, ',')
	}
}

// argument appends one argument, or those that a list stands for.
func (e *encoder) argument(arg any) error {
	switch a := arg.(type) {
	case string: // the commonest, before the look at interfaces
		e.comma()
		e.buf = appendString(e.buf, a)
	case Args:
		for _, raw := range a.raw {
			e.comma()
			if len(a.attachments) == 0 {
				e.buf = append(e.buf, raw...)
			} else {
				e.buf, e.parts = socketio.AppendRenumbered(e.buf, raw, a.attachments, e.parts)
			}
		}
	case list:
		for _, el := range a.list() {
			e.comma()
			if err := e.value(el, 0); err != nil {
				return err
			}
		}
	default:
		e.comma()
		return e.value(arg, 0)
	}
	return nil
}

func (e *encoder) value(v any, depth int) error {
	if depth > maxEncodeDepth {
		return fmt.Errorf("nested deeper than %d", maxEncodeDepth)
	}
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case string:
		e.buf = appendString(e.buf, v)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case int:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case uint64:
		e.buf = strconv.AppendUint(e.buf, v, 10)
	case []byte:
		e.binary(v)
	case json.RawMessage:
		if !packet.Valid(v, maxEncodeDepth) {
			return fmt.Errorf("json.RawMessage is not valid JSON")
		}
		e.buf = append(e.buf, v...)
	case Args:
		e.buf = append(e.buf, '[')
		err := e.argument(v)
		e.buf = append(e.buf, ']')
		return err
	case []any:
		e.buf = append(e.buf, '[')
		for _, el := range v {
			e.comma()
			if err := e.value(el, depth+1); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, ']')
	case map[string]any:
		e.buf = append(e.buf, '{')
		for k, el := range v {
			e.comma()
			e.key(k)
			if err := e.value(el, depth+1); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, '}')
	default:
		rv := reflect.ValueOf(v)
		if holdsBytes(rv.Type()) {
			return e.reflect(rv, depth)
		}
		return e.marshal(v)
	}
	return nil
}

func (e *encoder) marshal(v any) error {
	b, err := e.json.Marshal(v)
	e.buf = append(e.buf, b...)
	return err
}

func (e *encoder) key(k string) {
	e.buf = append(appendString(e.buf, k), ':')
}

// binary adds an attachment. The bytes are copied: they leave later, and to
// many, while the application may reuse its slice.
func (e *encoder) binary(b []byte) {
	if b == nil {
		e.buf = append(e.buf, "null"...)
		return
	}
	e.buf = socketio.AppendPlaceholder(e.buf, len(e.parts))
	e.parts = append(e.parts, append(make([]byte, 0, len(b)), b...))
}

// reflect encodes a value whose type may hold a []byte somewhere, by the rules
// of encoding/json, but with attachments instead of base64.
func (e *encoder) reflect(v reflect.Value, depth int) error {
	if depth > maxEncodeDepth {
		return fmt.Errorf("nested deeper than %d", maxEncodeDepth)
	}
	t := v.Type()
	if t.Implements(marshalerType) || t.Implements(textMarshalerType) {
		return e.marshal(v.Interface())
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			e.buf = append(e.buf, "null"...)
			return nil
		}
		if v.Kind() == reflect.Interface {
			return e.value(v.Elem().Interface(), depth+1)
		}
		return e.reflect(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice {
			if v.IsNil() {
				e.buf = append(e.buf, "null"...)
				return nil
			}
			if t.Elem().Kind() == reflect.Uint8 {
				e.binary(v.Bytes())
				return nil
			}
		}
		e.buf = append(e.buf, '[')
		for i := range v.Len() {
			e.comma()
			if err := e.reflect(v.Index(i), depth+1); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, ']')
		return nil
	case reflect.Map:
		if t.Key().Kind() != reflect.String || v.IsNil() {
			return e.marshal(v.Interface())
		}
		e.buf = append(e.buf, '{')
		for it := v.MapRange(); it.Next(); {
			e.comma()
			e.key(it.Key().String())
			if err := e.reflect(it.Value(), depth+1); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, '}')
		return nil
	case reflect.Struct:
		e.buf = append(e.buf, '{')
		err := e.fields(v, depth)
		e.buf = append(e.buf, '}')
		return err
	default:
		return e.marshal(v.Interface())
	}
}

func (e *encoder) fields(v reflect.Value, depth int) error {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		fv := v.Field(i)
		if f.Anonymous && name == "" {
			inner := fv
			if inner.Kind() == reflect.Pointer {
				if inner.IsNil() {
					continue
				}
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				if err := e.fields(inner, depth+1); err != nil {
					return err
				}
				continue
			}
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		if strings.Contains(opts, "omitempty") && empty(fv) || strings.Contains(opts, "omitzero") && fv.IsZero() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		e.comma()
		e.key(name)
		if err := e.reflect(fv, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

var (
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	byteHolders       sync.Map // reflect.Type -> bool
)

// holdsBytes reports whether a value of type t may hold a []byte that is to
// travel as an attachment. The answer is kept for each type.
func holdsBytes(t reflect.Type) bool {
	if v, ok := byteHolders.Load(t); ok {
		return v.(bool)
	}
	has := findBytes(t, map[reflect.Type]bool{})
	byteHolders.Store(t, has)
	return has
}

func findBytes(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if t.Implements(marshalerType) || t.Implements(textMarshalerType) {
		return false
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8 || findBytes(t.Elem(), seen)
	case reflect.Pointer, reflect.Array:
		return findBytes(t.Elem(), seen)
	case reflect.Map:
		return t.Key().Kind() == reflect.String && findBytes(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if findBytes(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Like JSON.stringify it escapes what must
// be escaped and nothing else; bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	// One copy, then only what needs escaping is rewritten.
	at := len(dst)
	dst = append(dst, s...)
	n := packet.PlainLen(dst[at:])
	if n == len(s) {
		return append(dst, '"')
	}
	dst = dst[:at+n]
	for i := n; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, '"')
}
