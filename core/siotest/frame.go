package siotest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The opcodes of RFC 6455 that are used here.
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

// leaving is the close code of a page that is left.
const leaving = 1001

// frame is one frame of a websocket, unmasked. Servers of siokit do not cut messages into
// several.
type frame struct {
	op      byte
	payload []byte
}

var errFrame = errors.New("the server sends what is no websocket frame of a server")

// readFrame reads one frame of a server.
func readFrame(br *bufio.Reader) (frame, error) {
	var h [2]byte
	if _, err := io.ReadFull(br, h[:]); err != nil {
		return frame{}, err
	}
	if h[0]&0xf0 != 0x80 || h[1]&0x80 != 0 { // not the last piece, a reserved bit, or masked
		return frame{}, fmt.Errorf("%w: it begins with %x", errFrame, h)
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(br, b[:]); err != nil {
			return frame{}, err
		}
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(br, b[:]); err != nil {
			return frame{}, err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	if n > 1<<40 { // also what is no int64
		return frame{}, fmt.Errorf("%w: it is of %d bytes", errFrame, n)
	}
	payload, err := io.ReadAll(io.LimitReader(br, int64(n))) // memory for what comes only
	if err == nil && uint64(len(payload)) < n {
		err = io.ErrUnexpectedEOF
	}
	return frame{op: h[0] & 0xf, payload: payload}, err
}

// appendFrame appends the frame as a client sends it: masked, here with zeros.
func appendFrame(dst []byte, f frame) []byte {
	dst = append(dst, 0x80|f.op)
	switch n := len(f.payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	return append(append(dst, 0, 0, 0, 0), f.payload...)
}

// closeCode is the code and the text of a close frame; 1005 when it has none.
func closeCode(payload []byte) (code int, text string) {
	if len(payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
}
