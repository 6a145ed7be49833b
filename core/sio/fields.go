package sio

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// structField is a field of a struct as encoding/json sees it: those of embedded
// structs belong to the outer one, and of several with one name the least nested
// wins, then the one with a tag; of equals none is there.
type structField struct {
	name   string
	key    []byte // the name as JSON, with its colon
	index  []int
	typ    reflect.Type
	tagged bool
	empty  bool // omitempty
	zero   bool // omitzero
	quoted bool // ",string": the value stands in a string
	isZero func(reflect.Value) bool
}

// structFields are the fields of a type in the order in which they are written,
// and where a decoder finds them: by the name, else without regard to case.
type structFields struct {
	list  []structField
	exact map[string]int
	fold  map[string]int
}

var fieldCache sync.Map // reflect.Type -> *structFields

// fieldsOf returns the fields of a struct type. The answer is kept for each type.
func fieldsOf(t reflect.Type) *structFields {
	if f, ok := fieldCache.Load(t); ok {
		return f.(*structFields)
	}
	fs := &structFields{list: dominant(collect(t)), exact: map[string]int{}, fold: map[string]int{}}
	for i, f := range fs.list {
		fs.exact[f.name] = i
		if k := foldName(f.name); !contains(fs.fold, k) {
			fs.fold[k] = i
		}
	}
	f, _ := fieldCache.LoadOrStore(t, fs)
	return f.(*structFields)
}

func contains(m map[string]int, k string) bool { _, ok := m[k]; return ok }

// find returns the index of the field that a decoder fills from a key, -1 if none.
func (fs *structFields) find(key []byte) int {
	if i, ok := fs.exact[string(key)]; ok {
		return i
	}
	if i, ok := fs.fold[foldName(string(key))]; ok {
		return i
	}
	return -1
}

// foldName is the form of a name in which encoding/json compares names that
// differ in case only: each character is the smallest of those that fold to it.
func foldName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'a' <= r && r <= 'z' {
				r -= 'a' - 'A'
			}
			return r
		}
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, s)
}

// collect returns all fields of a struct and of the structs embedded in it, level
// by level.
func collect(t reflect.Type) (all []structField) {
	type level struct {
		typ   reflect.Type
		index []int
	}
	next := []level{{typ: t}}
	seen := map[reflect.Type]bool{}
	var twice map[reflect.Type]int // types embedded several times on one level
	for len(next) > 0 {
		current := next
		count := twice
		next, twice = nil, map[reflect.Type]int{}
		for _, l := range current {
			if seen[l.typ] {
				continue
			}
			seen[l.typ] = true
			for i := range l.typ.NumField() {
				f, embedded := describeField(l.typ.Field(i), append(slices.Clone(l.index), i))
				if embedded != nil {
					if twice[embedded]++; twice[embedded] == 1 {
						next = append(next, level{embedded, append(slices.Clone(l.index), i)})
					}
					continue
				}
				if f == nil {
					continue
				}
				all = append(all, *f)
				if count[l.typ] > 1 {
					all = append(all, *f) // it hides itself
				}
			}
		}
	}
	return all
}

// describeField returns a field, or the struct that is embedded in its place, or
// neither for what is not encoded.
func describeField(sf reflect.StructField, index []int) (*structField, reflect.Type) {
	t := sf.Type
	if t.Name() == "" && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	tag := sf.Tag.Get("json")
	switch {
	case tag == "-", !sf.IsExported() && (!sf.Anonymous || t.Kind() != reflect.Struct):
		return nil, nil
	}
	name, opts, _ := strings.Cut(tag, ",")
	if !validName(name) {
		name = ""
	}
	if name == "" && sf.Anonymous && t.Kind() == reflect.Struct {
		return nil, t
	}
	f := &structField{name: name, index: index, typ: sf.Type, tagged: name != ""}
	if name == "" {
		f.name = sf.Name
	}
	f.key = append(jsontext.AppendString(nil, f.name), ':')
	for opts != "" {
		var opt string
		opt, opts, _ = strings.Cut(opts, ",")
		switch opt {
		case "omitempty":
			f.empty = true
		case "omitzero":
			f.zero, f.isZero = true, zeroFunc(sf.Type)
		case "string":
			k := t.Kind()
			f.quoted = k == reflect.Bool || k >= reflect.Int && k <= reflect.Float64 || k == reflect.String
		}
	}
	return f, nil
}

// validName reports whether encoding/json takes a tag for a name.
func validName(s string) bool {
	for _, r := range s {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return s != ""
}

// dominant leaves one field of each name, or none where equals compete.
func dominant(all []structField) (list []structField) {
	slices.SortStableFunc(all, func(a, b structField) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		if c := len(a.index) - len(b.index); c != 0 {
			return c
		}
		if a.tagged != b.tagged {
			if a.tagged {
				return -1
			}
			return 1
		}
		return slices.Compare(a.index, b.index)
	})
	for i := 0; i < len(all); {
		end := i + 1
		for end < len(all) && all[end].name == all[i].name {
			end++
		}
		if end == i+1 || len(all[i].index) != len(all[i+1].index) || all[i].tagged != all[i+1].tagged {
			list = append(list, all[i])
		}
		i = end
	}
	slices.SortFunc(list, func(a, b structField) int { return slices.Compare(a.index, b.index) })
	return list
}

type zeroer interface{ IsZero() bool }

// zeroFunc returns what omitzero asks instead of the zero value: a method IsZero.
func zeroFunc(t reflect.Type) func(reflect.Value) bool {
	zero := reflect.TypeFor[zeroer]()
	switch {
	case t.Implements(zero):
		return func(v reflect.Value) bool {
			if k := v.Kind(); k == reflect.Interface || k == reflect.Pointer {
				if v.IsNil() || k == reflect.Interface && v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() {
					return true
				}
			}
			return v.Interface().(zeroer).IsZero()
		}
	case reflect.PointerTo(t).Implements(zero):
		return func(v reflect.Value) bool {
			if !v.CanAddr() {
				boxed := reflect.New(t).Elem()
				boxed.Set(v)
				v = boxed
			}
			return v.Addr().Interface().(zeroer).IsZero()
		}
	}
	return nil
}

// omitted reports whether a field with this value is left out.
func (f *structField) omitted(v reflect.Value) bool {
	if f.empty && empty(v) {
		return true
	}
	if !f.zero {
		return false
	}
	if f.isZero != nil {
		return f.isZero(v)
	}
	return v.IsZero()
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Bool, reflect.Interface, reflect.Pointer:
		return v.IsZero()
	}
	if k := v.Kind(); k >= reflect.Int && k <= reflect.Float64 {
		return v.IsZero()
	}
	return false
}

// How a type encodes and decodes itself.
type ownCodec uint8

const (
	marshals       ownCodec = 1 << iota // json.Marshaler
	marshalsByAddr                      // by a pointer receiver
	texts                               // encoding.TextMarshaler
	textsByAddr
	unmarshals // json.Unmarshaler or encoding.TextUnmarshaler, by a pointer or not
	readsJSON  // json.Unmarshaler, for which any JSON may do
)

var (
	customs         sync.Map // reflect.Type -> ownCodec
	marshaler       = reflect.TypeFor[json.Marshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType        = reflect.TypeFor[time.Time]()
)

// customOf returns how t does its own encoding. The answer is kept for each type.
func customOf(t reflect.Type) (c ownCodec) {
	if v, ok := customs.Load(t); ok {
		return v.(ownCodec)
	}
	set := func(bit ownCodec, yes bool) {
		if yes {
			c |= bit
		}
	}
	pt := reflect.PointerTo(t)
	direct := t.Kind() == reflect.Pointer
	set(marshals, t.Implements(marshaler))
	set(texts, t.Implements(textMarshaler))
	set(marshalsByAddr, !direct && pt.Implements(marshaler))
	set(textsByAddr, !direct && pt.Implements(textMarshaler))
	json := t.Implements(unmarshaler) || pt.Implements(unmarshaler)
	set(unmarshals, json || t.Implements(textUnmarshaler) || pt.Implements(textUnmarshaler))
	set(readsJSON, json && t != timeType) // a time is a string, and in many structs
	customs.Store(t, c)
	return c
}
