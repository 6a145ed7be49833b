package sio

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// maxEncodeDepth bounds the nesting of what an application emits: cyclic values
// must end in an error, not in a stack overflow that nothing can recover.
const maxEncodeDepth = 1000

// encoder appends values as JSON and collects binary parts. What leaves is what
// encoding/json would write, but for the []byte, which become attachments; a
// differential fuzz test holds it to that. Two things are checked, wherever a text
// comes from: it is UTF-8, or browsers would close their websocket over it, and
// beside binary it holds no placeholder but ours, or clients would fetch an
// attachment that they do not have.
type encoder struct {
	buf   []byte
	parts [][]byte
	keys  []string // of the maps that are being written, innermost last
	json  JSON
}

var encoders = sync.Pool{New: func() any { return &encoder{buf: make([]byte, 0, 512)} }}

func newEncoder(j JSON) *encoder {
	e := encoders.Get().(*encoder)
	e.buf, e.json = e.buf[:0], j
	return e
}

func (e *encoder) free() {
	e.parts, e.json = nil, nil
	if cap(e.keys) > 0 {
		e.keys = nil // it is rare, and must not hold anybody's strings
	}
	if cap(e.buf) <= 64<<10 {
		encoders.Put(e)
	}
}

// errPlaceholder is what an application, or the client whose arguments it passes
// on, is told about a placeholder that is not ours.
var errPlaceholder = &Error{Code: CodeBadArgument, Message: `an object with the key "_placeholder" cannot travel beside binary`}

// array appends the array of an event (with its name) or of an ack (without).
func (e *encoder) array(name string, named bool, args []any) error {
	e.buf = append(e.buf, '[')
	if named {
		e.buf = jsontext.AppendString(e.buf, name)
	}
	for i, arg := range args {
		if err := e.argument(arg); err != nil {
			return fmt.Errorf("sio: argument %d of %q: %w", i+1, name, err)
		}
	}
	e.buf = append(e.buf, ']')
	if len(e.parts) > 0 && !jsontext.Placed(e.buf, len(e.parts)) {
		return fmt.Errorf("sio: arguments of %q: %w", name, errPlaceholder)
	}
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
		e.buf = jsontext.AppendString(e.buf, a)
	case Args:
		for _, raw := range a.raw {
			e.comma()
			if len(a.attachments) == 0 {
				e.buf = append(e.buf, raw...)
			} else {
				e.buf, e.parts = jsontext.AppendRenumbered(e.buf, raw, a.attachments, e.parts)
			}
		}
	case argList:
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

func (e *encoder) null() error {
	e.buf = append(e.buf, "null"...)
	return nil
}

// value appends a value. The usual types are written by hand, those that cannot
// hold binary by the codec, and the rest by reflection.
func (e *encoder) value(v any, depth int) error {
	if depth > maxEncodeDepth {
		return errDeep
	}
	switch v := v.(type) {
	case nil:
		return e.null()
	case string:
		e.buf = jsontext.AppendString(e.buf, v)
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
		return e.raw(v)
	case Args:
		e.buf = append(e.buf, '[')
		err := e.argument(v)
		e.buf = append(e.buf, ']')
		return err
	case []any:
		if v == nil {
			return e.null()
		}
		e.buf = append(e.buf, '[')
		for _, el := range v {
			e.comma()
			if err := e.value(el, depth+1); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, ']')
	case map[string]any:
		return e.object(v, depth)
	default:
		rv := reflect.ValueOf(v)
		if holdsBytes(rv.Type()) {
			return e.reflect(rv, false, depth)
		}
		return e.marshal(v)
	}
	return nil
}

var errDeep = fmt.Errorf("nested deeper than %d, or a value that contains itself", maxEncodeDepth)

// object appends the commonest kind of map, with its keys in order.
func (e *encoder) object(m map[string]any, depth int) error {
	if m == nil {
		return e.null()
	}
	from := len(e.keys)
	for k := range m {
		e.keys = append(e.keys, k)
	}
	to := len(e.keys)
	slices.Sort(e.keys[from:])
	e.buf = append(e.buf, '{')
	for i := from; i < to; i++ {
		e.comma()
		e.key(e.keys[i])
		if err := e.value(m[e.keys[i]], depth+1); err != nil {
			return err
		}
	}
	e.keys = e.keys[:from]
	e.buf = append(e.buf, '}')
	return nil
}

// raw appends JSON of the application's, which may be anybody's text.
func (e *encoder) raw(v json.RawMessage) error {
	if v == nil {
		return e.null()
	}
	if !jsontext.Valid(v, maxEncodeDepth) {
		return errors.New("json.RawMessage is not valid JSON")
	}
	if !utf8.Valid(v) {
		return errors.New("json.RawMessage is not UTF-8")
	}
	e.buf = append(e.buf, v...)
	return nil
}

func (e *encoder) marshal(v any) error {
	b, err := e.json.Marshal(v)
	e.buf = append(e.buf, b...)
	return err
}

func (e *encoder) key(k string) {
	e.buf = append(jsontext.AppendString(e.buf, k), ':')
}

// binary adds an attachment. The bytes are copied: they leave later, and to
// many, while the application may reuse its slice.
func (e *encoder) binary(b []byte) {
	if b == nil {
		e.buf = append(e.buf, "null"...)
		return
	}
	e.buf = jsontext.AppendPlaceholder(e.buf, len(e.parts))
	e.parts = append(e.parts, append(make([]byte, 0, len(b)), b...))
}

// checkedJSON is the codec of the application, whose texts are looked at before
// they may leave. Like the codec itself it is called below Server.caught.
type checkedJSON struct {
	codec JSON
	std   bool // encoding/json: valid by itself, but for the UTF-8 of raw parts
}

func (j checkedJSON) Unmarshal(data []byte, v any) error { return j.codec.Unmarshal(data, v) }

// Marshal returns an error for text that is not JSON or not UTF-8.
func (j checkedJSON) Marshal(v any) ([]byte, error) {
	b, err := j.codec.Marshal(v)
	switch {
	case err != nil:
		return nil, err
	case !utf8.Valid(b):
		return nil, fmt.Errorf("the JSON of a %T is not UTF-8", v)
	case !j.std && !jsontext.Valid(b, 0):
		return nil, fmt.Errorf("the JSON of a %T is not valid", v)
	}
	return b, nil
}
