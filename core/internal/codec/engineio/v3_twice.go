package engineio

import (
	"strconv"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/packet"
)

// AppendTwicePayloadV3 is AppendPayloadV3 for a client of Socket.IO 1.x, which
// decodes text as UTF-8 once more than is right: the bytes of the UTF-8 text
// become characters, and the length counts those.
func AppendTwicePayloadV3(dst []byte, m *packet.Message) []byte {
	dst = appendTwiceV3(dst, m.Data())
	for _, b := range m.Attachments() {
		dst = appendTwiceV3(dst, b)
	}
	return dst
}

func appendTwiceV3(dst, text []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(len(text)), 10), ':')
	for _, b := range text {
		dst = utf8.AppendRune(dst, rune(b))
	}
	return dst
}
