package strictmsgpack

import (
	"reflect"
	"testing"
)

func TestDecode(t *testing.T) {
	for in, want := range map[string]any{
		"\x93\x01\xff\xa1a":                    []any{1.0, -1.0, "a"},
		"\x82\xa1a\xc0\xa1b\xc3":               map[string]any{"a": nil, "b": true},
		"\xcc\x80":                             128.0,
		"\xd1\xff\x7f":                         -129.0,
		"\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00": 0.5,
		"\xc4\x01x":                            []byte("x"),
		"\x81\xa9__proto__\x81\xa1a\x01":       map[string]any{},
	} {
		if got, err := Decode([]byte(in), false); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "\xc1", "\x91", "\x81\xa1a", "\x01\x01", "\xa1\xff", "\x81\x01\x01", // no msgpack, no text
		"\xcc\x7f", "\xcd\x00\xff", "\xce\x00\x00\xff\xff", "\xcf\x00\x00\x00\x00\xff\xff\xff\xff", // not the smallest
		"\xd0\xe0", "\xd1\xff\x80", "\xd2\xff\xff\x80\x00", "\xd0\x01", "\xd3\xff\xff\xff\xff\x80\x00\x00\x00",
		"\xd9\x01a", "\xda\x00\x01a", "\xc5\x00\x01a", "\xdc\x00\x01\x01", "\xde\x00\x01\xa0\x01",
		"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "\xca\x3f\xc0\x00\x00", // floats
		"\xd6\xff\x00\x00\x00\x00", "\xd4\x00\x00", "\xc7\x01\x00\x00", // extensions
		"\x81\xa9__proto__\xc4\x01x", "\x81\xa9__proto__\x81\xa1a\xc4\x01x", // what ends Node
	} {
		if got, err := Decode([]byte(in), false); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	if _, err := Decode([]byte("\x81\xa9__proto__\x01"), true); err == nil {
		t.Error("@msgpack/msgpack takes no __proto__")
	}
}
