package engineio

import (
	"slices"
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

// TwiceV3 returns m for a websocket of a client of Socket.IO 1.0, which decodes text
// once more than is right there too. Base64 and binary parts are left as they are.
func TwiceV3(m *packet.Message) *packet.Message {
	if m.Binary() || ascii(m.Data()) {
		return m
	}
	twice := make([]byte, 0, 2*len(m.Data()))
	for _, b := range m.Data() {
		twice = utf8.AppendRune(twice, rune(b))
	}
	return withText(m, twice)
}

// OnceV3 undoes TwiceV3.
func OnceV3(m *packet.Message) *packet.Message {
	if m.Binary() || ascii(m.Data()) {
		return m
	}
	once, _ := Twice(m.Data())
	return withText(m, once)
}

// withText is m with another text in front of its attachments.
func withText(m *packet.Message, text []byte) *packet.Message {
	other := packet.TextMessage(string(text))
	if m.Texts() {
		return other.AttachTexts(m.Attachments()...)
	}
	return other.Attach(m.Attachments()...)
}

func ascii(text []byte) bool {
	return !slices.ContainsFunc(text, func(b byte) bool { return b >= utf8.RuneSelf })
}

func appendTwiceV3(dst, text []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(len(text)), 10), ':')
	for _, b := range text {
		dst = utf8.AppendRune(dst, rune(b))
	}
	return dst
}
