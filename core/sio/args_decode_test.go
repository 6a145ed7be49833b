package sio

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/jsontext"
)

func argsOf(attachments [][]byte, raw ...string) Args {
	a := Args{json: checkedJSON{stdJSON{}, true}, attachments: attachments}
	for _, r := range raw {
		a.raw = append(a.raw, json.RawMessage(r))
	}
	return a
}

type (
	leaf struct {
		Any  any
		Blob []byte
		Raw  json.RawMessage
	}
	tree struct {
		leaf
		M    map[string]any
		L    []any
		P    *any
		Deep map[string][]leaf
		Int  map[int]any
		Text map[kind]*leaf
		Arr  [1]any
		Next *tree
		Own  ownForm
	}
	ownForm struct{ text string }
)

func (o *ownForm) UnmarshalJSON(b []byte) error {
	o.text = string(b)
	return nil
}

const (
	ph0 = `{"_placeholder":true,"num":0}`
	ph1 = `{"num":1,"_placeholder":true}`
)

// TestNestedBinary: an attachment is a []byte wherever Go has room for one.
func TestNestedBinary(t *testing.T) {
	parts := [][]byte{{1, 2, 3}, {}}
	one := func(dst any, raw string) {
		t.Helper()
		if err := argsOf(parts, raw).Bind(dst); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	same := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v instead of %#v", what, got, want)
		}
	}
	var m map[string]any
	one(&m, `{"a":`+ph0+`,"b":[`+ph1+`,"AQID"],"c":1}`)
	same("map", m, map[string]any{"a": parts[0], "b": []any{parts[1], "AQID"}, "c": 1.0})
	var l []any
	one(&l, `[`+ph0+`,{"x":`+ph1+`}]`)
	same("list", l, []any{parts[0], map[string]any{"x": parts[1]}})
	var ms []map[string]any
	one(&ms, `[{"a":`+ph0+`},{"b":`+ph1+`}]`)
	same("list of maps", ms, []map[string]any{{"a": parts[0]}, {"b": parts[1]}})
	var p **any
	one(&p, ph0)
	same("pointer", **p, any(parts[0]))

	for _, row := range []struct {
		raw string
		get func(tree) any
	}{
		{`{"any":%s}`, func(x tree) any { return x.Any }},
		{`{"BLOB":%s}`, func(x tree) any { return x.Blob }},
		{`{"M":{"k":%s,"other":"AQID"}}`, func(x tree) any { return x.M["k"] }},
		{`{"l":[0,%s]}`, func(x tree) any { return x.L[1] }},
		{`{"P":%s}`, func(x tree) any { return *x.P }},
		{`{"Deep":{"k":[{},{"Any":[%s]}]}}`, func(x tree) any { return x.Deep["k"][1].Any.([]any)[0] }},
		{`{"Int":{"7":%s,"x":0}}`, nil}, // an error of the codec
		{`{"Int":{"7":%s}}`, func(x tree) any { return x.Int[7] }},
		{`{"Text":{"k":{"any":%s}}}`, func(x tree) any { return x.Text["k"].Any }},
		{`{"Arr":[%s,1,2]}`, func(x tree) any { return x.Arr[0] }},
		{`{"Next":{"Next":{"M":{"k":{"k":%s}}}}}`, func(x tree) any { return x.Next.Next.M["k"].(map[string]any)["k"] }},
		{`{"unknown":%s,"Any":1}`, func(x tree) any { return []byte{1, 2, 3} }},
	} {
		raw := fmt.Sprintf(row.raw, ph0)
		var x tree
		err := argsOf(parts[:1], raw).Bind(&x)
		if row.get == nil {
			if err == nil {
				t.Errorf("%s: no error", raw)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		same(raw, row.get(x), parts[0])
	}
	var x tree
	one(&x, `{"Raw":`+ph0+`,"Own":{"a":`+ph1+`}}`)
	same("raw", string(x.Raw), `"AQID"`)
	same("own", x.Own.text, `{"a":""}`)
	two, err := decodeAs[Args2[map[string]any, tree]](argsOf(parts, `{"a":`+ph0+`}`, `{"M":{"b":`+ph1+`}}`))
	same("two", []any{two.A, two.B.M, err}, []any{map[string]any{"a": parts[0]}, map[string]any{"b": parts[1]}, nil})
}

func decodeAs[T any](a Args) (T, error) { return decoderOf[T]()(a) }

// TestOneMeaning: Args that are passed on have one meaning, that which was checked.
func TestOneMeaning(t *testing.T) {
	type user struct{ Name string }
	type message struct {
		Text  string
		Users []user
		By    map[string]user
		Tags  map[string]string
		Nums  map[int]string
		Any   any
		K     string `json:"status"`
	}
	for raw, good := range map[string]bool{
		`{"text":"a"}`:                               true,
		`{"TEXT":"a","other":1,"OTHER":2}`:           true,
		`{"Text":"a","TEXT":"b"}`:                    false,
		`{"Text":"a","Text":"b"}`:                    false,
		`{"Text":"a","Te\u0078t":"b"}`:               false,
		`{"status":"a","\u017ftatus":"b"}`:           false, // a long s folds to s
		`{"users":[{"name":"a"},{"name":"b"}]}`:      true,
		`{"users":[{"name":"a","NAME":"b"}]}`:        false,
		`{"by":{"x":{"name":"a"},"X":{"name":"b"}}}`: true,
		`{"by":{"x":{"name":"a","Name":"b"}}}`:       false,
		`{"tags":{"a":"1","A":"2"}}`:                 true,
		`{"tags":{"a":"1","\u0061":"2"}}`:            false,
		`{"by":{"":{},"":{}}}`:                       false,
		`{"any":{"Text":1,"text":2}}`:                true,
		`{"any":[{"Text":1,"Text":2}]}`:              false,
		`{"nums":{"1":"a","2":"b"}}`:                 true,
		`{"nums":{"1":"a","01":"b"}}`:                false,
		`{"k":1,"K":2}`:                              true, // no field has that name
		`null`:                                       true,
	} {
		var m message
		err := argsOf(nil, raw).Bind(&m)
		if (err == nil) != good {
			t.Errorf("%s: %v", raw, err)
		}
		alone := argsOf(nil, raw)
		alone.json = unshared{alone.json}
		if err := alone.Bind(&m); err != nil {
			t.Errorf("%s, when nobody can pass it on: %v", raw, err)
		}
		if _, err := decoderOf[message]()(argsOf(nil, raw)); (err == nil) != good {
			t.Errorf("%s: a typed handler's %v", raw, err)
		}
	}
	// A text that was read in a way that nobody knows has one meaning for all ways,
	// also in a typed handler: the type may keep it.
	many := `"a":1,`
	for i := range 40 {
		many += fmt.Sprintf(`"k%d":%d,`, i, i)
	}
	for raw, good := range map[string]bool{
		`{"a":1,"b":{"a":2}}`:            true,
		`{"a":1,"A":2}`:                  false,
		`[[{"b":{"a":1,"a":2}}]]`:        false,
		`{"\u017f":1,"S":2}`:             false,
		`{` + many + `"last":{}}`:        true,
		`{` + many + `"K39":{}}`:         false,
		`{` + many + `"K3":{}}`:          false,
		`{"x":{` + many + `"\u0041":1}}`: false,
		`"{\"a\":1,\"A\":2}"`:            true,
	} {
		type holder struct {
			Own  ownForm
			List []*json.RawMessage
		}
		for _, into := range []struct {
			raw string
			dst any
		}{{raw, new(json.RawMessage)}, {raw, new(ownForm)}, {`{"own":` + raw + `}`, new(holder)}, {`{"list":[` + raw + `]}`, new(holder)}} {
			for _, a := range []Args{argsOf(nil, into.raw), {raw: argsOf(nil, into.raw).raw, json: unshared{stdJSON{}}}} {
				if err := a.Bind(into.dst); (err == nil) != good {
					t.Errorf("%.60s into %T: %v", into.raw, into.dst, err)
				}
			}
		}
	}
	alone := Args{json: unshared{stdJSON{}}}
	whole, _ := decodeAs[Args](alone)
	own, _ := decodeAs[handsOn](alone)
	for _, a := range []Args{whole, own.a, alone.Clone()} {
		if a.alone() {
			t.Error("Args that the application has are taken for its decoder's own")
		}
	}
}

// handsOn keeps what it is given.
type handsOn struct{ a Args }

func (h *handsOn) UnmarshalArgs(a Args) error {
	h.a = a
	return nil
}

// TestMisfit: clients are told the argument, the key and the kinds of JSON; the log
// is told the rest.
func TestMisfit(t *testing.T) {
	type Embedded struct{ Limit int }
	type internalRecord struct {
		Embedded
		Max   []map[string]uint8 `json:"max"`
		At    time.Time
		Blob  []byte
		Inner *struct{ B bool }
		F     float64
	}
	long := strings.Repeat("k", 5000)
	for raw, want := range map[string]string{
		`"x"`:                           `a string instead of an object`,
		`[1]`:                           `an array instead of an object`,
		`{"limit":"x"}`:                 `"limit" is a string instead of an integer`,
		`{"a":{"limit":1},"LIMIT":[1]}`: `"LIMIT" is an array instead of an integer`,
		`{"limit":1.5}`:                 `"limit" is a number that is not in the range of an integer`,
		`{"max":[{},{"a b":300}]}`:      `"max[1].a b" is a number that is not in the range of an integer`,
		`{"max":[{"` + long + `":{}}]}`: `"max[0].` + long[:93] + `..." is an object instead of an integer`,
		`{"inner":{"b":0}}`:             `"inner.b" is a number instead of a boolean`,
		`{"f":true}`:                    `"f" is a boolean instead of a number`,
		`{"blob":{}}`:                   `"blob" is an object instead of binary`,
		`{"blob":"!"}`:                  `it cannot be decoded`,
		`{"at":"yesterday"}`:            `it cannot be decoded`,
		`{"limit":1,"Limit":2}`:         `"Limit" is there twice`,
	} {
		var r internalRecord
		err := argsOf(nil, "0", raw).Slice(1).Bind(&r)
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeBadArgument || e.Message != "argument 1: "+want {
			t.Errorf("%.60s\n got  %v\n want %s", raw, err, want)
			continue
		}
		if text, _ := json.Marshal(e); strings.Contains(string(text), "internalRecord") || strings.Contains(string(text), "Go ") {
			t.Errorf("the client is told %s", text)
		}
	}
	var r internalRecord
	err := argsOf(nil, `{"limit":"x"}`).Bind(&r)
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(detailed(err, e).Error(), "internalRecord") {
		t.Errorf("the log is told %v", err)
	}
}

// TestMisfitCost: however an argument is built, saying what is wrong with it or
// looking for keys takes one pass.
func TestMisfitCost(t *testing.T) {
	type node struct {
		Next *node
		Max  []int
		Any  any
	}
	different := make([]string, 160_000)
	for i := range different {
		different[i] = fmt.Sprintf(`"k%d":1`, i)
	}
	for name, raw := range map[string]string{
		"wide":  `{"max":[` + strings.Repeat("1,", 400_000) + `"x"]}`,
		"deep":  strings.Repeat(`{"next":`, 60) + `{"max":[` + strings.Repeat("1,", 400_000) + `"x"]}` + strings.Repeat("}", 60),
		"keys":  `{` + strings.Repeat(`"a":1,`, 160_000) + `"max":"x"}`,
		"many":  `{"any":{` + strings.Join(different, ",") + `},"max":"x"}`,
		"twice": `{"max":[],` + strings.Repeat(`"a":1,`, 160_000) + `"MAX":[]}`,
		"nulls": strings.Repeat(`{"next":null,`, 0) + `{"any":[` + strings.Repeat("{},", 300_000) + `{}],"max":"x"}`,
	} {
		from := time.Now()
		k := keyChecker{c: jsontext.Cursor{Data: []byte(raw)}, in: hasStruct | hasMap | hasAny | hasOwn}
		k.value(reflect.TypeFor[node]())
		_ = keyTwice([]byte(raw))
		p := pathFinder{c: jsontext.Cursor{Data: []byte(raw)}, at: len(raw) - 70}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p.value()
		runtime.ReadMemStats(&after)
		// Milliseconds; with the race detector on a busy machine, seconds. A pass for each
		// key reads 300 GB, which takes longer than the bound everywhere.
		if d := time.Since(from); d > 40*time.Second {
			t.Errorf("%s: %v", name, d)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(raw)) {
			t.Errorf("%s: %d bytes for %d", name, n, len(raw))
		}
	}
}
