package websocket

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// header is a frame header read in place. ws.ReadHeader reads from an io.Reader
// and costs more than the rest of a small frame; a fuzz test holds the two
// against each other.
type header struct {
	fin    bool
	masked bool
	rsv    byte
	op     ws.OpCode
	length int64
	mask   [4]byte
	size   int // of the header itself
}

// parseHeader reads the header at the start of b; false: b is too short.
func parseHeader(b []byte) (h header, ok bool, err error) {
	if len(b) < 2 {
		return h, false, nil
	}
	h.fin = b[0]&0x80 != 0
	h.rsv = b[0] & 0x70 >> 4
	h.op = ws.OpCode(b[0] & 0x0f)
	h.masked = b[1]&0x80 != 0
	h.size = 2
	switch n := b[1] & 0x7f; n {
	case 126:
		if len(b) < 4 {
			return h, false, nil
		}
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
		h.size = 4
	case 127:
		if len(b) < 10 {
			return h, false, nil
		}
		v := binary.BigEndian.Uint64(b[2:])
		if v>>63 != 0 {
			return h, false, fail(transport.ProtocolError, "frame length out of range")
		}
		h.length = int64(v)
		h.size = 10
	default:
		h.length = int64(n)
	}
	if h.masked {
		if len(b) < h.size+4 {
			// What can be refused without the mask is refused now.
			return h, false, nil
		}
		h.mask = [4]byte(b[h.size:])
		h.size += 4
	}
	return h, true, nil
}

// closeFrame builds an unmasked close frame. The reason is cut to what fits.
func closeFrame(code transport.Code, reason string) []byte {
	if code == transport.NoCode {
		return packet.AppendHeader(nil, 0x88, 0)
	}
	for len(reason) > ws.MaxControlFramePayloadSize-2 {
		_, n := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-n]
	}
	b := packet.AppendHeader(nil, 0x88, 2+len(reason))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}
