package msgpack

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/siokit/siokit/internal/strictmsgpack"
)

func TestPlaceholders(t *testing.T) {
	parts := [][]byte{{1}, {2}}
	for text, want := range map[string]string{
		`{"num":1,"_placeholder":true}`:                                 "\xc4\x01\x02",
		` { "_placeholder" : true , "num" : 1 , "x":[{}] } `:            "\xc4\x01\x02",
		`{"_placeholder":true,"num":0 }`:                                "\xc4\x01\x01",
		`{"\u005fplaceholder":true,"n\u0075m":1}`:                       "\xc4\x01\x02",
		`{"_placeholder":false,"num":1}`:                                "\x82\xac_placeholder\xc2\xa3num\x01",
		`{"_placeholder":null}`:                                         "\x81\xac_placeholder\xc0",
		`{"num":{"_placeholder":true,"num":1}}`:                         "\x81\xa3num\xc4\x01\x02",
		`["_placeholder",{"num":9}]`:                                    "\x92\xac_placeholder\x81\xa3num\x09",
		`{"_placeholder":true,"num":2}`:                                 "",
		`{"_placeholder":true,"num":-1}`:                                "",
		`{"_placeholder":true,"num":01}`:                                "",
		`{"_placeholder":true,"num":1.0}`:                               "",
		`{"_placeholder":true,"num":"1"}`:                               "",
		`{"_placeholder":true,"num":99999999999}`:                       "",
		`{"_placeholder":true}`:                                         "",
		`{"_placeholder":1,"num":1}`:                                    "",
		`{"_placeholder":true,"num":1,"num":1}`:                         "",
		`{"_placeholder":true,"_placeholder":true,"num":1}`:             "",
		`{"_placeholder":{"_placeholder":true,"num":0},"num":1}`:        "",
		`{"_placeholder":true,"num":{"_placeholder":true,"num":0}}`:     "",
		`{"a":{"_placeholder":true,"num":0},"_placeholder":"x"}`:        "",
		`{"_placeholder":false,"_placeholder":false,"num":1}`:           "",
		`[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`: "\x92\xc4\x01\x01\xc4\x01\x01",
	} {
		got, err := AppendJSON(nil, []byte(text), parts, Notepack3)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	// Without attachments nobody looks.
	got, err := AppendJSON(nil, []byte(`{"_placeholder":true,"num":0}`), nil, Notepack3)
	if string(got) != "\x82\xac_placeholder\xc3\xa3num\x00" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	r := NewReader(got)
	var back [][]byte
	if text := r.AppendJSON(nil, &back); string(text) != `{"_placeholder":true,"num":0}` || r.End() != nil || back != nil {
		t.Errorf("%s, %v", text, r.Err())
	}
	// Beside binary such an object would be taken for another attachment.
	r = NewReader([]byte("\x92\xc4\x01\x01\x81\xac_placeholder\xc3"))
	if text := r.AppendJSON([]byte("x"), &back); string(text) != "x" || !errors.Is(r.Err(), ErrPlaceholder) {
		t.Errorf("%s, %v", text, r.Err())
	}
}

// TestProto: the key that harms Node is data, but for binary below it and where the
// reader would throw the message away.
func TestProto(t *testing.T) {
	for text, ok := range map[string][2]bool{ // notepack.io, @msgpack/msgpack
		`{"__proto__":1}`: {true, false},
		`{"__proto__":{"__proto__":[{"a":"b"}]},"b":{"_placeholder":true,"num":0}}`: {true, false},
		`{"__proto__":{"_placeholder":true,"num":0}}`:                               {false, false},
		`{"__proto\u005f_":{"__proto__":[{"_placeholder":true,"num":0}]}}`:          {false, false},
		`{"_proto_":{"_placeholder":true,"num":0},"a":"__proto__"}`:                 {true, true},
	} {
		for _, d := range dialects {
			got, err := AppendJSON([]byte("x"), []byte(text), [][]byte{{1}}, d)
			want := ok[0]
			if d == Msgpack2 {
				want = ok[1]
			}
			if (err == nil) != want || err != nil && (!errors.Is(err, ErrProto) || string(got) != "x") {
				t.Errorf("%s, %d: %q, %v", text, d, got, err)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := AppendJSON(nil, []byte(nest(MaxDepth)), nil, Notepack3); err != nil {
		t.Error(err)
	}
	if _, err := AppendJSON(nil, []byte(nest(MaxDepth+1)), nil, Notepack3); !errors.Is(err, errDeep) {
		t.Error(err)
	}
	for n, want := range map[int]error{MaxDepth: nil, MaxDepth + 1: errDeep, 1 << 20: errDeep} {
		for _, in := range []string{strings.Repeat("\x91", n-1) + "\x90", strings.Repeat("\x81\xa0", n-1) + "\x80"} {
			r := NewReader([]byte(in))
			if r.AppendJSON(nil, nil); !errors.Is(r.End(), want) {
				t.Errorf("%d: %v", n, r.Err())
			}
			raw := NewReader([]byte(in)) // does not recurse
			if raw.Raw(); raw.End() != nil {
				t.Error(raw.Err())
			}
		}
	}
	if _, err := AppendJSON(nil, []byte("1"), make([][]byte, MaxAttachments+1), Notepack3); !errors.Is(err, errCount) {
		t.Error(err)
	}
	for n, want := range map[int]error{MaxAttachments: nil, MaxAttachments + 1: errCount} {
		r := NewReader(append(AppendArray(nil, n), strings.Repeat("\xc4\x00", n)...))
		var parts [][]byte
		if r.AppendJSON(nil, &parts); !errors.Is(r.End(), want) {
			t.Errorf("%d: %v", n, r.Err())
		}
	}
	for _, text := range []string{"", " ", "nul", "[1", `{"a"}`, "1 2", `"`, "\x00", `"\x"`, "01"} {
		if got, err := AppendJSON([]byte("x"), []byte(text), nil, Notepack3); !errors.Is(err, errText) || string(got) != "x" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestReader(t *testing.T) {
	var b []byte
	b = AppendMap(b, 2)
	b = AppendString(b, "key\xff")
	b = AppendArray(b, 5)
	b = AppendNil(b)
	b = AppendBool(b, true)
	b = AppendInt(b, -300)
	b = AppendFloat(b, 1.25)
	b = AppendBytes(b, []byte{1})
	b = AppendUint(b, 12)
	b = AppendFloat(b, math.Inf(1))
	r := NewReader(b)
	if n := r.Map(); n != 2 || string(r.String()) != "key\ufffd" || r.Array() != 5 || r.Kind() != Nil {
		t.Fatal(n, r.Err())
	}
	if string(r.Raw()) != "\xc0" || !r.Bool() || r.Kind() != Int || string(r.Text()) != "-300" || string(r.Text()) != "1.25" || string(r.Bytes()) != "\x01" {
		t.Fatal(r.Err())
	}
	if err := r.End(); err == nil {
		t.Fatal("no trailing bytes")
	}
	r = NewReader(b[len(b)-2:])
	if r.Uint() != 12 || r.Kind() != Nil || r.Err() != nil {
		t.Fatal(r.Err())
	}
	if r.Uint() != 0 || r.Err() == nil || r.Kind() != None || r.Array() != 0 || r.Map() != 0 || r.Text() != nil || r.Raw() != nil || r.Bool() || len(r.String()) != 0 {
		t.Fatal("after an error")
	}
	if want := "msgpack: nil at byte 1 instead of an integer"; r.End().Error() != want {
		t.Error(r.End())
	}
	for _, in := range []string{"\xc0", "\xc4\x00", "\x90", "\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "\xc1", ""} {
		r := NewReader([]byte(in))
		if got := r.Text(); got != nil || r.Err() == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestReadBuffer(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"Buffer","data":[]}rest`: "", `{"type":"Buffer","data":[1,0,255]}`: "\x01\x00\xff",
		`{"type":"Buffer","data":[256]}`: "no", `{"type":"Buffer","data":[1,]}`: "no", `{"type":"Buffer","data":[,1]}`: "no",
		`{"type":"Buffer","data":[-1]}`: "no", `{"type":"Buffer","data":[1.0]}`: "no", `{"type":"Buffer","data":[[1]]}`: "no",
		`{"type":"Buffer","data":[1]`: "no", `{"type":"Buffer","data":[1`: "no", `{"type":"Buffer","data":[1],"x":1}`: "no", `{"data":[1],"type":"Buffer"}`: "no",
	} {
		data, n := ReadBuffer([]byte(text))
		if want == "no" {
			if n != 0 {
				t.Errorf("%s: %q", text, data)
			}
		} else if string(data) != want || n != len(strings.TrimSuffix(text, "rest")) {
			t.Errorf("%s: %q, %d", text, data, n)
		}
	}
}

// expected is what a reader in Node must get for a JSON text with these attachments.
func expected(v any, parts [][]byte) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = expected(v[i], parts)
		}
	case map[string]any:
		if len(parts) > 0 && v["_placeholder"] == true {
			return parts[int(v["num"].(float64))]
		}
		delete(v, "__proto__")
		for k := range v {
			v[k] = expected(v[k], parts)
		}
	}
	return v
}

// FuzzAppendJSON holds the writer against encoding/json and a strict reader of msgpack.
func FuzzAppendJSON(f *testing.F) {
	for _, v := range append(slices.Clone(vectors[:38]), written...) {
		f.Add([]byte(v.json), []byte(nil), uint8(0))
	}
	f.Add([]byte(`["bin",{"b":{"_placeholder":true,"num":0}},{"num":1,"_placeholder":true}]`), []byte("\x01\x02"), uint8(2))
	f.Add([]byte(`[{"__proto__":{"_placeholder":true,"num":0}}]`), []byte("\x01\x02"), uint8(1))
	f.Add([]byte(`{"a":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17],"b":{"_placeholder":false}}`), []byte("x"), uint8(1))
	f.Fuzz(func(t *testing.T, text, part []byte, n uint8) {
		var parts [][]byte
		for range n % 4 {
			parts = append(parts, part)
		}
		for _, d := range dialects {
			got, err := AppendJSON([]byte("x"), text, parts, d)
			var want any
			wrong := json.Unmarshal(text, &want)
			if err != nil {
				if string(got) != "x" {
					t.Fatalf("%q: an error and %q", text, got)
				}
				known := errors.Is(err, ErrPlaceholder) || errors.Is(err, ErrProto) || errors.Is(err, errDeep)
				if wrong == nil && !known {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			v, err := strictmsgpack.Decode(got[1:], d == Msgpack2)
			if err != nil {
				t.Fatalf("%q: %x: %v", text, got, err)
			}
			if wrong != nil { // a number that Go's float64 does not hold
				if !strings.Contains(wrong.Error(), "cannot unmarshal number") {
					t.Fatalf("%q was written: %v", text, wrong)
				}
				continue
			}
			if want = expected(want, parts); !reflect.DeepEqual(v, want) {
				t.Fatalf("%q: %v instead of %v", text, v, want)
			}
		}
	})
}

// FuzzRead: whatever comes, the reader ends with an error or with valid JSON that is no
// larger than its input justifies, and the same is read of what is written of that.
func FuzzRead(f *testing.F) {
	for _, v := range read {
		f.Add(unhex(f, v.hex))
	}
	for _, v := range vectors[:45] {
		f.Add(unhex(f, v.hex))
	}
	f.Add([]byte("\x93\xa3bin\x81\xa1b\xc4\x02\x01\x02\xc4\x01\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, buffers := range []bool{false, true} {
			var parts [][]byte
			to := &parts
			if buffers {
				to = nil
			}
			r := NewReader(data)
			text := r.AppendJSON(nil, to)
			raw := NewReader(data)
			raw.Raw()
			if err := r.End(); err != nil {
				continue
			}
			if raw.End() != nil {
				t.Fatalf("%x: %v", data, raw.Err())
			}
			if !json.Valid(text) || !utf8.Valid(text) {
				t.Fatalf("%x: %q", data, text)
			}
			if len(text) > 30*len(data)+40 {
				t.Fatalf("%d bytes of %d", len(text), len(data))
			}
			again, err := AppendJSON(nil, text, parts, Notepack3)
			if err != nil {
				if !errors.Is(err, ErrProto) {
					t.Fatalf("%s: %v", text, err)
				}
				continue
			}
			var back [][]byte
			r = NewReader(again)
			if second := r.AppendJSON(nil, &back); r.End() != nil || string(second) != string(text) || len(back) != len(parts) {
				t.Fatalf("%s: %s, %v", text, second, r.Err())
			}
		}
	})
}

var benchJSON = []byte(`["hello",1,-5,300,70000,1099511627776,1.5,true,null,null,"é€",{"a":[1],"d":"1970-01-01T00:00:00.000Z"},"line\nline"]`)

func TestAllocs(t *testing.T) {
	b, err := AppendJSON(nil, benchJSON, nil, Notepack3)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { AppendJSON(dst, benchJSON, nil, Notepack3) }); n != 0 {
		t.Errorf("writing: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		r := NewReader(b)
		r.AppendJSON(dst, nil)
	}); n != 0 {
		t.Errorf("reading: %v allocations", n)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	b.SetBytes(int64(len(benchJSON)))
	for b.Loop() {
		AppendJSON(dst, benchJSON, nil, Notepack3)
	}
}

func BenchmarkRead(b *testing.B) {
	in, _ := AppendJSON(nil, benchJSON, nil, Notepack3)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		r := NewReader(in)
		r.AppendJSON(dst, nil)
	}
}
