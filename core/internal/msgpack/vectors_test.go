package msgpack

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// vectors are what all three packages of Node write for what JSON.parse returns.
var vectors = []struct{ json, hex string }{
	{`0`, "00"}, {`127`, "7f"}, {`128`, "cc80"}, {`255`, "ccff"}, {`256`, "cd0100"}, {`300`, "cd012c"},
	{`65535`, "cdffff"}, {`65536`, "ce00010000"}, {`70000`, "ce00011170"}, {`4294967295`, "ceffffffff"},
	{`4294967296`, "cf0000000100000000"}, {`1099511627776`, "cf0000010000000000"}, {`9007199254740991`, "cf001fffffffffffff"},
	{`-1`, "ff"}, {`-32`, "e0"}, {`-33`, "d0df"}, {`-128`, "d080"}, {`-129`, "d1ff7f"}, {`-32768`, "d18000"},
	{`-32769`, "d2ffff7fff"}, {`-2147483648`, "d280000000"}, {`-2147483649`, "d3ffffffff7fffffff"},
	{`-9007199254740991`, "d3ffe0000000000001"}, {`1.5`, "cb3ff8000000000000"}, {`-0.25`, "cbbfd0000000000000"},
	{`0.1`, "cb3fb999999999999a"}, {`5e-324`, "cb0000000000000001"}, {`0.5`, "cb3fe0000000000000"},
	{`true`, "c3"}, {`false`, "c2"}, {`null`, "c0"}, {`""`, "a0"}, {`"a"`, "a161"}, {`"é€😀"`, "a9c3a9e282acf09f9880"},
	{`[]`, "90"}, {`{}`, "80"}, {`[1,[2,[3]]]`, "920192029103"}, {`{"a":{"b":[null]},"":""}`, "82a16181a16291c0a0a0"},
	{`{"é":1}`, "81a2c3a901"}, {`{"b":1}`, "81a16201"}, {`[1,{"a":2}]`, "920181a16102"},
	{`"` + strings.Repeat("x", 31) + `"`, "bf" + strings.Repeat("78", 31)},
	{`"` + strings.Repeat("x", 32) + `"`, "d920" + strings.Repeat("78", 32)},
	{`"` + strings.Repeat("x", 255) + `"`, "d9ff" + strings.Repeat("78", 255)},
	{`"` + strings.Repeat("x", 256) + `"`, "da0100" + strings.Repeat("78", 256)},
	{`"` + strings.Repeat("x", 65_535) + `"`, "daffff" + strings.Repeat("78", 65_535)},
	{`"` + strings.Repeat("x", 65_536) + `"`, "db00010000" + strings.Repeat("78", 65_536)},
	{`[0` + strings.Repeat(",0", 14) + `]`, "9f" + strings.Repeat("00", 15)},
	{`[0` + strings.Repeat(",0", 15) + `]`, "dc0010" + strings.Repeat("00", 16)},
	{`[0` + strings.Repeat(",0", 65_534) + `]`, "dcffff" + strings.Repeat("00", 65_535)},
	{`[0` + strings.Repeat(",0", 65_535) + `]`, "dd00010000" + strings.Repeat("00", 65_536)},
	{`{"":0` + strings.Repeat(`,"":0`, 14) + `}`, "8f" + strings.Repeat("a000", 15)},
	{`{"":0` + strings.Repeat(`,"":0`, 15) + `}`, "de0010" + strings.Repeat("a000", 16)},
	{`{"":0` + strings.Repeat(`,"":0`, 65_535) + `}`, "df00010000" + strings.Repeat("a000", 65_536)},
}

// written are texts that are read back as others: what Node writes for them, or, where Node
// writes something wrong, what means the same.
var written = []struct{ json, hex string }{
	{`-0`, "00"}, {`-0.0`, "00"}, {`1.0`, "01"}, {`1e3`, "cd03e8"}, {`-2.50e1`, "e7"}, {` [ 1 , { "a" : 2 } ] `, "920181a16102"},
	{`"\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t\u0000"`, "afc3a9f09f98800a225c2f080c0d0900"},
	{`1e21`, "cb444b1ae4d6e2ef50"},                                                                // notepack: wrapped
	{`18446744073709551615`, "cfffffffffffffffff"}, {`9223372036854775808`, "cf8000000000000000"}, // Node has no such numbers
	{`-9223372036854775808`, "d38000000000000000"}, {`-9223372036854775809`, "cbc3e0000000000000"},
	{`18446744073709551616`, "cb43f0000000000000"}, {`1e999`, "c0"}, {`-1e999`, "c0"},
	{`"\ud800"`, "a3efbfbd"}, {`"\ud800x"`, "a4efbfbd78"}, {`"\udc00\ud800\udc00"`, "a7efbfbdf0908080"}, // Node: no UTF-8
	{"\"a\xffb\"", "a561efbfbd62"}, {"{\"\xff\":\"\\n\xfe\"}", "81a3efbfbda40aefbfbd"},
	{`{"\u005f_proto__":1}`, "81a95f5f70726f746f5f5f01"},
}

// read is what other writers write, the two notepack.io among them.
var read = []struct{ hex, json string }{
	{"93c0d40000d40001", `[null,null,null]`}, {"82a161c0a16201", `{"a":null,"b":1}`}, {"82a161d40000a16201", `{"a":null,"b":1}`},
	{"d6ff00000001", `"1970-01-01T00:00:01.000Z"`}, {"d70000000000000003e8", `"1970-01-01T00:00:01.000Z"`},
	{"d7ff37ca3a0000000001", `"1970-01-01T00:00:01.234Z"`}, {"d70000000000000004d2", `"1970-01-01T00:00:01.234Z"`},
	{"c70cff3b8b87c0ffffffffffffffff", `"1969-12-31T23:59:59.999Z"`}, {"d700ffffffffffffffff", `"1969-12-31T23:59:59.999Z"`},
	{"c70cff00000000000007dba8218000", `"+275760-09-13T00:00:00.000Z"`}, {"c70cff00000000fffffff184aa5080", `"-000001-01-01T00:00:00.000Z"`},
	{"d7000000e677d21fdc00", `"+010000-01-01T00:00:00.000Z"`}, {"c70cff000000000007dba82180000000", ""},
	{"c70cff00000000000007dba8218001", `null`}, {"d7007fffffffffffffff", `null`},
	{"ca3f800000", `1`}, {"ca3fc00000", `1.5`}, {"ca7fc00000", `null`}, {"cb7ff0000000000000", `null`}, {"cb7ff8000000000000", `null`},
	{"cbfff0000000000000", `null`}, {"cb8000000000000000", `0`}, {"cf35c9adc5dea00000", `3875820019684212736`},
	{"cb444b1ae4d6e2ef50", `1e+21`}, {"cb3eb0c6f7a0b5ed8d", `0.000001`}, {"cb3e7ad7f29abcaf48", `1e-7`},
	{"cb441ac53a7e04bcda", `123456789012345680000`}, {"cb3de49da7e361ce4c", `1.5e-10`}, {"cbc44b1ae4d6e2ef50", `-1e+21`},
	{"cb54b249ad2594c37d", `1e+100`},
	{"a4f0908080", `"𐀀"`}, {"a3eda080", `"` + "\ufffd\ufffd\ufffd" + `"`}, {"a3ff61fe", `"` + "\ufffda\ufffd" + `"`}, {"a30a2201", `"\n\"\u0001"`},
	// Not the smallest sizes, as a writer that does not count before may have.
	{"dc000101", `[1]`}, {"dd0000000101", `[1]`}, {"de0001a16101", `{"a":1}`}, {"df00000001a16101", `{"a":1}`},
	{"d90161", `"a"`}, {"da000161", `"a"`}, {"db0000000161", `"a"`}, {"d3ffffffffffffffff", `-1`}, {"d30000000000000001", `1`},
	{"d001", `1`}, {"d10001", `1`}, {"d200000001", `1`}, {"cc01", `1`}, {"cf0000000000000001", `1`},
	{"8301a16102d0ffa162cb3ff8000000000000c0", ""},
	{"8301a161d0ffa162cb3ff8000000000000c0", `{"1":"a","-1":"b","1.5":null}`},
	{"81a95f5f70726f746f5f5f80", `{"__proto__":{}}`}, {"81c001", ""}, {"81c301", ""}, {"81c40001", ""}, {"819001", ""}, {"81cb7ff000000000000001", ""},
	// Extensions that no package of Node writes.
	{"d401ff", ""}, {"d5ff0000", ""}, {"c702050102", ""}, {"c704ff00000000", `"1970-01-01T00:00:00.000Z"`},
	// Nothing, too little, too much, and no msgpack.
	{"", ""}, {"c1", ""}, {"91", ""}, {"81a161", ""}, {"a561", ""}, {"c405", ""}, {"c4", ""}, {"dd", ""}, {"ddffffffff", ""}, {"dfffffffff", ""},
	{"dfffffffffa1", ""}, {"dbffffffff", ""}, {"c6ffffffff00", ""}, {"c9ffffffffff", ""}, {"c9", ""}, {"c700", ""}, {"c7", ""}, {"cb00", ""},
	{"ca", ""}, {"d6ff000000", ""}, {"d4", ""}, {"d400", ""}, {"0000", ""}, {"9001", ""}, {"7b", `123`}, {"9f" + strings.Repeat("9f", 300), ""},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func short(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%s... (%d)", s[:80], len(s))
	}
	return s
}

// dialects are all of them.
var dialects = []Dialect{Notepack3, Msgpack2, Notepack2}

func TestVectors(t *testing.T) {
	for i, v := range append(vectors, written...) {
		for _, d := range dialects {
			if d == Msgpack2 && strings.Contains(v.json, "_proto__") {
				continue
			}
			got, err := AppendJSON([]byte("front"), []byte(v.json), nil, d)
			if err != nil || string(got) != "front"+string(unhex(t, v.hex)) {
				t.Errorf("%s: %s, %v instead of %s", short(v.json), short(hex.EncodeToString(got)), err, short(v.hex))
			}
		}
		if i >= len(vectors) {
			continue
		}
		r := NewReader(unhex(t, v.hex))
		back := r.AppendJSON([]byte("front"), nil)
		if err := r.End(); err != nil || string(back) != "front"+v.json {
			t.Errorf("%s: %s, %v instead of %s", short(v.hex), short(string(back)), err, short(v.json))
		}
	}
}

func TestRead(t *testing.T) {
	for _, v := range read {
		r := NewReader(unhex(t, v.hex))
		got := r.AppendJSON([]byte("front"), nil)
		switch err := r.End(); {
		case v.json == "" && err == nil:
			t.Errorf("%s: %s, and no error", short(v.hex), got)
		case v.json != "" && (err != nil || string(got) != "front"+v.json):
			t.Errorf("%s: %s, %v instead of %s", short(v.hex), got, err, v.json)
		}
		// Moving over a value finds the same faults of form.
		raw := NewReader(unhex(t, v.hex))
		if all := raw.Raw(); raw.End() == nil && string(all) != string(unhex(t, v.hex)) {
			t.Errorf("%s: moved over %x", short(v.hex), all)
		}
		if v.json != "" && raw.Err() != nil {
			t.Errorf("%s: %v", short(v.hex), raw.Err())
		}
	}
}

// TestBinary: attachments, in both directions.
func TestBinary(t *testing.T) {
	for _, v := range []struct {
		json  string
		parts []string
		hex   string
	}{
		{`["bin",{"b":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`, []string{"\x01\x02", "\x03"}, "93a362696e81a162c4020102c40103"},
		{`{"_placeholder":true,"num":0}`, []string{""}, "c400"},
		{`{"_placeholder":true,"num":0}`, []string{strings.Repeat("x", 255)}, "c4ff" + strings.Repeat("78", 255)},
		{`{"_placeholder":true,"num":0}`, []string{strings.Repeat("x", 256)}, "c50100" + strings.Repeat("78", 256)},
		{`{"_placeholder":true,"num":0}`, []string{strings.Repeat("x", 65_536)}, "c600010000" + strings.Repeat("78", 65_536)},
	} {
		var parts [][]byte
		for _, p := range v.parts {
			parts = append(parts, []byte(p))
		}
		for _, d := range dialects {
			got, err := AppendJSON(nil, []byte(v.json), parts, d)
			if err != nil || hex.EncodeToString(got) != v.hex {
				t.Errorf("%s: %x, %v", v.json, got, err)
			}
		}
		var back [][]byte
		r := NewReader(unhex(t, v.hex))
		text := r.AppendJSON(nil, &back)
		if err := r.End(); err != nil || string(text) != v.json || fmt.Sprintf("%q", back) != fmt.Sprintf("%q", parts) {
			t.Errorf("%s: %s %q, %v", short(v.hex), text, back, err)
		}
	}
	// What notepack.io 2 writes for a Uint8Array, an ArrayBuffer, a Float32Array.
	for _, in := range []string{"c7020001020000", "c70400 0000803f", "c8000200 0102", "c90000000200 0102", "d5000102", "d600 00000001", "d800" + strings.Repeat("00", 16)} {
		var parts [][]byte
		r := NewReader(unhex(t, in))
		if text := r.AppendJSON(nil, &parts); r.Err() != nil || len(parts) != 1 || string(text) != `{"_placeholder":true,"num":0}` {
			t.Errorf("%s: %s %x %v", in, text, parts, r.Err())
		}
	}
	r := NewReader(unhex(t, "92c4020102c400"))
	if text := r.AppendJSON(nil, nil); string(text) != `[{"type":"Buffer","data":[1,2]},{"type":"Buffer","data":[]}]` || r.End() != nil {
		t.Errorf("%s %v", text, r.Err())
	}
}
