package sio

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// decodeError is an error of the codec and the text that it is about.
type decodeError struct {
	text []byte
	err  error
}

func (e *decodeError) Error() string { return e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }

// errTwice is the error for an object with two keys for one field; it is the second.
type errTwice string

func (e errTwice) Error() string { return shorten(string(e)) + " is there twice" }

// maxShown bounds what is repeated to a client of its own text.
const maxShown = 100

func shorten(text string) string {
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	return strconv.Quote(strings.ToValidUTF8(text, "\ufffd"))
}

// misfit says what is wrong with a value in the words of its sender: the key, and
// the kinds of JSON. The names of Go types and fields are not the sender's business.
func misfit(err error) string {
	var twice errTwice
	if err == errType || errors.As(err, &twice) {
		return err.Error()
	}
	var de *decodeError
	var te *json.UnmarshalTypeError
	if !errors.As(err, &de) || !errors.As(err, &te) || te.Offset < 1 {
		return "it cannot be decoded"
	}
	p := pathFinder{c: jsontext.Cursor{Data: de.text}, at: int(te.Offset) - 1}
	p.value()
	if p.found == 0 {
		return "it cannot be decoded"
	}
	what := kindOf(p.found) + " instead of " + wanted(te.Type)
	if strings.HasPrefix(te.Value, "number ") && te.Type != nil && isInteger(te.Type) {
		what = "a number that is not in the range of " + wanted(te.Type)
	}
	if p.path == "" {
		return what
	}
	return shorten(p.path) + " is " + what
}

func kindOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func isInteger(t reflect.Type) bool { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr }

// wanted is the JSON that fills a type.
func wanted(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil || customOf(t)&unmarshals != 0:
		return "what is expected"
	case isInteger(t):
		return "an integer"
	case isBytes(t):
		return "binary"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "what is expected"
}

// step is one part of a path: a key, or an index where there is no key.
type step struct {
	key   []byte
	index int
}

// pathFinder finds the innermost value that holds a byte of a text, in one pass.
type pathFinder struct {
	c     jsontext.Cursor
	at    int
	steps []step
	path  string
	found byte // the first byte of the value; 0: not found yet
}

func (p *pathFinder) value() {
	first := p.c.Kind()
	from := p.c.At
	switch {
	case p.found != 0 || from > p.at:
		p.c.Skip()
		return
	case first == '{':
		p.c.Object(func(key []byte) { p.step(step{key: jsontext.Unquote(key)}) })
	case first == '[':
		p.c.Array(func(i int) { p.step(step{index: i}) })
	default:
		p.c.Skip()
	}
	if p.found == 0 && p.at < p.c.At {
		p.found, p.path = first, pathText(p.steps)
	}
}

func (p *pathFinder) step(st step) {
	if p.found != 0 {
		p.c.Skip()
		return
	}
	p.steps = append(p.steps, st)
	p.value()
	p.steps = p.steps[:len(p.steps)-1]
}

func pathText(steps []step) string {
	var b strings.Builder
	for i, st := range steps {
		switch {
		case st.key == nil:
			fmt.Fprintf(&b, "[%d]", st.index)
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.Write(st.key[:min(len(st.key), maxShown)])
	}
	return b.String()
}

// detailed is err with its cause in the text, for the log and Options.OnError.
func detailed(err error, e *Error) error {
	if e.cause == nil || strings.HasSuffix(err.Error(), e.cause.Error()) {
		return err
	}
	return fmt.Errorf("%w (%w)", err, e.cause)
}
