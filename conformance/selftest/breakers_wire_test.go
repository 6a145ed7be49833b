package selftest

import (
	"bytes"
	"strings"
)

// swap changes a text in what clients are sent on a websocket.
func swap(old, new string) fault {
	return fault{frames: out(func(f frame) []frame {
		f.data = bytes.ReplaceAll(f.data, []byte(old), []byte(new))
		return []frame{f}
	})}
}

func init() {
	more = append(more,
		breaker{"passes on what it has not understood", []string{"wire/placeholders", "wire/placeholders-beside", "wire/utf8", "wire/one-meaning"}, fault{frames: out(func(f frame) []frame {
			if f.is(`42["shouted","end"]`) {
				return []frame{text(`42["shouted","what was refused"]`), f}
			}
			return []frame{f}
		})}},
		breaker{"takes binary for text", []string{"wire/nested-binary"}, swap("[]uint8", "string")},
		breaker{"ends every connection as if all were well", []string{"wire/attachments-in-time"}, fault{frames: out(func(f frame) []frame {
			if f.b0 == 0x88 {
				f.data = []byte{0x03, 0xe8}
			}
			return []frame{f}
		})}},
		breaker{"names its own types", []string{"wire/words"}, swap("a string instead", "a Go string instead")},
		breaker{"knows one alphabet", []string{"wire/base64"}, fault{around: bodies(func(b string) string { return strings.ReplaceAll(b, "-_8", "!!8") })}},
		breaker{"asks for no acks of messages", []string{"wire/message-acks"}, swap("+::how", "::how")},
	)
}
