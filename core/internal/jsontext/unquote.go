package jsontext

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote returns the text of a JSON string that Split has validated. Without
// escapes it points into s.
func Unquote(s []byte) []byte {
	s = s[1 : len(s)-1]
	if i := bytes.IndexByte(s, '\\'); i >= 0 {
		return unescape(make([]byte, 0, len(s)), s, i)
	}
	return s
}

// UTF16Len is the number of UTF-16 units of valid UTF-8 text: what JavaScript
// calls its length.
func UTF16Len(text []byte) (n int) {
	for _, c := range text {
		if c&0xc0 != 0x80 { // not a continuation
			n++
		}
		if c >= 0xf0 { // beyond the basic plane: two units
			n++
		}
	}
	return n
}

// UTF16Cut returns the place where the first n UTF-16 units of valid UTF-8 text
// end, and false when text is shorter or they end inside a character.
func UTF16Cut(text []byte, n int) (int, bool) {
	i := 0
	for n > 0 && i < len(text) {
		switch c := text[i]; {
		case c < 0x80:
			i, n = i+1, n-1
		case c < 0xe0:
			i, n = i+2, n-1
		case c < 0xf0:
			i, n = i+3, n-1
		default:
			i, n = i+4, n-2
		}
	}
	return i, n == 0 && i <= len(text)
}

func unescape(dst, s []byte, i int) []byte {
	dst = append(dst, s[:i]...)
	for i < len(s) {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			i++
			continue
		}
		c := s[i+1]
		i += 2
		switch c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
					if pair := utf16.DecodeRune(r, hex4(s[i+2:])); pair != utf8.RuneError {
						dst = utf8.AppendRune(dst, pair)
						i += 6
						continue
					}
				}
				r = utf8.RuneError
			}
			dst = utf8.AppendRune(dst, r)
		default: // quote, backslash, slash
			dst = append(dst, c)
		}
	}
	return dst
}

func hex4(s []byte) (r rune) {
	for _, c := range s[:4] {
		r <<= 4
		switch {
		case c <= '9':
			r |= rune(c - '0')
		case c <= 'F':
			r |= rune(c-'A') + 10
		default:
			r |= rune(c-'a') + 10
		}
	}
	return r
}
