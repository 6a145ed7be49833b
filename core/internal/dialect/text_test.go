package dialect_test

import (
	"testing"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio3"
	"github.com/siokit/siokit/core/internal/dialect/eio4"
	"github.com/siokit/siokit/core/internal/dialect/sio06"
	"github.com/siokit/siokit/core/internal/dialect/sio1"
	"github.com/siokit/siokit/core/internal/packet"
)

// TestApplicationText: what an application without Socket.IO packets sends leaves
// as UTF-8 in every generation, and so does the text of a refusal.
func TestApplicationText(t *testing.T) {
	for _, d := range []dialect.Dialect{eio4.New(packet.DefaultLimits), eio3.New(packet.DefaultLimits, eio3.RepairNever), sio1.New(packet.DefaultLimits), sio06.New(packet.DefaultLimits)} {
		m := d.Control(packet.Unit{Kind: packet.MessageUnit, Data: []byte("a\xff\xc0b")})
		if m.Binary() || !utf8.Valid(m.Data()) {
			t.Errorf("%s: %q", d.Name(), m.Data())
		}
	}
	if r := (&dialect.Refusal{Message: "\xff"}); r.Text() != "\ufffd" {
		t.Errorf("%q", r.Text())
	}
}
