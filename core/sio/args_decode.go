package sio

import (
	"encoding/json"
	"reflect"
	"sync"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// decode decodes argument i into a pointer. Errors of the codec come back with the
// text that they are about.
func (a Args) decode(i int, dst any) (err error) {
	raw := a.raw[i]
	switch d := dst.(type) {
	case *string:
		*d, err = decodeString(raw)
		return err
	case *bool:
		*d, err = decodeBool(raw)
		return err
	case *int:
		*d, err = decodeInt(raw)
		return err
	case *json.RawMessage:
		if err := keyTwice(raw); err != nil {
			return err
		}
		*d = append(json.RawMessage(nil), jsontext.Inline(raw, a.attachments)...)
		return nil
	case *[]byte:
		if b, ok := a.Bytes(i); ok {
			*d = b
			return nil
		}
	case *any:
		if !a.alone() {
			k := keyChecker{c: jsontext.Cursor{Data: raw}}
			if k.text(false); k.twice != nil {
				return k.twice
			}
		}
		*d, err = a.decodeAny(raw)
		return err
	}
	t := reflect.TypeOf(dst)
	if t == nil || t.Kind() != reflect.Pointer {
		return a.json.Unmarshal(raw, dst)
	}
	t = t.Elem()
	binary := len(a.attachments) > 0
	if in := a.suspects(); traitsOf(t)&in != 0 {
		k := keyChecker{c: jsontext.Cursor{Data: raw}, in: in}
		if k.value(t); k.twice != nil {
			return k.twice
		}
	}
	text := jsontext.Inline(raw, a.attachments)
	if err := a.json.Unmarshal(text, dst); err != nil {
		return &decodeError{text, err}
	}
	if binary && traitsOf(t)&hasAny != 0 {
		r := restorer{c: jsontext.Cursor{Data: raw}, args: a, places: jsontext.Places(raw, a.attachments)}
		r.value(reflect.ValueOf(dst).Elem())
		return r.err
	}
	return nil
}

// decodeAny decodes into any and puts the attachments in their places.
func (a Args) decodeAny(raw json.RawMessage) (any, error) {
	var v any
	if err := a.json.Unmarshal(raw, &v); err != nil {
		return nil, &decodeError{raw, err}
	}
	if len(a.attachments) == 0 {
		return v, nil
	}
	return a.restore(v), nil
}

// restore puts attachments in the places of placeholders. Which objects those are
// was checked when the packet came: any with a _placeholder that is true.
func (a Args) restore(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["_placeholder"] == true {
			if n, ok := v["num"].(float64); ok && int(n) >= 0 && int(n) < len(a.attachments) {
				return a.attachments[int(n)]
			}
		}
		for k, e := range v {
			v[k] = a.restore(e)
		}
	case []any:
		for i, e := range v {
			v[i] = a.restore(e)
		}
	}
	return v
}

// traits are what a decoder must look for in values of a type.
type traits uint8

const (
	hasStruct traits = 1 << iota
	hasMap
	hasAny
	hasOwn // a type that reads a JSON value itself, and may keep the text or pass it on
)

var traitCache sync.Map // reflect.Type -> traits

// traitsOf returns what is in a type at any depth, but not inside types that
// decode themselves. The answer is kept for each type.
func traitsOf(t reflect.Type) traits {
	if v, ok := traitCache.Load(t); ok {
		return v.(traits)
	}
	found := findTraits(t, map[reflect.Type]bool{})
	traitCache.Store(t, found)
	return found
}

func findTraits(t reflect.Type, seen map[reflect.Type]bool) (found traits) {
	if seen[t] {
		return 0
	}
	seen[t] = true
	if c := customOf(t); c&unmarshals != 0 {
		if c&readsJSON != 0 {
			found = hasOwn
		}
		return found
	}
	switch t.Kind() {
	case reflect.Interface:
		if t.NumMethod() == 0 {
			found = hasAny
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		found = findTraits(t.Elem(), seen)
	case reflect.Map:
		found = hasMap | findTraits(t.Elem(), seen)
	case reflect.Struct:
		found = hasStruct
		for _, f := range fieldsOf(t).list {
			found |= findTraits(f.typ, seen)
		}
	}
	return found
}

// restorer walks a decoded value and its text together, and puts attachments where
// the type is any: the codec has left base64 there. No key occurs twice.
type restorer struct {
	c      jsontext.Cursor
	args   Args
	places []jsontext.Place // still ahead
	err    error
}

// skip moves over a value and the placeholders in it.
func (r *restorer) skip() (text json.RawMessage, held int) {
	text = r.c.Skip()
	for len(r.places) > 0 && r.places[0].From < r.c.At {
		r.places = r.places[1:]
		held++
	}
	return text, held
}

// value restores the attachments inside v, which is not valid when the text has no
// counterpart.
func (r *restorer) value(v reflect.Value) {
	r.c.Space()
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface && v.Elem().Kind() == reflect.Pointer) {
		v = v.Elem() // of nil: not valid
	}
	if !v.IsValid() || traitsOf(v.Type())&hasAny == 0 {
		r.skip()
		return
	}
	switch kind, first := v.Kind(), r.c.Kind(); {
	case kind == reflect.Interface:
		text, held := r.skip()
		if held == 0 || !v.CanSet() {
			return
		}
		full, err := r.args.decodeAny(text)
		if err != nil {
			r.err = err
			return
		}
		v.Set(reflect.ValueOf(&full).Elem())
	case kind == reflect.Struct && first == '{':
		fs := fieldsOf(v.Type())
		r.c.Object(func(key []byte) {
			var fv reflect.Value
			if i := fs.find(jsontext.Unquote(key)); i >= 0 {
				fv, _ = fieldByIndex(v, fs.list[i].index)
			}
			r.value(fv)
		})
	case kind == reflect.Map && first == '{':
		r.c.Object(func(key []byte) { r.member(v, key) })
	case (kind == reflect.Slice || kind == reflect.Array) && first == '[':
		r.c.Array(func(i int) {
			var el reflect.Value
			if i < v.Len() {
				el = v.Index(i)
			}
			r.value(el)
		})
	default:
		r.skip()
	}
}

// member restores one value of a map, which cannot be changed in its place.
func (r *restorer) member(m reflect.Value, key []byte) {
	if len(r.places) == 0 {
		r.c.Skip()
		return
	}
	k := mapKey(m.Type().Key(), key)
	if !k.IsValid() || !m.MapIndex(k).IsValid() {
		r.skip()
		return
	}
	el := reflect.New(m.Type().Elem()).Elem()
	el.Set(m.MapIndex(k))
	r.value(el)
	m.SetMapIndex(k, el)
}

// mapKey decodes the key of an object, by the rules for keys of encoding/json.
func mapKey(t reflect.Type, key []byte) reflect.Value {
	if t.Kind() == reflect.String && customOf(t)&unmarshals == 0 {
		return reflect.ValueOf(string(jsontext.Unquote(key))).Convert(t)
	}
	one := reflect.New(reflect.MapOf(t, reflect.TypeFor[bool]()))
	if json.Unmarshal(append(append([]byte{'{'}, key...), ":true}"...), one.Interface()) != nil {
		return reflect.Value{}
	}
	for _, k := range one.Elem().MapKeys() {
		return k
	}
	return reflect.Value{}
}
