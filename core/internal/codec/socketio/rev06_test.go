package socketio

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

func payload06(in string) ([]string, error) {
	var list []string
	err := DecodePayload06([]byte(in), 10, func(b []byte) bool {
		list = append(list, string(b))
		return true
	})
	return list, err
}

// Test06 holds the vectors of legacy A8.1 and the row V05 of reliability a12.
func Test06(t *testing.T) {
	for _, row := range []struct {
		id, in string
		want   []string
		bad    bool
	}{
		{id: "session id", in: "~m~16~m~8437219046523164", want: []string{"8437219046523164"}},
		{id: "text", in: "~m~5~m~hello", want: []string{"hello"}},
		{id: "json", in: `~m~13~m~~j~{"a":"bé"}`, want: []string{`~j~{"a":"bé"}`}},
		{id: "heartbeat", in: "~m~4~m~~h~1", want: []string{"~h~1"}},
		{id: "two", in: "~m~1~m~a~m~1~m~b", want: []string{"a", "b"}},
		{id: "marks in the data", in: "~m~6~m~a~m~1~", want: []string{"a~m~1~"}},
		{id: "units", in: "~m~2~m~😀", want: []string{"😀"}},
		{id: "V05 short", in: "~m~5~m~hi", bad: true},
		{id: "V05 huge", in: "~m~99999999999~m~", bad: true},
		{id: "V05 no number", in: "~m~x~m~", bad: true},
		{id: "no frame", in: "hello", bad: true},
		{id: "empty", in: "", bad: true},
		{id: "eleven", in: strings.Repeat("~m~0~m~", 11), want: []string{"", "", "", "", "", "", "", "", "", ""}, bad: true},
	} {
		got, err := payload06(row.in)
		if (err != nil) != row.bad || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) {
			t.Errorf("%s: %q: %q, %v", row.id, row.in, got, err)
		}
	}
	for in, want := range map[string]string{
		"hello":        `message / - "message" ["hello"] []`,
		`~j~{"a":"b"}`: `json / - "message" [{"a":"b"}] []`,
		`~j~{`:         "malformed",
		``:             `message / - "message" [""] []`,
	} {
		if got := show1(NewDecoder06(&packet.DefaultLimits).Text([]byte(in))); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for want, p := range map[string]packet.Packet{
		"~m~5~m~hello":                          {Type: packet.Text, Data: raw(`["message","hello"]`)},
		`~m~13~m~~j~{"a":"bé"}`:                 {Type: packet.JSON, Data: raw(`["message",{"a":"bé"}]`)},
		`~m~10~m~~j~"~j~{}"`:                    {Type: packet.Text, Data: raw(`["message","~j~{}"]`)}, // must not become JSON
		`~m~29~m~~j~{"name":"said","args":[1]}`: {Type: packet.Event, Data: raw(`["said",1]`)},
	} {
		got, ok := Append06(nil, &p)
		if !ok || string(got) != want {
			at := string(got)
			t.Errorf("%s, want %s", at, want)
		}
	}
	if _, ok := Append06(nil, &packet.Packet{Type: packet.Ack}); ok {
		t.Error("there are no acks in 0.6")
	}
	if !IsHeartbeat06([]byte("~h~7")) || IsHeartbeat06([]byte("h")) {
		t.Error("heartbeat")
	}
}

// Fuzz06: what was decoded encodes to the same.
func Fuzz06(f *testing.F) {
	for _, s := range []string{"~m~5~m~hello", `~m~13~m~~j~{"a":"bé"}`, "~m~1~m~a~m~1~m~b", "~m~x~m~", "~m~2~m~😀"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := payload06(string(body))
		if err != nil {
			return
		}
		var b []byte
		for _, s := range list {
			b = AppendFrame06(b, s)
			_, _ = NewDecoder06(&packet.DefaultLimits).Text([]byte(s))
		}
		again, err := payload06(string(b))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", list) {
			t.Fatalf("%q: %q, %q, %v", body, list, again, err)
		}
	})
}
