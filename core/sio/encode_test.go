//lint:file-ignore SA5008 Tags that encoding/json has to make sense of are the matter here.
//lint:file-ignore U1000 So are fields that nobody sees.

package sio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// The types below are those that an encoder of one's own gets wrong.
type (
	nested struct {
		Name string
		Data []byte
	}
	Deeper struct {
		nested
		Other any
	}
	shadow struct {
		Deeper
		Name string // hides that of nested
		*Tagged
	}
	Tagged struct {
		Label string `json:"Name2"`
		Data  []byte
	}
	onLeft  struct{ Same, L string }
	onRight struct{ Same, R string }
	rival   struct {
		onLeft
		onRight // Same is in neither
		B       []byte
	}
	twice struct {
		Left  `json:"l"`
		A     struct{ Left }
		B     []byte
		Right Left `json:",omitempty"`
	}
	Left       struct{ X int }
	tagOptions struct {
		ID     int64   `json:"id,string"`
		F      float32 `json:",string,omitempty"`
		B      *bool   `json:"b,string"`
		S      string  `json:",string"`
		N      json.Number
		Q      json.Number `json:",string"`
		Skip   []byte      `json:"-"`
		Dash   int         `json:"-,"`
		Blob   []byte      `json:",omitempty"`
		Any    any         `json:",omitempty"`
		At     time.Time   `json:",omitzero"`
		Z      zeroes      `json:",omitzero"`
		PZ     *zeroes     `json:",omitzero"`
		Map    map[string]any
		Struct struct{ X int } `json:",omitempty"`
		Weird  int             `json:"a\"b"`
		Key    int             `json:"<é>"`
		hidden []byte
	}
	zeroes          struct{ A, B int }
	byValue         struct{ b []byte }
	byPtr           struct{ B []byte }
	textual         struct{ n int }
	ptrText         struct{ B []byte }
	octet           byte
	named           []byte
	marshaledOctets []octet
	holding         struct {
		V     byValue
		P     byPtr
		PP    *byPtr
		T     textual
		PT    ptrText
		L     []byPtr
		M     map[string]byPtr
		N     named
		O     marshaledOctets
		R     json.RawMessage
		I     fmt.Stringer
		J     json.Marshaler
		Big   big.Int
		BP    *big.Int
		Addr  netip.Addr
		Fixed [3]byte
		Any   any
	}
	keyed struct {
		I map[int]any
		U map[uint8][]byte
		T map[textual]any
		N map[kind]any
	}
	kind   string
	linked struct {
		Next *linked
		Any  any
		List []linked
		Map  map[string]*linked
	}
)

func (z zeroes) IsZero() bool                   { return z.A == z.B }
func (b byValue) MarshalJSON() ([]byte, error)  { return json.Marshal(b.b) }
func (b *byPtr) MarshalJSON() ([]byte, error)   { return []byte(`"ptr"`), nil }
func (t textual) MarshalText() ([]byte, error)  { return fmt.Appendf(nil, "t%d", t.n), nil }
func (t *ptrText) MarshalText() ([]byte, error) { return []byte("ptr text"), nil }
func (o octet) MarshalText() ([]byte, error)    { return []byte{'o'}, nil }

var nasty = []reflect.Type{
	reflect.TypeFor[shadow](), reflect.TypeFor[rival](), reflect.TypeFor[twice](), reflect.TypeFor[tagOptions](),
	reflect.TypeFor[holding](), reflect.TypeFor[*holding](), reflect.TypeFor[[]holding](), reflect.TypeFor[map[string]holding](),
	reflect.TypeFor[keyed](), reflect.TypeFor[linked](), reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any](),
	reflect.TypeFor[[]*tagOptions](), reflect.TypeFor[any](), reflect.TypeFor[[2]named](), reflect.TypeFor[struct{ nested }](),
	reflect.TypeFor[struct{ *Tagged }](),
}

// gen makes types and values from random numbers.
type gen struct{ *rand.Rand }

func (g gen) typ(depth int) reflect.Type {
	scalars := []reflect.Type{
		reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[bool](), reflect.TypeFor[float64](), reflect.TypeFor[float32](),
		reflect.TypeFor[uint8](), reflect.TypeFor[[]byte](), reflect.TypeFor[any](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[named](),
	}
	if depth <= 0 || g.IntN(3) == 0 {
		if g.IntN(4) == 0 {
			return nasty[g.IntN(len(nasty))]
		}
		return scalars[g.IntN(len(scalars))]
	}
	switch g.IntN(5) {
	case 0:
		return reflect.SliceOf(g.typ(depth - 1))
	case 1:
		return reflect.PointerTo(g.typ(depth - 1))
	case 2:
		return reflect.MapOf(reflect.TypeFor[string](), g.typ(depth-1))
	case 3:
		return reflect.ArrayOf(g.IntN(3), g.typ(depth-1))
	}
	var fields []reflect.StructField
	names := []string{"a", "A", "name", "", "Name", "x\"y", "é", "-"}
	opts := []string{"", ",omitempty", ",omitzero", ",string", ",omitempty,string", ",omitzero,omitempty", ",nothing"}
	for i := range g.IntN(5) {
		f := reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: g.typ(depth - 1)}
		if g.IntN(2) == 0 {
			f.Tag = reflect.StructTag(fmt.Sprintf("json:%q", names[g.IntN(len(names))]+opts[g.IntN(len(opts))]))
		}
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}

func (g gen) fill(v reflect.Value, depth int) {
	if !v.CanSet() || g.IntN(6) == 0 {
		return
	}
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes([]byte([]string{`{"a":[1, 2]}`, `"x"`, `nope`, `null`, "\"\xff\""}[g.IntN(5)]))
		return
	case json.Number:
		v.SetString([]string{"1", "", "-2.5e3", "x", "01"}[g.IntN(5)])
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(g.Int64N(1e9), 0).UTC()))
		return
	case big.Int:
		v.Addr().Interface().(*big.Int).SetInt64(g.Int64())
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(g.Int64N(1000) - 500)
	case reflect.Uint8:
		v.SetUint(g.Uint64N(256))
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{0, 1.5, 1e21, 1e-7, math.MaxFloat32, math.Inf(1), math.NaN()}[g.IntN(7)])
	case reflect.String:
		v.SetString([]string{"", "a", "é<&>€\"\\", "\xff", "1", "\x00\x1f\n"}[g.IntN(6)])
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			g.fill(v.Elem(), depth-1)
		}
	case reflect.Slice:
		if depth <= 0 {
			return
		}
		n := g.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			g.fill(v.Index(i), depth-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			g.fill(v.Index(i), depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if depth > 0 {
			for range g.IntN(3) {
				k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				g.fill(k, 0)
				g.fill(e, depth-1)
				v.SetMapIndex(k, e)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			g.fill(v.Field(i), depth-1)
		}
	case reflect.Interface:
		if depth > 0 && v.NumMethod() == 0 {
			e := reflect.New(g.typ(depth - 1)).Elem()
			g.fill(e, depth-1)
			v.Set(e)
		}
	}
}

// tokens is a JSON text without its spelling.
func tokens(text []byte) (list []string, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprintf("%T %v", tok, tok))
	}
}

// differs encodes v both ways and says how the results differ, "" if not at all.
func differs(v any) string {
	e := newEncoder(checkedJSON{stdJSON{}, true})
	defer e.free()
	err := e.array("", false, []any{v})
	std, stdErr := stdJSON{}.Marshal([]any{v})
	if stdErr == nil && strings.ContainsRune(string(std), '\ufffd') || err != nil && strings.Contains(err.Error(), "UTF-8") {
		if _, e := tokens(std); e != nil || err != nil {
			return "" // text that is not UTF-8 passes encoding/json in raw parts, and not here
		}
	}
	if (err == nil) != (stdErr == nil) {
		return fmt.Sprintf("ours %v, encoding/json %v", err, stdErr)
	}
	if err != nil {
		return ""
	}
	ours := jsontext.Inline(e.buf, e.parts)
	a, err := tokens(ours)
	b, stdErr := tokens(std)
	if err != nil || stdErr != nil || !slices.Equal(a, b) {
		return fmt.Sprintf("ours %s (%v)\nencoding/json %s (%v)", ours, err, std, stdErr)
	}
	return ""
}

// FuzzEncode holds the encoder against encoding/json, with types that are made up
// and with those that an encoder of one's own gets wrong.
func FuzzEncode(f *testing.F) {
	for i := range uint64(300) {
		f.Add(i, i*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		g := gen{rand.New(rand.NewPCG(a, b))}
		typ := nasty[int(a%uint64(len(nasty)))]
		if b%2 == 0 {
			typ = g.typ(3)
		}
		v := reflect.New(typ).Elem()
		g.fill(v, 4)
		arg := v.Interface()
		if b%3 == 0 {
			arg = v.Addr().Interface()
		}
		if d := differs(arg); d != "" {
			t.Fatalf("%v: %#v\n%s", typ, arg, d)
		}
	})
}

// TestEncodeLikeStd holds the values of which reports told.
func TestEncodeLikeStd(t *testing.T) {
	yes := true
	for _, v := range []any{
		shadow{Deeper: Deeper{nested: nested{Name: "nested", Data: []byte{1}}}, Name: "outer"},
		rival{onLeft{"a", "b"}, onRight{"c", "d"}, []byte{1}},
		tagOptions{ID: math.MaxInt64, S: `a"b`, B: &yes, Blob: []byte{}, Z: zeroes{1, 1}, PZ: &zeroes{1, 2}},
		&holding{PP: &byPtr{}, L: []byPtr{{}}, M: map[string]byPtr{"a": {[]byte{1}}}, Big: *big.NewInt(1 << 40), BP: big.NewInt(7)},
		holding{P: byPtr{[]byte{1}}},
		keyed{I: map[int]any{2: 1, 10: 2}, U: map[uint8][]byte{1: {1}}, T: map[textual]any{{1}: 1}, N: map[kind]any{"b": 1, "a": 2}},
		struct{ B map[bool]any }{}, map[bool][]byte{}, map[[1]int]any{},
		struct{ A any }{[]any(nil)}, struct{ A any }{map[string]any(nil)}, struct{ A any }{[]string(nil)},
		[]any(nil), map[string]any(nil), []byte(nil), json.RawMessage(nil), json.RawMessage{}, json.RawMessage("\n[1, 2]\n"),
		struct{ A any }{math.NaN()}, struct{ A any }{make(chan int)}, struct{ A any }{func() {}}, struct{ A any }{complex(1, 2)},
		map[string]any{"b": []byte{1}, "a": map[string]any{"\xff": 1}}, marshaledOctets{1, 2},
	} {
		if d := differs(v); d != "" {
			t.Errorf("%T: %s", v, d)
		}
	}
}

// TestEncodeCycles: a value that contains itself is an error, whether encoding/json
// finds it or we do.
func TestEncodeCycles(t *testing.T) {
	m := map[string]any{}
	m["self"] = m
	l := &linked{}
	l.Next = l
	var s []any
	s = append(s, &s)
	type plain struct{ P *plain }
	p := &plain{}
	p.P = p
	for _, v := range []any{m, l, s, p, []any{p}} {
		e := newEncoder(checkedJSON{stdJSON{}, true})
		if err := e.array("x", true, []any{v}); err == nil {
			t.Errorf("%T: no error", v)
		}
		e.free()
	}
}

// TestEncodeNothingElse: what an application passes on beside binary is refused
// when clients could take it for a placeholder, and text that is not UTF-8 always.
func TestEncodeNothingElse(t *testing.T) {
	type marked struct {
		P bool `json:"_placeholder"`
		N int  `json:"num"`
	}
	foreign := Args{raw: []json.RawMessage{json.RawMessage(`{"a":{"_pl\u0061ceholder":true,"num":7}}`)}}
	for _, v := range []any{
		foreign, json.RawMessage(`{"_placeholder":true,"num":0}`), map[string]any{"_placeholder": true, "num": 0},
		marked{true, 0}, []marked{{true, 1}}, map[string]any{"_placeholder": 1},
	} {
		e := newEncoder(checkedJSON{stdJSON{}, true})
		if err := e.array("x", true, []any{v, []byte{1}}); err == nil {
			t.Errorf("%T beside binary: %s", v, e.buf)
		}
		e.free()
		e = newEncoder(checkedJSON{stdJSON{}, true})
		if err := e.array("x", true, []any{v}); err != nil {
			t.Errorf("%T alone: %v", v, err)
		}
		e.free()
	}
	for _, v := range []any{
		json.RawMessage("\"\xff\""), struct{ R json.RawMessage }{json.RawMessage("\"\xff\"")}, []any{json.RawMessage("[\"\xc0\"]")},
		struct {
			R json.RawMessage
			B []byte
		}{json.RawMessage("\"\xed\xa0\x80\""), nil},
	} {
		e := newEncoder(checkedJSON{stdJSON{}, true})
		if err := e.array("x", true, []any{v}); err == nil {
			t.Errorf("%T: %q", v, e.buf)
		}
		e.free()
	}
	e := newEncoder(checkedJSON{stdJSON{}, true})
	defer e.free()
	if err := e.array("\xff", true, []any{"\xfe", map[string]any{"\xfd": "\xfc"}, map[string]string{"\xfb": "\xfa"}}); err != nil || !slices.Equal(bytes.Runes(e.buf), []rune(strings.ToValidUTF8(string(e.buf), "!"))) {
		t.Errorf("%q %v", e.buf, err)
	}
}
