package sio1

import (
	"testing"
	"time"

	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/packet"
)

// TestUnits: what belongs to the transport, in every form that clients send.
func TestUnits(t *testing.T) {
	d := New(packet.DefaultLimits)
	for in, want := range map[string]packet.Kind{
		"2::": packet.Pong, "2:::": packet.Pong, "2": packet.Pong,
		"8::": packet.Noop, "": packet.Noop,
		"0::": packet.MessageUnit, "3:::2::": packet.MessageUnit, "22::": packet.MessageUnit,
	} {
		u, err := d.Decode(packet.Frame{Data: []byte(in)})
		if err != nil || u.Kind != want {
			t.Errorf("%q: %d, %v", in, u.Kind, err)
		}
	}
	if _, err := d.Decode(packet.Frame{Binary: true}); err == nil {
		t.Error("binary was accepted")
	}
	for kind, want := range map[packet.Kind]string{packet.Ping: "2::", packet.Pong: "2::", packet.Noop: "8::", packet.Close: "0::"} {
		if got := d.Control(packet.Unit{Kind: kind}); string(got.Data()) != want {
			t.Errorf("%d: %s", kind, got.Data())
		}
	}
	if got := d.UnknownSession(); string(got.Data()) != "7:::1+0" {
		t.Errorf("stranger: %s", got.Data())
	}
}

// TestUnwrap: the JSON string in the field d (legacy A4.3, reliability J07).
func TestUnwrap(t *testing.T) {
	p := New(packet.DefaultLimits).Payloads(dialect.Request{Transport: dialect.JSONP})
	for in, want := range map[string]string{
		"d=%225%3A%3A%3A%7B%5C%22name%5C%22%3A%5C%22a%5C%22%7D%22": `5:::{"name":"a"}`,
		"d=%22a%5Cnb%22": "a\nb",
		"d=1":            "malformed", "d=%22": "malformed", "": "malformed", "d=%22%22&d=%22%22": "malformed",
	} {
		got, err := p.Unwrap([]byte(in))
		if err != nil {
			got = []byte("malformed")
		}
		if string(got) != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	plain := New(packet.DefaultLimits).Payloads(dialect.Request{Transport: dialect.Polling})
	if got, _ := plain.Unwrap([]byte("d=1")); string(got) != "d=1" {
		t.Errorf("%s", got)
	}
}

// TestSeconds: the handshake counts in seconds, and in parts of them when it must.
func TestSeconds(t *testing.T) {
	for want, d := range map[string]time.Duration{"3": 3 * time.Second, "60": time.Minute, "1.5": 1500 * time.Millisecond} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}
