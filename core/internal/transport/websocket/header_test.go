package websocket

import (
	"bytes"
	"io"
	"testing"

	"github.com/gobwas/ws"
)

// FuzzHeader holds the header parser against that of the library.
func FuzzHeader(f *testing.F) {
	for _, b := range [][]byte{
		{0x81, 0x82, 1, 2, 3, 4}, {0x01, 0x05}, {0x82, 0xfe, 0x12, 0x34, 1, 2, 3, 4},
		{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x89},
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok, err := parseHeader(b)
		r := bytes.NewReader(b)
		want, werr := ws.ReadHeader(r)
		switch {
		case err != nil:
			if werr != ws.ErrHeaderLengthMSB && werr != io.EOF && werr != io.ErrUnexpectedEOF { // ours refuses early
				t.Fatalf("%x: ours refuses, theirs says %v", b, werr)
			}
		case !ok:
			if werr != io.EOF && werr != io.ErrUnexpectedEOF && werr != ws.ErrHeaderLengthMSB {
				t.Fatalf("%x: ours wants more, theirs says %v", b, werr)
			}
		case werr != nil:
			t.Fatalf("%x: ours accepts, theirs says %v", b, werr)
		case got.fin != want.Fin || got.rsv != want.Rsv || got.op != want.OpCode || got.length != want.Length ||
			got.masked != want.Masked || got.mask != want.Mask || got.size != len(b)-r.Len():
			t.Fatalf("%x: %+v instead of %+v", b, got, want)
		}
	})
}

// BenchmarkHeader is the measurement behind the parser of our own.
func BenchmarkHeader(b *testing.B) {
	frame := []byte{0x81, 0x9d, 1, 2, 3, 4}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok, err := parseHeader(frame); !ok || err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		r := bytes.NewReader(frame)
		for b.Loop() {
			r.Reset(frame)
			if _, err := ws.ReadHeader(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
