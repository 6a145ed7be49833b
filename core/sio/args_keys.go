package sio

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// A decoder in Go takes the last of two keys that are equal, and for the fields of a
// struct also of two that differ by case only. Others read the same text otherwise.
// So what was checked here and what is passed on must not hold such a pair.

// checked is a handler behind policies or middleware: somebody may have decoded the
// arguments before they come here, in a way that nobody knows. It hands on only what
// every decoder reads in the same way.
type checked struct{ next Handler }

// ServeEvent implements Handler.
func (h checked) ServeEvent(ctx context.Context, ev *Event) error {
	for i, raw := range ev.Args.raw {
		if err := keyTwice(raw); err != nil {
			return badArgument(i, err)
		}
	}
	return h.next.ServeEvent(ctx, ev)
}

// keyTwice returns an error when two keys of one object, at any depth, are equal or
// differ by case only.
func keyTwice(raw json.RawMessage) error {
	k := keyChecker{c: jsontext.Cursor{Data: raw}}
	k.text(true)
	return k.twice
}

// suspects are the parts of a type in which two keys may be one. A decoder that
// nobody else sees the text of may do with them what it likes, but for two things:
// what reads JSON itself may pass it on, and attachments find their places by the keys.
func (a Args) suspects() traits {
	in := hasOwn
	if len(a.attachments) > 0 {
		in |= hasStruct | hasMap
	}
	if !a.alone() {
		in |= hasStruct | hasMap | hasAny
	}
	return in
}

// keyChecker looks for objects in which two keys are one to some reader. It goes over
// the text once.
type keyChecker struct {
	c     jsontext.Cursor
	in    traits // where it looks
	twice error  // an errTwice of the first pair
}

func (k *keyChecker) pair(key []byte) {
	if k.twice == nil {
		k.twice = errTwice(key)
	}
}

// value looks at a value that is decoded into a t.
func (k *keyChecker) value(t reflect.Type) {
	for t.Kind() == reflect.Pointer && customOf(t)&unmarshals == 0 {
		t = t.Elem()
	}
	first := k.c.Kind()
	if k.twice != nil || traitsOf(t)&k.in == 0 {
		k.c.Skip()
		return
	}
	if customOf(t)&unmarshals != 0 {
		k.text(true) // how it reads the text is its own business
		return
	}
	switch kind := t.Kind(); {
	case kind == reflect.Struct && first == '{':
		k.object(t)
	case kind == reflect.Map && first == '{':
		k.mapping(t)
	case kind == reflect.Interface:
		k.text(false)
	case (kind == reflect.Slice || kind == reflect.Array) && first == '[':
		k.c.Array(func(int) { k.value(t.Elem()) })
	default:
		k.c.Skip()
	}
}

// text looks at a value of which no type is known. With fold keys that differ by case
// only are one.
func (k *keyChecker) text(fold bool) {
	switch first := k.c.Kind(); {
	case first == '{' && k.twice == nil:
		seen := keySet{fold: fold}
		k.c.Object(func(key []byte) {
			if name := jsontext.Unquote(key); seen.add(name) {
				k.pair(name)
			}
			k.text(fold)
		})
	case first == '[' && k.twice == nil:
		k.c.Array(func(int) { k.text(fold) })
	default:
		k.c.Skip()
	}
}

func (k *keyChecker) object(t reflect.Type) {
	fs := fieldsOf(t)
	var few [32]bool
	seen := few[:]
	if len(fs.list) > len(seen) {
		seen = make([]bool, len(fs.list))
	}
	k.c.Object(func(key []byte) {
		name := jsontext.Unquote(key)
		i := fs.find(name)
		if i < 0 {
			k.c.Skip()
			return
		}
		if seen[i] && k.in&hasStruct != 0 {
			k.pair(name)
		}
		seen[i] = true
		k.value(fs.list[i].typ)
	})
}

func (k *keyChecker) mapping(t reflect.Type) {
	texts := keySet{}
	var keys map[any]struct{} // where the key is not a text: "1" and "01" are one
	if kt := t.Key(); kt.Kind() != reflect.String || customOf(kt)&unmarshals != 0 {
		keys = map[any]struct{}{}
	}
	k.c.Object(func(key []byte) {
		if k.in&hasMap != 0 {
			name, again := jsontext.Unquote(key), false
			if keys == nil {
				again = texts.add(name)
			} else if v := mapKey(t.Key(), key); v.IsValid() { // else the decoder fails
				_, again = keys[v.Interface()]
				keys[v.Interface()] = struct{}{}
			}
			if again {
				k.pair(name)
			}
		}
		k.value(t.Elem())
	})
}

// keySet are the keys of one object. Those of a small object are compared one by one,
// without memory of their own.
type keySet struct {
	fold bool
	few  [8][]byte
	n    int
	many map[string]struct{} // once they are more than few
}

// add adds a key and reports whether it was there.
func (s *keySet) add(key []byte) bool {
	if s.many == nil && s.n < len(s.few) {
		for _, k := range s.few[:s.n] {
			if bytes.Equal(k, key) || s.fold && bytes.EqualFold(k, key) {
				return true
			}
		}
		s.few[s.n] = key
		s.n++
		return false
	}
	if s.many == nil {
		s.many = make(map[string]struct{}, 4*len(s.few))
		for _, k := range s.few {
			s.many[s.name(k)] = struct{}{}
		}
	}
	name := s.name(key)
	if _, there := s.many[name]; there {
		return true
	}
	s.many[name] = struct{}{}
	return false
}

func (s *keySet) name(key []byte) string {
	if s.fold {
		return foldName(string(key))
	}
	return string(key)
}
