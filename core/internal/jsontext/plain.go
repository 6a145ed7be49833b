package jsontext

import (
	"bytes"
	"encoding/binary"
)

// PlainLen returns how many bytes from the start of b need no attention inside
// a JSON string: no quote, no backslash, no control character. It looks at
// eight bytes at a time, and in a long text for each of the three by itself.
func PlainLen(b []byte) int {
	i := 0
	for ; i+8 <= len(b) && i < 64; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		q, s := w^ones*'"', w^ones*'\\'
		// A byte below 0x20, or zero after the xor, borrows into its high bit.
		if ((w-ones*0x20)&^w|(q-ones)&^q|(s-ones)&^s)&highs != 0 {
			return i + plainTail(b[i:i+8])
		}
	}
	for i+8 <= len(b) {
		// Not the whole of b: a text of escapes would be read to its end for each.
		part, end := b[i:min(i+1024, len(b))], false
		for _, c := range [...]byte{'"', '\\'} {
			if j := bytes.IndexByte(part, c); j >= 0 {
				part, end = part[:j], true
			}
		}
		n := printable(part)
		if i += n; end || n < len(part) {
			return i
		}
	}
	return i + plainTail(b[i:])
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainTail is PlainLen, byte by byte.
func plainTail(b []byte) int {
	for i, c := range b {
		if c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return len(b)
}

// printable returns how many bytes from the start of b are no control characters.
func printable(b []byte) int {
	i := 0
	for ; i+32 <= len(b); i += 32 {
		w, x := binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+8:])
		y, z := binary.LittleEndian.Uint64(b[i+16:]), binary.LittleEndian.Uint64(b[i+24:])
		if ((w-ones*0x20)&^w|(x-ones*0x20)&^x|(y-ones*0x20)&^y|(z-ones*0x20)&^z)&highs != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if b[i] < 0x20 {
			return i
		}
	}
	return i
}
