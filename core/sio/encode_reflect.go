package sio

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/siokit/siokit/core/internal/jsontext"
)

var (
	argsType    = reflect.TypeFor[Args]()
	numberType  = reflect.TypeFor[json.Number]()
	byteHolders sync.Map // reflect.Type -> bool
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
	switch {
	case t == argsType:
		return true
	case customOf(t)&(marshals|texts) != 0:
		return false
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Slice:
		return isBytes(t) || findBytes(t.Elem(), seen)
	case reflect.Pointer, reflect.Array, reflect.Map:
		return findBytes(t.Elem(), seen)
	case reflect.Struct:
		for _, f := range fieldsOf(t).list {
			if findBytes(f.typ, seen) {
				return true
			}
		}
	}
	return false
}

// isBytes reports whether encoding/json takes a slice for bytes.
func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && customOf(t.Elem())&(marshalsByAddr|textsByAddr) == 0
}

// reflect encodes a value whose type may hold a []byte somewhere, by the rules
// of encoding/json, but with attachments instead of base64. quoted: a number,
// bool or text stands in a string.
func (e *encoder) reflect(v reflect.Value, quoted bool, depth int) error {
	if depth > maxEncodeDepth {
		return errDeep
	}
	if own, err := e.itself(v); own {
		return err
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return e.null()
		}
		if v.Elem().CanInterface() {
			return e.value(v.Elem().Interface(), depth+1)
		}
		return e.reflect(v.Elem(), false, depth+1)
	case reflect.Pointer:
		if v.IsNil() {
			return e.null()
		}
		return e.reflect(v.Elem(), quoted, depth+1)
	case reflect.Slice:
		if v.IsNil() {
			return e.null()
		}
		if isBytes(v.Type()) {
			e.binary(v.Bytes())
			return nil
		}
		return e.elements(v, depth)
	case reflect.Array:
		return e.elements(v, depth)
	case reflect.Map:
		return e.mapping(v, depth)
	case reflect.Struct:
		return e.fields(v, depth)
	}
	return e.scalar(v, quoted)
}

// itself encodes a value whose type says how, and one that cannot hold binary. It
// reports false for any other.
func (e *encoder) itself(v reflect.Value) (bool, error) {
	t := v.Type()
	if !v.CanInterface() {
		return false, nil // an embedded struct of an unexported type
	}
	if t == argsType {
		return true, e.value(v.Interface(), 0)
	}
	c := customOf(t)
	byAddr := v.CanAddr() && (c&marshalsByAddr != 0 || c&(marshals|textsByAddr) == textsByAddr)
	switch {
	case byAddr:
		return true, e.marshal(v.Addr().Interface())
	case c&(marshals|texts) != 0:
		return true, e.marshal(v.Interface())
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		if holdsBytes(t) {
			return false, nil
		}
		if v.CanAddr() { // pointer receivers inside count
			return true, e.marshal(v.Addr().Interface())
		}
		return true, e.marshal(v.Interface())
	}
	return false, nil
}

func (e *encoder) elements(v reflect.Value, depth int) error {
	e.buf = append(e.buf, '[')
	for i := range v.Len() {
		e.comma()
		if err := e.reflect(v.Index(i), false, depth+1); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

// mapping appends a map with its keys in order.
func (e *encoder) mapping(v reflect.Value, depth int) error {
	if k := v.Type().Key(); k.Kind() != reflect.String && (k.Kind() < reflect.Int || k.Kind() > reflect.Uintptr) && !k.Implements(textMarshaler) {
		return fmt.Errorf("type %v has no JSON", v.Type())
	}
	if v.IsNil() {
		return e.null()
	}
	type member struct {
		key   string
		value reflect.Value
	}
	members := make([]member, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		k, err := keyText(it.Key())
		if err != nil {
			return err
		}
		members = append(members, member{k, it.Value()})
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.key, b.key) })
	e.buf = append(e.buf, '{')
	for _, m := range members {
		e.comma()
		e.key(m.key)
		if err := e.reflect(m.value, false, depth+1); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}

// keyText is the text of a map's key.
func keyText(k reflect.Value) (string, error) {
	if k.Kind() == reflect.String {
		return k.String(), nil
	}
	if k.CanInterface() {
		if tm, ok := k.Interface().(encoding.TextMarshaler); ok {
			if k.Kind() == reflect.Pointer && k.IsNil() {
				return "", nil
			}
			text, err := tm.MarshalText()
			return string(text), err
		}
	}
	switch {
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10), nil
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	return "", fmt.Errorf("a map with keys of type %v", k.Type())
}

func (e *encoder) fields(v reflect.Value, depth int) error {
	e.buf = append(e.buf, '{')
	fs := fieldsOf(v.Type())
	for i := range fs.list {
		f := &fs.list[i]
		fv, ok := fieldByIndex(v, f.index)
		if !ok || f.omitted(fv) {
			continue
		}
		e.comma()
		e.buf = append(e.buf, f.key...)
		if err := e.reflect(fv, f.quoted, depth+1); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}

// fieldByIndex returns a field, and false when an embedded pointer on its way is nil.
func fieldByIndex(v reflect.Value, index []int) (reflect.Value, bool) {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

// scalar appends what has no parts.
func (e *encoder) scalar(v reflect.Value, quoted bool) error {
	if v.Kind() == reflect.String && v.Type() != numberType {
		if !quoted {
			e.buf = jsontext.AppendString(e.buf, v.String())
			return nil
		}
		text, err := stdJSON{}.Marshal(v.String())
		e.buf = jsontext.AppendString(e.buf, text)
		return err
	}
	if quoted {
		e.buf = append(e.buf, '"')
	}
	var err error
	switch {
	case v.Kind() == reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case v.CanInt():
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	case v.CanUint():
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	case v.Kind() == reflect.Float32:
		err = e.marshal(float32(v.Float()))
	case v.Kind() == reflect.Float64:
		err = e.marshal(v.Float())
	case v.Kind() == reflect.String:
		err = e.marshal(json.Number(v.String()))
	default:
		err = fmt.Errorf("type %v has no JSON", v.Type())
	}
	if quoted {
		e.buf = append(e.buf, '"')
	}
	return err
}
