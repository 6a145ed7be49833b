package jsontext

import (
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendString appends text as a JSON string. Like JSON.stringify it escapes what
// must be escaped and nothing else; bytes that are not UTF-8 become U+FFFD, as in
// encoding/json.
func AppendString[T string | []byte](dst []byte, text T) []byte {
	// One copy, then only what needs attention is rewritten.
	dst = append(dst, '"')
	at := len(dst)
	dst = append(dst, text...)
	n := PlainLen(dst[at:])
	if n == len(text) && utf8.Valid(dst[at:]) {
		return append(dst, '"')
	}
	return append(appendEscaped(dst[:at], text, quoteOnly), '"')
}

// AppendScript appends text as a JSON string that is safe inside a script
// element and as a script: nothing in it can end either. A slash is written as
// backslash and slash when slashes is set.
func AppendScript(dst, text []byte, slashes bool) []byte {
	mode := forScript
	if slashes {
		mode = forPage
	}
	return append(appendEscaped(append(dst, '"'), text, mode), '"')
}

// escapes is what appendEscaped escapes beside quotes, backslashes and controls.
type escapes uint8

const (
	quoteOnly escapes = iota // nothing
	forScript                // what could end a script or a script element
	forPage                  // slashes too
)

// appendEscaped is the one writer of the text inside JSON strings.
func appendEscaped[T string | []byte](dst []byte, text T, mode escapes) []byte {
	dst = slices.Grow(dst, escapedLen(text, mode))
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := decodeRune(text[i:])
			if r == utf8.RuneError || mode != quoteOnly && (r == '\u2028' || r == '\u2029') {
				if mode == quoteOnly {
					dst = utf8.AppendRune(dst, r)
				} else {
					dst = appendUnit(dst, uint16(r))
				}
			} else {
				dst = append(dst, text[i:i+size]...)
			}
			i += size
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\' || c == '/' && mode == forPage:
			dst = append(dst, '\\', c)
		case mode == quoteOnly && c == '\n':
			dst = append(dst, '\\', 'n')
		case mode == quoteOnly && c == '\r':
			dst = append(dst, '\\', 'r')
		case mode == quoteOnly && c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20 || mode != quoteOnly && (c == '<' || c == '>' || c == '&' || c == 0x7f):
			dst = appendUnit(dst, uint16(c))
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// escapedLen is what appendEscaped appends, so that memory grows once. What
// becomes longer beyond ASCII is left out: text that is not UTF-8 is rare.
func escapedLen[T string | []byte](text T, mode escapes) int {
	n := len(text)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c < 0x20:
			n += 5
		case c == '"' || c == '\\' || c == '/' && mode == forPage:
			n++
		case mode != quoteOnly && (c == '<' || c == '>' || c == '&' || c == 0x7f):
			n += 5
		}
	}
	return n
}

func decodeRune[T string | []byte](text T) (rune, int) {
	if len(text) > utf8.UTFMax {
		text = text[:utf8.UTFMax]
	}
	return utf8.DecodeRuneInString(string(text))
}

// AppendASCII appends JSON with every character beyond ASCII written as an
// escape. It leaves text outside of strings alone: there is none beyond ASCII.
func AppendASCII(dst, data []byte) []byte {
	for i := 0; i < len(data); {
		if data[i] < utf8.RuneSelf {
			dst = append(dst, data[i])
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		i += size
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			dst = appendUnit(appendUnit(dst, uint16(hi)), uint16(lo))
		} else {
			dst = appendUnit(dst, uint16(r))
		}
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendUnit appends the escape of one UTF-16 unit.
func appendUnit(dst []byte, u uint16) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}
