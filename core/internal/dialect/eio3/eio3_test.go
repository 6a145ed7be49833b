package eio3

import (
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/dialect"
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
			p.(dialect.Repairer).Repair([]byte(s))
			bin.(dialect.Repairer).Repair([]byte(s))
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
