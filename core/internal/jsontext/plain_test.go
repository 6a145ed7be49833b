package jsontext

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPlainLen: each byte at each place of texts that are shorter and longer than what is looked at
// in one step.
func TestPlainLen(t *testing.T) {
	for _, length := range []int{0, 1, 7, 8, 9, 63, 64, 65, 95, 96, 100, 1087, 1088, 1089, 2200} {
		text := bytes.Repeat([]byte("a\u00e9 ~\x7f"), length)[:length]
		if n := PlainLen(text); n != length {
			t.Fatalf("%d of %d bytes are plain", n, length)
		}
		for i := range text {
			was := text[i]
			for _, c := range []byte{0, 1, 0x1f, '"', '\\'} {
				text[i] = c
				if n := PlainLen(text); n != i {
					t.Fatalf("%q at %d of %d: %d", c, i, length, n)
				}
			}
			text[i] = was
		}
	}
}

// TestPlainLenCost: a text of nothing but escapes takes one pass, and not one for each.
func TestPlainLenCost(t *testing.T) {
	text := []byte(strings.Repeat(strings.Repeat("a", 70)+`\n`, 8<<20/72))
	took := least(func() {
		for rest := text; len(rest) > 0; {
			n := PlainLen(rest)
			rest = rest[min(n+2, len(rest)):]
		}
	})
	// Some ten milliseconds; to the end of the text for each would be five hundred gigabytes.
	if took > 5*time.Second {
		t.Error(took)
	}
}

func BenchmarkPlainLen(b *testing.B) {
	for _, length := range []int{10, 100, 16 << 10} {
		text := []byte(strings.Repeat("x", length))
		b.Run(strconv.Itoa(length), func(b *testing.B) {
			b.SetBytes(int64(length))
			for b.Loop() {
				PlainLen(text)
			}
		})
	}
}
