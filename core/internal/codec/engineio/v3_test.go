package engineio

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

func units3(body string, binary bool, limit int) (list []string, err error) {
	yield := func(u packet.Unit) bool {
		list = append(list, fmt.Sprintf("%d %t %s", u.Kind, u.Binary, u.Data))
		return true
	}
	if binary {
		return list, DecodeBinaryPayloadV3([]byte(body), limit, yield)
	}
	return list, DecodePayloadV3([]byte(body), limit, nil, yield)
}

// TestPayloadV3 holds the vectors of protocol 2.4 and the rows P22 and P24 of reliability a2.
func TestPayloadV3(t *testing.T) {
	for _, row := range []struct {
		id, in string
		want   []string
		bad    bool
	}{
		{id: "2.4 hello", in: "6:4hello", want: []string{"4 false hello"}},
		{id: "2.4 euro", in: "2:4€", want: []string{"4 false €"}},
		{id: "2.4 emoji is two units", in: "3:4😀", want: []string{"4 false 😀"}},
		{id: "2.4 ping and message", in: "1:22:4x", want: []string{"2 false ", "4 false x"}},
		{id: "2.4 binary", in: "10:b4AQIDBA==", want: []string{"4 true \x01\x02\x03\x04"}},
		{id: "2.4 empty list", in: "0:"},
		{id: "2.8 b and an unknown digit", in: "6:bAQID=", want: []string{"6 false "}},
		{id: "2.7 ping with data", in: "4:2abc", want: []string{"2 false abc"}},
		{id: "P22 short", in: "5:4x", bad: true},
		{id: "P22 long", in: "1:4x", bad: true, want: []string{"4 false "}},
		{id: "P22 negative", in: "-1:4x", bad: true},
		{id: "P22 huge", in: "99999999999:4x", bad: true},
		{id: "P22 exponent", in: "1e3:4x", bad: true},
		{id: "P22 hexadecimal", in: "0x5:4x", bad: true},
		{id: "P22 none", in: "4hello", bad: true},
		{id: "P22 colon", in: ":", bad: true},
		{id: "P22 empty", in: "", bad: true},
		{id: "P24 bytes for units", in: "4:4€", bad: true},
		{id: "P24 half a pair", in: "2:4😀", bad: true},
		{id: "not UTF-8", in: "2:4\xff", bad: true},
		{id: "base64", in: "6:b4!!!!", bad: true},
		{id: "unknown type", in: "2:9x", bad: true},
	} {
		got, err := units3(row.in, false, 64)
		if (err != nil) != row.bad || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) {
			t.Errorf("%s: %q: %q, %v", row.id, row.in, got, err)
		}
	}
	if _, err := units3(strings.Repeat("1:3", 64), false, 64); err != nil {
		t.Errorf("64 packets: %v", err)
	}
	if _, err := units3(strings.Repeat("1:3", 65), false, 64); err == nil {
		t.Error("65 packets")
	}
}

// TestBinaryPayloadV3 holds the vector of protocol 2.4 and the row P23 of reliability a2.
func TestBinaryPayloadV3(t *testing.T) {
	for _, row := range []struct {
		id, in string
		want   []string
		bad    bool
	}{
		{id: "2.4", in: "\x00\x04\xff451-\x01\x05\xff\x04\x01\x02\x03\x04", want: []string{"4 false 51-", "4 true \x01\x02\x03\x04"}},
		{id: "2.4 length in bytes", in: "\x00\x04\xff4€", want: []string{"4 false €"}},
		{id: "two digits", in: "\x00\x01\x01\xff4helloworld", want: []string{"4 false helloworld"}},
		{id: "P23 no end of the length", in: "\x00\x01\x02\x03", bad: true},
		{id: "P23 zeros", in: strings.Repeat("\x00", 400), bad: true},
		{id: "P23 digit over 9", in: "\x00\x0a\xff4x", bad: true},
		{id: "P23 310 digits", in: "\x00" + strings.Repeat("\x09", 310) + "\xff4x", bad: true},
		{id: "P23 longer than the body", in: "\x00\x09\xff4x", bad: true},
		{id: "P23 no digit", in: "\x00\xff4x", bad: true},
		{id: "third kind", in: "\x02\x02\xff4x", bad: true},
		{id: "unknown type", in: "\x01\x01\xff\x07", bad: true},
		{id: "text not UTF-8", in: "\x00\x02\xff4\xff", bad: true},
		{id: "empty", in: "", bad: true},
	} {
		got, err := units3(row.in, true, 64)
		if (err != nil) != row.bad || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) {
			t.Errorf("%s: %q: %q, %v", row.id, row.in, got, err)
		}
	}
}

// TestFrameV3 holds what protocol 2.4 and 5 say of websockets.
func TestFrameV3(t *testing.T) {
	for _, row := range []struct {
		f    packet.Frame
		want string
	}{
		{packet.Frame{Data: []byte("4hello")}, "4 false hello"},
		{packet.Frame{Binary: true, Data: []byte{4, 1, 2}}, "4 true \x01\x02"},
		{packet.Frame{Data: []byte("b4AQI=")}, "4 true \x01\x02"},
		{packet.Frame{Data: []byte("b4AQI")}, "4 true \x01\x02"},
		{packet.Frame{Data: []byte("b4-_\n8")}, "4 true \xfb\xff"},
		{packet.Frame{Data: []byte("b4AQ I\tD")}, "4 true \x01\x02\x03"},
		{packet.Frame{Data: []byte("bAQID")}, "6 false "},
		{packet.Frame{Data: []byte("2probe")}, "2 false probe"},
		{packet.Frame{}, "malformed"},
		{packet.Frame{Binary: true}, "malformed"},
		{packet.Frame{Binary: true, Data: []byte{7}}, "malformed"},
		{packet.Frame{Data: []byte("x")}, "malformed"},
		{packet.Frame{Data: []byte("7")}, "malformed"},
	} {
		u, err := DecodeV3(row.f)
		got := fmt.Sprintf("%d %t %s", u.Kind, u.Binary, u.Data)
		if err != nil {
			got = "malformed"
		}
		if got != row.want {
			t.Errorf("%v: %q, want %q", row.f, got, row.want)
		}
	}
}

func TestAppendPayloadV3(t *testing.T) {
	ms := []*packet.Message{
		packet.TextMessage("4€😀"),
		packet.TextMessage("451-[]").Attach([]byte{4, 1, 2, 3, 4}),
		packet.BinaryMessage([]byte{4, 9}),
	}
	var text, binary []byte
	for _, m := range ms {
		text = AppendPayloadV3(text, PlainV3(m))
		binary = AppendBinaryPayloadV3(binary, m)
	}
	if want := "4:4€😀6:451-[]10:b4AQIDBA==6:b4CQ=="; string(text) != want {
		t.Errorf("%q", text)
	}
	if want := "\x00\x08\xff4€😀\x00\x06\xff451-[]\x01\x05\xff\x04\x01\x02\x03\x04\x01\x02\xff\x04\x09"; string(binary) != want {
		t.Errorf("%q", binary)
	}
}

// TestTwice: what clients 1.x send, and what could be taken for it (protocol 2.7).
func TestTwice(t *testing.T) {
	for _, row := range []struct {
		in, want string
		plain    bool
	}{
		{`42["x","cafÃ©"]`, `42["x","café"]`, false},
		{`42["x","â` + "\u0082¬" + `"]`, `42["x","€"]`, false},
		{`42["x","plain"]`, `42["x","plain"]`, false},
		{`42["x","café"]`, `42["x","café"]`, true},
		{`42["x","€"]`, `42["x","€"]`, true},
		{`42["x","Ã©€"]`, `42["x","Ã©€"]`, true},
	} {
		got, plain := Twice([]byte(row.in))
		if string(got) != row.want || plain != row.plain {
			t.Errorf("%q: %q, %t", row.in, got, plain)
		}
	}
}

// FuzzPayloadV3: what was decoded encodes to a payload that decodes to the same.
func FuzzPayloadV3(f *testing.F) {
	for _, s := range []string{"6:4hello", "3:4😀", "1:22:4x", "10:b4AQIDBA==", "0:", "5:4x", "99999999999:4x", "2:4😀"} {
		f.Add([]byte(s), false)
	}
	for _, s := range []string{"\x00\x04\xff451-\x01\x05\xff\x04\x01\x02\x03\x04", "\x00\x01\x02\x03"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, binary bool) {
		decode := func(b []byte) (list []packet.Unit, err error) {
			yield := func(u packet.Unit) bool {
				list = append(list, packet.Unit{Kind: u.Kind, Binary: u.Binary, Data: bytes.Clone(u.Data)})
				return true
			}
			if binary {
				return list, DecodeBinaryPayloadV3(b, 0, yield)
			}
			return list, DecodePayloadV3(b, 0, nil, yield)
		}
		first, err := decode(body)
		if err != nil || len(first) == 0 {
			return
		}
		var again []byte
		for _, u := range first {
			m := packet.TextMessage(string('0'+rune(u.Kind)) + string(u.Data))
			if u.Binary {
				m = packet.BinaryMessage(append([]byte{byte(u.Kind)}, u.Data...))
			}
			if binary {
				again = AppendBinaryPayloadV3(again, m)
			} else {
				again = AppendPayloadV3(again, PlainV3(m))
			}
		}
		second, err := decode(again)
		if err != nil || fmt.Sprint(first) != fmt.Sprint(second) {
			t.Fatalf("%q became %q: %v, %v, %v", body, again, first, second, err)
		}
	})
}

// FuzzTwice: text of a client 1.x is always read right.
func FuzzTwice(f *testing.F) {
	f.Add("café €")
	f.Add("\x7f\u0080ÿĀ😀")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		var twice []rune
		for _, b := range []byte(s) {
			twice = append(twice, rune(b))
		}
		if got, plain := Twice([]byte(string(twice))); string(got) != s || plain {
			t.Fatalf("%q: %q, %t", s, got, plain)
		}
	})
}

func BenchmarkPayloadV3(b *testing.B) {
	m := packet.TextMessage(`42["echo","0123456789abcdef"]`)
	var body []byte
	for range 16 {
		body = AppendPayloadV3(body, m)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = DecodePayloadV3(body, 64, nil, func(packet.Unit) bool { return true })
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = dst[:0]
			for range 16 {
				dst = AppendPayloadV3(dst, m)
			}
		}
	})
}
