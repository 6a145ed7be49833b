package engineio

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

func units(body string, limit int) (list []string, err error) {
	err = DecodePayloadV4([]byte(body), limit, func(u packet.Unit) bool {
		list = append(list, fmt.Sprintf("%d %t %s", u.Kind, u.Binary, u.Data))
		return true
	})
	return list, err
}

// TestPayload holds the vectors of the protocol's "Packet encoding".
func TestPayload(t *testing.T) {
	for _, row := range []struct {
		in   string
		want []string
		bad  bool
	}{
		{in: "4hello", want: []string{"4 false hello"}},
		{in: "4€", want: []string{"4 false €"}},
		{in: "4😀", want: []string{"4 false 😀"}},
		{in: "2\x1e4x", want: []string{"2 false ", "4 false x"}},
		{in: "bAQIDBA==", want: []string{"4 true \x01\x02\x03\x04"}},
		{in: "4a\x1ebAQ==\x1e3", want: []string{"4 false a", "4 true \x01", "3 false "}},
		{in: "", bad: true},
		{in: "\x1e4a", bad: true},
		{in: "4a\x1e", want: []string{"4 false a"}, bad: true},
		{in: "4a\x1e\x1e4b", want: []string{"4 false a"}, bad: true},
		{in: "4a\x1e9b\x1e4c", want: []string{"4 false a"}, bad: true}, // what precedes the bad one is good
		{in: "7", bad: true},
		{in: "bAQI", want: []string{"4 true \x01\x02"}},
		{in: "bAQIDBA", want: []string{"4 true \x01\x02\x03\x04"}},
		{in: "b-_8=", want: []string{"4 true \xfb\xff"}},
		{in: "bAQID\r\nBA==\n", want: []string{"4 true \x01\x02\x03\x04"}},
		{in: "b-_\n8", want: []string{"4 true \xfb\xff"}},
		{in: "bA", bad: true},
		{in: "b A\tQ\v I\fD BA == ", want: []string{"4 true \x01\x02\x03\x04"}},
		{in: "b \t", want: []string{"4 true "}},
		{in: "bAQ!D", bad: true},
		{in: "bAQ==ID", bad: true},
		{in: "bAQIDBA====", bad: true},
		{in: "b=", bad: true},
		{in: "b", want: []string{"4 true "}},
		{in: "4\xff", bad: true},
	} {
		got, err := units(row.in, 64)
		if (err != nil) != row.bad || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) {
			t.Errorf("%q: %q, %v", row.in, got, err)
		}
	}
	if _, err := units(strings.Repeat("3\x1e", 63)+"3", 64); err != nil {
		t.Errorf("64 packets: %v", err)
	}
	if got, err := units(strings.Repeat("3\x1e", 64)+"3", 64); err == nil || got != nil {
		t.Errorf("65 packets: %q, %v", got, err)
	}
}

func TestAppendPayload(t *testing.T) {
	var b []byte
	for _, m := range []*packet.Message{
		packet.TextMessage("4€"),
		packet.TextMessage("451-[]").Attach([]byte{1, 2, 3, 4}),
		packet.BinaryMessage([]byte{9}),
	} {
		b = AppendPayloadV4(b, m)
	}
	if want := "4€\x1e451-[]\x1ebAQIDBA==\x1ebCQ=="; string(b) != want {
		t.Errorf("%q", b)
	}
}

// FuzzPayload: what was decoded encodes to an equivalent payload.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{"4hello", "2\x1e4x", "bAQIDBA==", "4a\x1ebAQ==\x1e3", "", "\x1e"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var again []byte
		first, err := units(string(body), 0)
		if err != nil {
			return
		}
		_ = DecodePayloadV4(body, 0, func(u packet.Unit) bool {
			if u.Binary {
				again = AppendPayloadV4(again, packet.BinaryMessage(u.Data))
			} else {
				again = AppendPayloadV4(again, packet.TextMessage(string('0'+rune(u.Kind))+string(u.Data)))
			}
			return true
		})
		if second, err := units(string(again), 0); err != nil || !slices.Equal(first, second) {
			t.Fatalf("%q became %q", body, again)
		}
	})
}

func BenchmarkPayload(b *testing.B) {
	body := []byte(strings.Repeat(`42["echo","0123456789abcdef"]`+"\x1e", 15) + "3")
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = DecodePayloadV4(body, 64, func(packet.Unit) bool { return true })
		}
	})
	m := packet.TextMessage(`42["echo","0123456789abcdef"]`)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = dst[:0]
			for range 16 {
				dst = AppendPayloadV4(dst, m)
			}
		}
	})
}
