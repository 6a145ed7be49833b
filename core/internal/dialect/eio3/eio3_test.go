package eio3

import (
	"strconv"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

func payload(p packet.Payloads, d Dialect, us ...packet.Unit) (body, kind string) {
	var ms []*packet.Message
	for _, u := range us {
		ms = append(ms, p.(dialect.Repairer).Outgoing(d.Control(u)))
	}
	b, kind := p.AppendPayload(nil, ms)
	kind, _, _ = strings.Cut(kind, ";")
	return string(b), kind
}

// post has a client that polls send a text.
func post(t *testing.T, p packet.Payloads, text string) {
	t.Helper()
	body := strconv.Itoa(jsontext.UTF16Len([]byte(text))) + ":" + text
	if err := p.DecodePayload([]byte(body), "", func(packet.Unit) bool { return true }); err != nil {
		t.Fatal(err)
	}
}

// TestTextBack: a bare Engine.IO endpoint sends text as the client decodes it,
// alone and beside binary, once the client has shown how it encodes.
func TestTextBack(t *testing.T) {
	text := packet.Unit{Kind: packet.MessageUnit, Data: []byte("é€😀")}
	blob := packet.Unit{Kind: packet.MessageUnit, Data: []byte{1, 2, 3, 4}, Binary: true}
	once, double := "5:4é€😀", "10:4"+twice("é€😀")
	const base64, binary = "10:b4AQIDBA==", "\x00\x01\x00\xff4é€😀\x01\x05\xff\x04\x01\x02\x03\x04"
	for _, row := range []struct {
		name        string
		repair      Repair
		got         []string // texts that came from the client
		want, beb64 string   // a text, and a text beside base64
	}{
		{"nothing is known", RepairDetected, nil, once, once + base64},
		{"ASCII shows nothing", RepairDetected, []string{"42"}, once, once + base64},
		{"encoded twice", RepairDetected, []string{twice("4é")}, double, double + base64},
		{"encoded once", RepairDetected, []string{"4é"}, once, once + base64},
		{"encoded twice by chance", RepairDetected, []string{twice("4é"), "4€"}, once, once + base64},
		{"never", RepairNever, []string{twice("4é")}, once, once + base64},
		{"always", RepairAlways, []string{"4€"}, double, double + base64},
	} {
		d := New(packet.DefaultLimits, row.repair)
		p := d.Payloads(dialect.Request{Transport: dialect.Polling, Base64: true})
		bin := d.Payloads(dialect.Request{Transport: dialect.Polling})
		for _, s := range row.got {
			post(t, p, s)
			post(t, bin, s)
		}
		if got, _ := payload(p, d, text); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
		if got, _ := payload(p, d, text, blob); got != row.beb64 {
			t.Errorf("%s, beside base64: %q, want %q", row.name, got, row.beb64)
		}
		if got, kind := payload(bin, d, text, blob); got != binary || kind != "application/octet-stream" {
			t.Errorf("%s, beside binary: %q %s", row.name, got, kind)
		}
	}
}

// TestChosen: what is chosen for one client goes before what is for all.
func TestChosen(t *testing.T) {
	d := New(packet.DefaultLimits, RepairNever)
	p := d.Payloads(dialect.Request{Transport: dialect.Polling, Base64: true, Own: RepairAlways})
	if got, _ := payload(p, d, packet.Unit{Kind: packet.MessageUnit, Data: []byte("é")}); got != "3:4"+twice("é") {
		t.Errorf("%q", got)
	}
}

func twice(s string) string {
	var r []rune
	for _, b := range []byte(s) {
		r = append(r, rune(b))
	}
	return string(r)
}

// The message "é€😀" on the websocket of engine.io-client 1.3.1, which reads no other
// form, and of 1.6.11 and 1.8.6, which read that of 1.3.1 as "Ã©â..." (engine.io-parser
// 1.0.6, 1.2.4 and 1.3.2). In the text form of a payload all three have that of 1.3.1.
const (
	of16 = "4\u00e9\u20ac\U0001f600"
	of13 = "4\u00c3\u00a9\u00e2\u0082\u00ac\u00f0\u009f\u0098\u0080"
)

// TestWebsocketBack: a websocket gets text encoded twice when its client has encoded
// twice there, or an option says so, and never because of what it has done while it
// polled.
func TestWebsocketBack(t *testing.T) {
	text := packet.Unit{Kind: packet.MessageUnit, Data: []byte(of16[1:])}
	for _, row := range []struct {
		name           string
		repair         Repair
		posted, frames []string
		want           string
	}{
		{"nothing is known", RepairDetected, nil, nil, of16},
		{"ASCII shows nothing", RepairDetected, nil, []string{"4x"}, of16},
		{"1.3.1", RepairDetected, nil, []string{of13, "4x"}, of13},
		{"1.6.11", RepairDetected, nil, []string{of16}, of16},
		{"1.6.11, encoded twice by chance", RepairDetected, nil, []string{of13, of16, of13}, of16},
		{"1.6.11 after an upgrade", RepairDetected, []string{of13}, []string{"4x"}, of16},
		{"1.3.1 after an upgrade", RepairDetected, []string{of13}, []string{of13}, of13},
		{"once while it polled", RepairDetected, []string{of16}, []string{of13}, of16},
		{"never", RepairNever, nil, []string{of13}, of16},
		{"always, 1.6.11", RepairAlways, []string{of13}, []string{of16, of13}, of16},
		{"always, 1.3.1", RepairAlways, nil, []string{of13}, of13},
		{"everywhere", RepairEverywhere, nil, nil, of13},
		{"everywhere, whatever comes", RepairEverywhere, []string{of16}, []string{of16}, of13},
	} {
		d := New(packet.DefaultLimits, row.repair)
		p := d.Payloads(dialect.Request{Transport: dialect.Polling, Base64: true}).(dialect.Repairer)
		for _, s := range row.posted {
			post(t, p, s)
		}
		for _, s := range row.frames {
			p.Repair([]byte(s))
		}
		m := p.Outgoing(d.Control(text))
		if got := string(m.Data()); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
		if got := p.Outgoing(packet.TextMessage("451-").Attach([]byte{4, 0xc3})); string(got.Data()) != "451-" || len(got.Attachments()) != 1 {
			t.Errorf("%s: %q became of ASCII", row.name, got.Data())
		}
	}
}

// TestEverywhere: what waits for a websocket may leave with a poll.
func TestEverywhere(t *testing.T) {
	d := New(packet.DefaultLimits, RepairEverywhere)
	text := packet.Unit{Kind: packet.MessageUnit, Data: []byte(of16[1:])}
	blob := packet.Unit{Kind: packet.MessageUnit, Data: []byte{1, 0xc3, 0xa9}, Binary: true}
	plain := d.Payloads(dialect.Request{Transport: dialect.Polling, Base64: true})
	if got, _ := payload(plain, d, text, blob); got != "10:"+of13+"6:b4AcOp" {
		t.Errorf("text form: %q", got)
	}
	for _, binary := range []bool{false, true} {
		p := d.Payloads(dialect.Request{Transport: dialect.Polling, Binary: binary})
		if got, _ := payload(p, d, text, blob); got != "\x00\x01\x00\xff"+of16+"\x01\x04\xff\x04\x01\xc3\xa9" {
			t.Errorf("binary form: %q", got)
		}
	}
	p := d.Payloads(dialect.Request{Transport: dialect.WebSocket}).(dialect.Repairer)
	m := p.Outgoing(packet.TextMessage(of16).Attach([]byte{4, 0xc3, 0xa9}))
	if got := m.AppendFrames(nil); string(got) != "\x81\x13"+of13+"\x82\x03\x04\xc3\xa9" {
		t.Errorf("websocket: %q", got)
	}
}
