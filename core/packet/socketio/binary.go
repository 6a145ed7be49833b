package socketio

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"github.com/siokit/siokit/core/packet"
)

// A placeholder stands in JSON where an attachment belongs:
// {"_placeholder":true,"num":0} (Socket.IO protocol 5, "Binary events").

// AppendPlaceholder appends the placeholder of attachment num.
func AppendPlaceholder(dst []byte, num int) []byte {
	dst = append(dst, `{"_placeholder":true,"num":`...)
	return append(strconv.AppendInt(dst, int64(num), 10), '}')
}

// EachPlaceholder calls f for every placeholder in valid JSON, in order, with
// its place [from, to) and its num. A num that is no plain non-negative integer
// is passed as -1. Other objects that merely have a key "_placeholder" are skipped.
func EachPlaceholder(data []byte, f func(from, to, num int) bool) {
	if !bytes.Contains(data, []byte(`"_placeholder"`)) {
		return
	}
	// A stack of open objects is not needed: a placeholder contains no compound
	// value, so it ends at the first closing brace behind its opening one.
	open := -1
	for i := 0; i < len(data); {
		switch data[i] {
		case '"':
			i = skipString(data, i)
			continue
		case '{':
			open = i
		case '[', ']':
			open = -1
		case '}':
			if open >= 0 {
				if num, ok := placeholder(data[open : i+1]); ok && !f(open, i+1, num) {
					return
				}
			}
			open = -1
		}
		i++
	}
}

func skipString(data []byte, i int) int {
	for i++; i < len(data); {
		i += packet.PlainLen(data[i:])
		if i >= len(data) || data[i] == '"' {
			return i + 1
		}
		i += 2 // a backslash and what it escapes
	}
	return i
}

// placeholder reads a flat object. A key that occurs twice makes num -1.
func placeholder(obj []byte) (num int, ok bool) {
	num = -1
	marks, nums := 0, 0
	b := obj[1 : len(obj)-1]
	for i := 0; i < len(b); {
		switch b[i] {
		case ' ', '\t', '\r', '\n', ',':
			i++
			continue
		}
		if b[i] != '"' {
			return 0, false
		}
		end := skipString(b, i)
		key := packet.Unquote(b[i:end])
		for i = end; i < len(b) && b[i] != ':'; i++ {
		}
		i++
		from := i
		for i < len(b) && b[i] != ',' {
			if b[i] == '"' {
				i = skipString(b, i)
				continue
			}
			i++
		}
		value := bytes.Trim(b[from:i], " \t\r\n")
		switch string(key) {
		case "_placeholder":
			if string(value) != "true" {
				return 0, false
			}
			marks++
		case "num":
			nums++
			if n, err := strconv.ParseUint(string(value), 10, 16); err == nil && (len(value) == 1 || value[0] != '0') {
				num = int(n)
			}
		}
	}
	if marks == 0 {
		return 0, false
	}
	if marks != 1 || nums != 1 {
		num = -1
	}
	return num, true
}

// checkPlaceholders demands that each of count attachments is used exactly once.
func checkPlaceholders(data []byte, count int) error {
	var seen [64]bool
	if count > len(seen) {
		return packet.Malformed("too many attachments: %d", count)
	}
	used := 0
	bad := false
	EachPlaceholder(data, func(_, _, num int) bool {
		if num < 0 || num >= count || seen[num] {
			bad = true
			return false
		}
		seen[num] = true
		used++
		return true
	})
	if bad || used != count {
		return packet.Malformed("illegal attachments")
	}
	return nil
}

// AppendRenumbered appends JSON to dst with its placeholders numbered anew from
// next on, and appends the attachments they meant to parts.
func AppendRenumbered(dst, data []byte, attachments [][]byte, parts [][]byte) ([]byte, [][]byte) {
	at := 0
	EachPlaceholder(data, func(from, to, num int) bool {
		if num < 0 || num >= len(attachments) {
			return true
		}
		dst = append(dst, data[at:from]...)
		dst = AppendPlaceholder(dst, len(parts))
		parts = append(parts, attachments[num])
		at = to
		return true
	})
	return append(dst, data[at:]...), parts
}

// Inline replaces placeholders by base64 strings, the form in which
// encoding/json reads a []byte.
func Inline(data []byte, attachments [][]byte) []byte {
	var dst []byte
	at := 0
	EachPlaceholder(data, func(from, to, num int) bool {
		if num < 0 || num >= len(attachments) {
			return true
		}
		dst = append(append(dst, data[at:from]...), '"')
		dst = base64.StdEncoding.AppendEncode(dst, attachments[num])
		dst = append(dst, '"')
		at = to
		return true
	})
	if at == 0 {
		return data
	}
	return append(dst, data[at:]...)
}

// Attachment returns the attachment that data, one argument, consists of.
func Attachment(data []byte, attachments [][]byte) ([]byte, bool) {
	if len(attachments) == 0 || len(data) == 0 || data[0] != '{' {
		return nil, false
	}
	if num, ok := placeholder(data); ok && num >= 0 && num < len(attachments) {
		return attachments[num], true
	}
	return nil, false
}
