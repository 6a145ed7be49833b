package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSplit(t *testing.T) {
	for _, row := range []struct {
		in   string
		want []string // nil: an error
	}{
		{`[]`, []string{}},
		{` [ ] `, []string{}},
		{`["a"]`, []string{`"a"`}},
		{`["a",1,-0.5e+3,true,false,null,{"b":[1,{}]},[]]`, []string{`"a"`, "1", "-0.5e+3", "true", "false", "null", `{"b":[1,{}]}`, "[]"}},
		{"[ 1 ,\t2\r\n]", []string{"1", "2"}},
		{`["\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"]`, []string{`"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"`}},
		{`["long enough to be looked at in words, é€😀"]`, []string{`"long enough to be looked at in words, é€😀"`}},
		{``, nil}, {`{}`, nil}, {`[`, nil}, {`[1`, nil}, {`[1,`, nil}, {`[1,]`, nil}, {`[,1]`, nil}, {`[1 2]`, nil},
		{`[1]x`, nil}, {`[1][2]`, nil}, {`["a`, nil}, {`["a\"]`, nil}, {`["\x"]`, nil}, {`["\u12"]`, nil}, {`["\u12g4"]`, nil},
		{"[\"\n\"]", nil}, {"[\"\x00\"]", nil}, {`[01]`, nil}, {`[1.]`, nil}, {`[.5]`, nil}, {`[+1]`, nil}, {`[1e]`, nil}, {`[-]`, nil},
		{`[tru]`, nil}, {`[nul]`, nil}, {`[True]`, nil}, {`[{"a"}]`, nil}, {`[{"a":}]`, nil}, {`[{a:1}]`, nil}, {`[{"a":1,}]`, nil}, {`[{1:1}]`, nil},
		{`[[[[1]]]]`, []string{`[[[1]]]`}},
		{`[[[[[1]]]]]`, nil}, // deeper than 4
	} {
		got, err := Split([]byte(row.in), nil, 4)
		if (err == nil) != (row.want != nil) {
			t.Errorf("%s: error %v", row.in, err)
			continue
		}
		if err != nil {
			continue
		}
		if len(got) != len(row.want) {
			t.Errorf("%s: %q", row.in, got)
			continue
		}
		for i := range got {
			if string(got[i]) != row.want[i] {
				t.Errorf("%s: element %d is %s", row.in, i, got[i])
			}
		}
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`""`: "", `"plain"`: "plain", `"a\nb"`: "a\nb", `"\u00e9\ud83d\ude00"`: "é😀",
		`"\ud800"`: "\ufffd", `"\ud800\u0041"`: "\ufffdA", `"\/\"\\"`: `/"\`,
	} {
		if got := string(Unquote([]byte(in))); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// FuzzSplit holds the scanner against encoding/json: both accept the same
// arrays and cut them into the same values.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`[]`, `["a",1]`, `[{"a":[1,2,{"b":null}]},"\u00e9"]`, `[-0.5e+3,true]`, "[\"\u2028\"]", `[1,]`, `["\ud800"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			return // transports refuse it before
		}
		got, err := Split(data, nil, 0)
		var want []json.RawMessage
		jerr := json.Unmarshal(data, &want)
		if jerr == nil && want == nil {
			jerr = json.Unmarshal([]byte("{"), &want) // null is an array to encoding/json
		}
		if (err == nil) != (jerr == nil) {
			t.Fatalf("%q: ours %v, encoding/json %v", data, err, jerr)
		}
		if err != nil {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d elements instead of %d", data, len(got), len(want))
		}
		if again := Unpack(Pack(got), len(got)); fmt.Sprintf("%s", again) != fmt.Sprintf("%s", got) {
			t.Fatalf("%q: %s, and unpacked %s", data, got, again)
		}
		for i := range got {
			if strings.TrimSpace(string(got[i])) != strings.TrimSpace(string(want[i])) {
				t.Fatalf("%q: element %d: %s instead of %s", data, i, got[i], want[i])
			}
			if got[i][0] == '"' {
				var s string
				if err := json.Unmarshal(got[i], &s); err != nil || s != string(Unquote(got[i])) {
					t.Fatalf("%s: %q instead of %q (%v)", got[i], Unquote(got[i]), s, err)
				}
			}
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	for name, in := range map[string]string{
		"str16": `["echo","0123456789abcdef"]`,
		"chat":  `["say",{"room":"lobby","user":{"id":42,"name":"ann"},"text":"hello everyone in the room","at":1732147200123,"tags":["a","b"]}]`,
		"str1k": `["echo","` + strings.Repeat("x", 1024) + `"]`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			data := []byte(in)
			var args []json.RawMessage
			for b.Loop() {
				args, _ = Split(data, args[:0], 64)
			}
		})
	}
}

// TestUnpack: whatever depth a decoder has let pass is read again, and what nobody has
// checked costs arguments and nothing else.
func TestUnpack(t *testing.T) {
	deep := json.RawMessage(strings.Repeat("[", 2*maxDepth) + strings.Repeat("]", 2*maxDepth))
	if got := Unpack(Pack([]json.RawMessage{deep, []byte("1")}), 2); len(got) != 2 || string(got[0]) != string(deep) {
		t.Errorf("%d arguments", len(got))
	}
	for _, bad := range []string{"", "1", "[1,", "[1,}"} {
		if got := Unpack([]byte(bad), 3); len(got) > 1 {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// TestScript: what could end a script, a script element or a comment is escaped.
func TestScript(t *testing.T) {
	const in = "</script><!-- ]]> & \u2028\u2029 \x00\x7f\n\"\\ é😀"
	const want = `"\u003c/script\u003e\u003c!-- ]]\u003e \u0026 \u2028\u2029 \u0000\u007f\u000a\"\\ é😀"`
	if got := AppendScript(nil, []byte(in), false); string(got) != want {
		t.Errorf("%s", got)
	}
	if got := AppendScript(nil, []byte("a/b"), true); string(got) != `"a\/b"` {
		t.Errorf("%s", got)
	}
	if got := AppendASCII(nil, []byte(`["é","€😀"]`)); string(got) != `["\u00e9","\u20ac\ud83d\ude00"]` {
		t.Errorf("%s", got)
	}
}

func TestUTF16(t *testing.T) {
	const text = "aé€😀b"
	if n := UTF16Len([]byte(text)); n != 6 {
		t.Errorf("%d units", n)
	}
	for n, want := range []int{0, 1, 3, 6, -1, 10, 11, -1} {
		at, ok := UTF16Cut([]byte(text), n)
		if ok != (want >= 0) || ok && at != want {
			t.Errorf("%d units: %d, %t", n, at, ok)
		}
	}
}

// FuzzScript: the text is a JSON string that says the same, and nothing in it can
// end a script.
func FuzzScript(f *testing.F) {
	for _, s := range []string{"</script>", "<!--", "\u2028\u2029", "\\/", "\x00\"\\", "\xff\xed\xa0\x80"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, slashes bool) {
		out := AppendScript(nil, []byte(text), slashes)
		var back string
		if err := json.Unmarshal(out, &back); err != nil || back != string([]rune(text)) {
			t.Fatalf("%q: %s, %q, %v", text, out, back, err)
		}
		if bytes.ContainsAny(out, "<>&\u2028\u2029\n\r") || slashes && bytes.Contains(bytes.ReplaceAll(out, []byte(`\/`), nil), []byte("/")) {
			t.Fatalf("%q: %s", text, out)
		}
		ascii := AppendASCII(nil, out)
		if i := bytes.IndexFunc(ascii, func(r rune) bool { return r > 0x7f }); i >= 0 {
			t.Fatalf("%q: %s", text, ascii)
		}
		if err := json.Unmarshal(ascii, &back); err != nil || back != string([]rune(text)) {
			t.Fatalf("%q: %s, %v", text, ascii, err)
		}
	})
}
