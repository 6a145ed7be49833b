package socketio

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

func show1(p *packet.Packet, err error) string {
	if err != nil {
		return "malformed"
	}
	s := show(p)
	if p.Bare {
		s += " bare"
	}
	if p.Query != "" {
		s += " ?" + p.Query
	}
	return s
}

// TestRev1Decode holds every form of legacy A2.1 and the choices for A2.2 and
// the rows V03, V06 and V08 of reliability a12.
func TestRev1Decode(t *testing.T) {
	const message = `"message"`
	for _, row := range []struct{ id, in, want string }{
		{"disconnect endpoint", `0::/woot`, `disconnect /woot - "" [] []`},
		{"disconnect everything", `0::`, `disconnect / - "" [] []`},
		{"disconnect, short", `0`, `disconnect / - "" [] []`},
		{"connect", `1::/tobi`, `connect /tobi - "" [] []`},
		{"connect with query", `1::/test:?test=1`, `connect /test - "" [] [] ?test=1`},
		{"connect, a literal question mark", `1::/test?my=param`, `connect /test?my=param - "" [] []`},
		{"message", `3:::woot`, `message / - ` + message + ` ["woot"] []`},
		{"message, empty, id, endpoint", `3:5:/tobi`, `message /tobi 5 ` + message + ` [""] [] bare`},
		{"message wanting auto ack", `3:1::abc`, `message / 1 ` + message + ` ["abc"] [] bare`},
		{"message wanting app ack", `3:1+::abc`, `message / 1 ` + message + ` ["abc"] []`},
		{"colons in the data", `3:::a:b:c`, `message / - ` + message + ` ["a:b:c"] []`},
		{"newline", "3:::\n", `message / - ` + message + ` ["\n"] []`},
		{"json", `4:::"2"`, `json / - ` + message + ` ["2"] []`},
		{"json, app ack", `4:1+::{"a":"b"}`, `json / 1 ` + message + ` [{"a":"b"}] []`},
		{"event without args", `5:::{"name":"woot"}`, `event / - "woot" [] []`},
		{"event with args", `5:::{"name":"e","args":[1,{"a":2}]}`, `event / - "e" [1 {"a":2}] []`},
		{"event, keys sorted", `5:::{"args":[1],"name":"e"}`, `event / - "e" [1] []`},
		{"event, auto-ack id", `5:1::{"name":"tobi"}`, `event / 1 "tobi" [] [] bare`},
		{"event, app-ack id", `5:1+::{"name":"tobi"}`, `event / 1 "tobi" [] []`},
		{"event on endpoint", `5:7+:/chat:{"name":"echo","args":["é"]}`, `event /chat 7 "echo" ["é"] []`},
		{"ack, no args", `6:::140`, `ack / 140 "" [] []`},
		{"ack with args", `6:::12+["woot","wa"]`, `ack / 12 "" ["woot" "wa"] []`},
		{"ack on endpoint", `6::/chat:7+["x","é€😀"]`, `ack /chat 7 "" ["x" "é€😀"] []`},
		{"ack, plus signs in the args", `6:::12+["1+1"]`, `ack / 12 "" ["1+1"] []`},
		{"ack, no array", `6:::1+{}`, "malformed"},
		{"ack, no number", `6:::x`, "malformed"},
		{"fewer than two colons", `5:`, "malformed"},
		{"no colon", `5`, "malformed"},
		{"only colons", `:::`, "malformed"},
		{"unknown type", `99::`, "malformed"},
		{"unknown type, one digit", `9:::x`, "malformed"},
		{"event, bad JSON", `5:::{"name"`, "malformed"},
		{"event, no data", `5:::`, "malformed"},
		{"event without a name", `5:::{"args":[]}`, "malformed"},
		{"event, name is a number", `5:::{"name":1}`, "malformed"},
		{"event, reserved name", `5:::{"name":"disconnect"}`, "malformed"},
		{"event, args no list", `5:::{"name":"e","args":{}}`, "malformed"},
		{"event, keys in another spelling", `5:::{"name":"a","NAME":"b","args":[1],"Args":[2]}`, `event / - "a" [1] []`},
		{"event, keys twice", `5:::{"name":"a","args":[1],"args":[2],"n\u0061me":"b"}`, `event / - "b" [2] []`},
		{"event, __proto__", `5:::{"name":"__proto__"}`, `event / - "__proto__" [] []`},
		{"json, bad JSON", `4:::{`, "malformed"},
		{"id no number", `3:x::a`, "malformed"},
		{"id out of range", `5:99999999999999999999::{"name":"e"}`, "malformed"},
		{"id of a plus sign", `5:1+`, "malformed"},
		{"error from a client", `7:::1+0`, "malformed"},
	} {
		if got := show1(NewRev1Decoder(&packet.DefaultLimits).Text([]byte(row.in))); got != row.want {
			t.Errorf("%s: %s\n got  %s\n want %s", row.id, row.in, got, row.want)
		}
	}
	if _, err := NewRev1Decoder(&packet.DefaultLimits).Binary(nil); err == nil {
		t.Error("binary was accepted")
	}
}

// TestRev1Encode holds what a server sends of legacy A2.1, in the order of keys
// that the Node server has.
func TestRev1Encode(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, row := range []struct {
		id, want string
		p        packet.Packet
	}{
		{"disconnect endpoint", `0::/woot`, packet.Packet{Type: packet.Disconnect, Namespace: "/woot"}},
		{"disconnect everything", `0::`, packet.Packet{Type: packet.Disconnect, Namespace: "/"}},
		{"connect", `1::/tobi`, packet.Packet{Type: packet.Connect, Namespace: "/tobi", Data: raw(`{"sid":"x"}`)}},
		{"message", `3:::woot`, packet.Packet{Type: packet.Text, Namespace: "/", Data: raw(`["message","woot"]`)}},
		{"message, unescaped", "3::/a:é\n\"", packet.Packet{Type: packet.Text, Namespace: "/a", Data: raw(`["message","\u00e9\n\""]`)}},
		{"message, empty", `3::/tobi`, packet.Packet{Type: packet.Text, Namespace: "/tobi", Data: raw(`["message",""]`)}},
		{"json", `4:::"2"`, packet.Packet{Type: packet.JSON, Namespace: "/", Data: raw(`["message","2"]`)}},
		{"json object", `4:::{"a":"b"}`, packet.Packet{Type: packet.JSON, Namespace: "/", Data: raw(`["message",{"a":"b"}]`)}},
		{"event without args", `5:::{"name":"woot"}`, packet.Packet{Type: packet.Event, Namespace: "/", Data: raw(`["woot"]`)}},
		{"event with args", `5:::{"name":"e","args":[1,{"a":2}]}`, packet.Packet{Type: packet.Event, Namespace: "/", Data: raw(`["e",1,{"a":2}]`)}},
		{"event, quotes in the name", `5:::{"name":"a\",\"b","args":[1]}`, packet.Packet{Type: packet.Event, Namespace: "/", Data: raw(`["a\",\"b",1]`)}},
		{"event asks with a plus sign", `5:7+:/chat:{"name":"echo","args":["é"]}`, packet.Packet{Type: packet.Event, Namespace: "/chat", ID: 7, HasID: true, Data: raw(`["echo","é"]`)}},
		{"ack, no args", `6:::140`, packet.Packet{Type: packet.Ack, Namespace: "/", ID: 140, HasID: true, Data: raw(`[]`)}},
		{"ack with args", `6:::12+["woot","wa"]`, packet.Packet{Type: packet.Ack, Namespace: "/", ID: 12, HasID: true, Data: raw(`["woot","wa"]`)}},
		{"ack on endpoint", `6::/chat:7+["x","é€😀"]`, packet.Packet{Type: packet.Ack, Namespace: "/chat", ID: 7, HasID: true, Data: raw(`["x","é€😀"]`)}},
		{"refused", `7::/private:2`, packet.Packet{Type: packet.ConnectError, Namespace: "/private", Data: raw(`{"message":"no"}`)}},
		{"not joined", `7::/admin:1`, packet.Packet{Type: packet.Failure, Namespace: "/admin"}},
		{"failure", `5::/a:{"name":"error","args":["nope","not today"]}`, packet.Packet{Type: packet.Failure, Namespace: "/a", Data: raw(`{"code":"nope","message":"not today","data":7}`)}},
		{"binary becomes base64", `5:::{"name":"b","args":["AQI="]}`, packet.Packet{Type: packet.Event, Namespace: "/", Data: raw(`["b",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}}},
	} {
		if got := AppendRev1(nil, &row.p); string(got) != row.want {
			t.Errorf("%s\n got  %s\n want %s", row.id, got, row.want)
		}
	}
}

func payload1(in string, limit int) ([]string, error) {
	var list []string
	err := DecodePayloadRev1([]byte(in), limit, func(b []byte) bool {
		list = append(list, string(b))
		return true
	})
	return list, err
}

// TestRev1Payload holds legacy A2.3 and the row V04 of reliability a12.
func TestRev1Payload(t *testing.T) {
	const captured = "\ufffd8\ufffd1::/chat\ufffd41\ufffd5::/chat:{\"name\":\"hi\",\"args\":[1,{\"a\":2}]}"
	for _, row := range []struct {
		in   string
		want []string
		bad  bool
	}{
		{in: "3:::a", want: []string{"3:::a"}},
		{in: "", want: []string{""}},
		{in: captured, want: []string{"1::/chat", `5::/chat:{"name":"hi","args":[1,{"a":2}]}`}},
		{in: "\ufffd6\ufffd3:::😀\ufffd3\ufffd2::", want: []string{"3:::😀", "2::"}}, // two units
		{in: "\ufffd5\ufffd3:::😀", bad: true},                                      // half a character
		{in: "\ufffd8\ufffd3:::😀", bad: true},                                      // bytes for units
		{in: "\ufffd4\ufffd3:::a", want: []string{"3:::"}, bad: true},
		{in: "\ufffd-1\ufffd3:::a", bad: true},
		{in: "\ufffd+5\ufffd3:::a", bad: true},
		{in: "\ufffd\ufffd3:::a", bad: true},
		{in: "\ufffd5", bad: true},
		{in: "\ufffd99999999999\ufffd3:::a", bad: true},
		{in: "3:::\xff", bad: true},
	} {
		got, err := payload1(row.in, 10)
		if (err != nil) != row.bad || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) {
			t.Errorf("%q: %q, %v", row.in, got, err)
		}
	}
	if _, err := payload1(strings.Repeat("\ufffd3\ufffd2::", 11), 10); err == nil {
		t.Error("11 packets")
	}
	got := AppendPayloadRev1(nil, []*packet.Message{packet.TextMessage("1::/chat"), packet.TextMessage(`5::/chat:{"name":"hi","args":[1,{"a":2}]}`)})
	if string(got) != captured {
		t.Errorf("%q", got)
	}
	if got := AppendPayloadRev1(nil, []*packet.Message{packet.TextMessage("3:::😀")}); string(got) != "3:::😀" {
		t.Errorf("%q", got)
	}
}

// FuzzRev1: a packet that was accepted can be written again.
func FuzzRev1(f *testing.F) {
	for _, s := range []string{`0`, `1::/test:?test=1`, `3:1+::a:b`, `4:::{"a":1}`, `5:7+:/chat:{"name":"echo","args":["é"]}`, `6:::12+["a+b"]`, `:::`, `5:::{"name":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := NewRev1Decoder(&packet.DefaultLimits).Text(data)
		if err != nil {
			return
		}
		if strings.ContainsAny(p.Namespace, ":") {
			t.Fatalf("%q: namespace %q", data, p.Namespace)
		}
		for _, a := range p.Args {
			if !json.Valid(a) {
				t.Fatalf("%q: argument %q", data, a)
			}
		}
		if p.Type == packet.Ack && !p.HasID {
			t.Fatalf("%q: an ack of nothing", data)
		}
	})
}

// FuzzRev1Payload: what was decoded encodes to the same.
func FuzzRev1Payload(f *testing.F) {
	for _, s := range []string{"3:::a", "\ufffd8\ufffd1::/chat\ufffd3\ufffd2::", "\ufffd6\ufffd3:::😀", "\ufffd-1\ufffd", "\ufffd5"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := payload1(string(body), 0)
		if err != nil || len(list) < 2 {
			return
		}
		var ms []*packet.Message
		for _, s := range list {
			ms = append(ms, packet.TextMessage(s))
		}
		again, err := payload1(string(AppendPayloadRev1(nil, ms)), 0)
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", list) {
			t.Fatalf("%q: %q, %q, %v", body, list, again, err)
		}
	})
}

func BenchmarkRev1(b *testing.B) {
	in := []byte(`5:::{"name":"echo","args":["0123456789abcdef"]}`)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		d := NewRev1Decoder(&packet.DefaultLimits)
		for b.Loop() {
			if _, err := d.Text(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	p := packet.Packet{Type: packet.Event, Namespace: "/", Data: json.RawMessage(`["echo","0123456789abcdef"]`)}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = AppendRev1(dst[:0], &p)
		}
	})
}
