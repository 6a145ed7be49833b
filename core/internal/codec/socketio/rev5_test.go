package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

func show(p *packet.Packet) string {
	if p == nil {
		return "waiting"
	}
	id := "-"
	if p.HasID {
		id = fmt.Sprint(p.ID)
	}
	return fmt.Sprintf("%s %s %s %q %s %q", p.Type, p.Namespace, id, p.Name, p.Args, p.Attachments)
}

// TestDecode holds the vectors of the protocol's grammar (spec/protocol 3.1);
// what is refused is in the conformance suite, row by row.
func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		`0`:                    `connect / - "" [] []`,
		`0{"token":"x"}`:       `connect / - "" [] []`,
		`0/chat,`:              `connect /chat - "" [] []`,
		`0/chat`:               `connect /chat - "" [] []`,
		`0/chat,{"token":"x"}`: `connect /chat - "" [] []`,
		`1`:                    `disconnect / - "" [] []`,
		`1/chat,`:              `disconnect /chat - "" [] []`,
		`2["hello",1]`:         `event / - "hello" [1] []`,
		`2/chat,7["hello"]`:    `event /chat 7 "hello" [] []`,
		`2/,["x"]`:             `event / - "x" [] []`,
		`2[1,2]`:               `event / - "1" [2] []`,
		`2`:                    `event / - "" [] []`,
		`30["ok"]`:             `ack / 0 "" ["ok"] []`,
		`3/chat,7[]`:           `ack /chat 7 "" [] []`,
		`4{"message":"nope"}`:  `connect error / - "" [] []`,
		`51-["img",{"_placeholder":true,"num":0}]`: `waiting`,
	} {
		p, err := NewRev5Decoder(&packet.DefaultLimits).Text([]byte(in))
		if err != nil || show(p) != want {
			t.Errorf("%s: %s, %v", in, show(p), err)
		}
	}
}

func TestDecodeBinary(t *testing.T) {
	d := NewRev5Decoder(&packet.DefaultLimits)
	header := []byte(`52-/chat,9["img",{"_placeholder":true,"num":1},{"a":{"num":0,"_placeholder":true}}]`)
	if p, err := d.Text(header); p != nil || err != nil {
		t.Fatal(p, err)
	}
	if ns, ok := d.Awaiting(); ns != "/chat" || !ok {
		t.Error(ns, ok)
	}
	clear(header) // the buffer is reused before the attachments come
	first := []byte{1}
	if p, err := d.Binary(first); p != nil || err != nil {
		t.Fatal(p, err)
	}
	first[0] = 9
	p, err := d.Binary([]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(p), `event /chat 9 "img" [{"_placeholder":true,"num":1} {"a":{"num":0,"_placeholder":true}}] ["\x01" "\x02"]`; got != want {
		t.Errorf("%s", got)
	}
	if _, err := d.Binary([]byte{3}); err == nil {
		t.Error("an attachment that nobody awaits")
	}
}

// TestAwaitedText: while attachments are awaited, the text of their packet is kept and
// no list of its arguments.
func TestAwaitedText(t *testing.T) {
	const first = `{"_placeholder":true,"num":0}`
	args, shown := first+strings.Repeat(",0", 5000), first+strings.Repeat(" 0", 5000)
	limits := &packet.DefaultLimits
	rev5, rev4 := NewRev5Decoder(limits), NewRev4Decoder(limits)
	for in, want := range map[string]string{
		`51-/chat,7["\u0065",` + args + `]`: `event /chat 7 "e" [` + shown + `] ["\x01"]`,
		`61-/chat,7[` + args + `]`:          `ack /chat 7 "" [` + shown + `] ["\x01"]`,
	} {
		for what, d := range map[string]*Rev5Decoder{"5": rev5, "4": &rev4.Rev5Decoder} {
			for range 2 { // the decoder serves many packets
				data := []byte(in)
				if p, err := d.Text(data); p != nil || err != nil {
					t.Fatal(p, err)
				}
				clear(data)
				if p := &d.p; cap(p.Args) > packet.MaxKept || len(p.Args) != 0 || p.Name != nil || cap(p.Data) > 9*len(in)/8 {
					t.Errorf("revision %s: a list of %d arguments, a text of %d bytes for %d", what, cap(p.Args), cap(p.Data), len(in))
				}
				p, err := d.Binary([]byte{1})
				if err != nil || show(p) != want {
					t.Errorf("revision %s: %.100s, %v", what, show(p), err)
				}
				p.Forget()
			}
		}
	}
}

func TestAttachmentBytes(t *testing.T) {
	limits := packet.DefaultLimits
	limits.AttachmentBytes = 10
	d := NewRev5Decoder(&limits)
	if _, err := d.Text([]byte(`52-["x",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Binary(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Binary(make([]byte, 6)); err == nil {
		t.Error("B12: twelve bytes of ten")
	}
}

func TestEncode(t *testing.T) {
	for _, row := range []struct {
		p    packet.Packet
		want string
	}{
		{packet.Packet{Type: packet.Connect, Namespace: "/", Data: json.RawMessage(`{"sid":"x"}`)}, `0{"sid":"x"}`},
		{packet.Packet{Type: packet.Connect, Namespace: "/chat", Data: json.RawMessage(`{"sid":"x"}`)}, `0/chat,{"sid":"x"}`},
		{packet.Packet{Type: packet.Disconnect, Namespace: "/"}, `1`},
		{packet.Packet{Type: packet.Disconnect, Namespace: "/chat"}, `1/chat,`},
		{packet.Packet{Type: packet.Event, Data: json.RawMessage(`["a"]`)}, `2["a"]`},
		{packet.Packet{Type: packet.Event, Namespace: "/c", ID: 7, HasID: true, Data: json.RawMessage(`["a"]`)}, `2/c,7["a"]`},
		{packet.Packet{Type: packet.Ack, ID: 0, HasID: true, Data: json.RawMessage(`[]`)}, `30[]`},
		{packet.Packet{Type: packet.ConnectError, Namespace: "/c", Data: json.RawMessage(`{"message":"no"}`)}, `4/c,{"message":"no"}`},
		{packet.Packet{Type: packet.Event, Data: json.RawMessage(`["a"]`), Attachments: make([][]byte, 2)}, `52-["a"]`},
		{packet.Packet{Type: packet.Ack, ID: 3, HasID: true, Namespace: "/c", Data: json.RawMessage(`[]`), Attachments: make([][]byte, 1)}, `61-/c,3[]`},
	} {
		if got := string(AppendRev5(nil, &row.p)); got != row.want {
			t.Errorf("%s instead of %s", got, row.want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	parts := [][]byte{{0}, {1}, {2}}
	in := `[{"_placeholder":true,"num":2},"{\"_placeholder\":true,\"num\":0}",{"x":{"num":1,"_placeholder":true}},{"_placeholder":false,"num":0}]`
	out, used := jsontext.AppendRenumbered(nil, []byte(in), parts, [][]byte{{9}})
	if want := `[{"_placeholder":true,"num":1},"{\"_placeholder\":true,\"num\":0}",{"x":{"_placeholder":true,"num":2}},{"_placeholder":false,"num":0}]`; string(out) != want {
		t.Errorf("%s", out)
	}
	if fmt.Sprint(used) != "[[9] [2] [1]]" {
		t.Errorf("%v", used)
	}
	if got := string(jsontext.Inline([]byte(`{"a":{"_placeholder":true,"num":1}}`), parts)); got != `{"a":"AQ=="}` {
		t.Errorf("%s", got)
	}
}

// FuzzRev5 decodes whatever comes, and encodes what was decoded back to the same packet.
func FuzzRev5(f *testing.F) {
	for _, s := range []string{
		`0`, `0/chat,{"a":1}`, `2["hello",1]`, `2/chat,7["x",{"_placeholder":true,"num":0}]`, `30[]`, `4{"message":"x"}`,
		`51-["img",{"_placeholder":true,"num":0}]`, `510-["x"]`, `2[["a"]]`, `29007199254740992["a"]`, `2["\u0061"]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			return
		}
		d := NewRev5Decoder(&packet.DefaultLimits)
		read := bytes.Clone(data)
		p, err := d.Text(read)
		if p == nil && err == nil {
			clear(read) // the buffer serves the next read
		}
		for i := 0; p == nil && err == nil; i++ {
			if p, err = d.Binary([]byte{byte(i)}); err != nil {
				t.Fatalf("%q: attachment %d: %v", data, i, err)
			}
		}
		if err != nil {
			return
		}
		text := AppendRev5(nil, p)
		again, err := NewRev5Decoder(&packet.DefaultLimits).Text(text)
		if len(p.Attachments) == 0 && (err != nil || show(again) != show(p)) {
			t.Fatalf("%q: %s, then %q: %s (%v)", data, show(p), text, show(again), err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for name, in := range map[string]string{
		"str16": `2["echo","0123456789abcdef"]`,
		"ack":   `2/chat,17["say",{"room":"lobby","text":"hello everyone in the room"}]`,
		"str1k": `2["echo","` + strings.Repeat("x", 1024) + `"]`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			d := NewRev5Decoder(&packet.DefaultLimits)
			data := []byte(in)
			for b.Loop() {
				if _, err := d.Text(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	p := packet.Packet{Type: packet.Event, Namespace: "/", Data: json.RawMessage(`["echo","0123456789abcdef"]`)}
	var dst []byte
	for b.Loop() {
		dst = AppendRev5(dst[:0], &p)
	}
}
