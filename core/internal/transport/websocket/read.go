package websocket

import (
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// The two classes of read buffers: one for the usual message, one for those
// that were seen to be larger.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

var (
	smallPool = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largePool = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// reader is the state of the goroutine that reads a connection.
type reader struct {
	c     *Conn
	early []byte  // bytes that came before the first read
	buf   *[]byte // nil while there is nothing in it
	r, w  int     // unread bytes of buf
	rest  []byte  // buf[r:w] while a message of buf is being handled
	begun bool    // the first batch, of what another reader has left, has begun
	large bool    // the message before was too large for a small buffer: the next may be, too

	// a message in several frames, or one larger than a buffer
	msg    []byte
	op     ws.OpCode // 0: no message has begun
	frames int

	err error // of the last read
}

var errMoved = errors.New("websocket: another goroutine reads on")

// loop reads until the connection ends or the reading role moves on.
func (c *Conn) loop(rd *reader) {
	c.current = rd
	err := rd.run()
	rd.drop()
	if err == errMoved {
		return
	}
	var te *transport.Error
	if errors.As(err, &te) {
		text := te.Text
		if te.Code == transport.TooBig {
			text = "" // as from the reference: clients show the reason as a detail
		}
		c.Close(te.Code, text)
	}
	if te != nil || errors.Is(err, transport.ErrClosed) {
		// Give the client time to read why: closing with unread bytes in the
		// receive queue would reset the connection.
		rd.discard()
	}
	c.end(err)
}

// run handles what reads bring, one batch a read.
func (rd *reader) run() error {
	c := rd.c
	for {
		if err := rd.fill(); err != nil {
			return err
		}
		if !rd.begun {
			c.link.Begin()
		}
		rd.begun = false
		err := rd.batch()
		c.link.End()
		if err != nil {
			return err
		}
		if rd.r == rd.w {
			rd.drop()
		}
	}
}

// drop gives the buffer back.
func (rd *reader) drop() {
	if rd.buf == nil {
		return
	}
	if len(*rd.buf) == largeBuffer {
		largePool.Put(rd.buf)
	} else {
		smallPool.Put(rd.buf)
	}
	rd.buf, rd.r, rd.w = nil, 0, 0
}

// fill reads once. Without unread bytes it parks without a buffer.
func (rd *reader) fill() error {
	if len(rd.early) > 0 {
		if rd.buf == nil {
			rd.take(len(rd.early))
		}
		n := copy((*rd.buf)[rd.w:], rd.early)
		rd.w += n
		rd.early = rd.early[n:]
		if len(rd.early) == 0 {
			rd.early = nil
		}
		return nil
	}
	if rd.c.raw != nil {
		if err := rd.c.raw.Read(rd.c.rawRead); err != nil {
			return err
		}
		return rd.err
	}
	if rd.buf == nil {
		rd.take(0)
	}
	n, err := rd.c.nc.Read((*rd.buf)[rd.w:])
	rd.w += n
	if n > 0 {
		return nil
	}
	return err
}

// take gets a buffer that is likely to hold n bytes.
func (rd *reader) take(n int) {
	if n > smallBuffer {
		rd.buf = largePool.Get().(*[]byte)
	} else {
		rd.buf = smallPool.Get().(*[]byte)
	}
	rd.r, rd.w = 0, 0
}

// room makes place for total unread bytes, at most largeBuffer.
func (rd *reader) room(total int) {
	if len(*rd.buf) >= total {
		if rd.r > 0 {
			rd.w = copy(*rd.buf, (*rd.buf)[rd.r:rd.w])
			rd.r = 0
		}
		return
	}
	big := largePool.Get().(*[]byte)
	n := copy(*big, (*rd.buf)[rd.r:rd.w])
	rd.drop()
	rd.buf, rd.r, rd.w = big, 0, n
}

// shrink moves the unread bytes into a small buffer, and returns them: a handler of a small message
// must not hold a large one for as long as it runs.
func (rd *reader) shrink() []byte {
	if len(*rd.buf) > smallBuffer {
		small := smallPool.Get().(*[]byte)
		n := copy(*small, (*rd.buf)[rd.r:rd.w])
		rd.drop()
		rd.buf, rd.r, rd.w = small, 0, n
	}
	return (*rd.buf)[rd.r:rd.w]
}

func fail(code transport.Code, text string) error { return &transport.Error{Code: code, Text: text} }

// batch handles the frames that are complete.
func (rd *reader) batch() error {
	for {
		b := (*rd.buf)[rd.r:rd.w]
		h, ok, err := parseHeader(b)
		if err != nil {
			return err
		}
		if !ok {
			if rd.r > 0 {
				rd.room(len(b))
			}
			return nil
		}
		if err := rd.check(h); err != nil {
			return err
		}
		total := h.size + int(h.length)
		switch {
		case len(b) >= total:
			if rd.large && len(b) <= smallBuffer {
				b = rd.shrink()
			}
			payload := b[h.size:total]
			ws.Cipher(payload, h.mask, 0)
			rd.r += total
			rd.large = total > smallBuffer
			if err := rd.frame(h, payload); err != nil {
				return err
			}
		case total <= largeBuffer:
			rd.room(total)
			return nil
		default:
			if err := rd.bulk(h, b[h.size:]); err != nil {
				return err
			}
			if err := rd.part(h); err != nil {
				return err
			}
		}
		if rd.r == rd.w {
			return nil
		}
	}
}

// check applies the rules of RFC 6455 to a header before its payload costs anything.
func (rd *reader) check(h header) error {
	switch {
	case !h.masked:
		return fail(transport.ProtocolError, "unmasked frame")
	case h.rsv != 0:
		return fail(transport.ProtocolError, "reserved bits set")
	case h.op.IsReserved():
		return fail(transport.ProtocolError, "reserved opcode")
	case h.op.IsControl():
		if !h.fin || h.length > ws.MaxControlFramePayloadSize {
			return fail(transport.ProtocolError, "fragmented or oversized control frame")
		}
		return nil
	case h.op == ws.OpContinuation && rd.op == 0:
		return fail(transport.ProtocolError, "continuation of nothing")
	case h.op != ws.OpContinuation && rd.op != 0:
		return fail(transport.ProtocolError, "a message inside a fragmented one")
	case rd.frames >= maxFragments:
		return fail(transport.Policy, "too many fragments")
	}
	if h.length > rd.c.max-int64(len(rd.msg)) {
		return fail(transport.TooBig, "message too big")
	}
	return nil
}

// bulk reads the rest of a frame that fits no buffer, and adds it to the message.
// The memory grows with what arrives, not with what the header announces.
func (rd *reader) bulk(h header, have []byte) error {
	at := len(rd.msg)
	rd.msg = append(rd.msg, have...)
	left := int(h.length) - len(have)
	rd.r, rd.w = 0, 0
	// What was read before is handled: nobody may wait for this batch as long as for
	// the client.
	rd.c.link.End()
	defer rd.c.link.Begin()
	for left > 0 {
		if err := rd.fill(); err != nil {
			return err
		}
		n := min(left, rd.w)
		rd.msg = append(rd.msg, (*rd.buf)[:n]...)
		left -= n
		if left == 0 {
			rd.r = n // the rest belongs to the next frame
			break
		}
		rd.r, rd.w = 0, 0
		if len(*rd.buf) < largeBuffer {
			rd.drop()
			rd.take(largeBuffer)
		}
	}
	ws.Cipher(rd.msg[at:], h.mask, 0)
	return nil
}

// frame handles a frame whose payload lies in the buffer.
func (rd *reader) frame(h header, payload []byte) error {
	if h.op.IsControl() {
		return rd.control(h.op, payload)
	}
	if h.fin && rd.op == 0 {
		return rd.deliver(h.op, payload)
	}
	rd.msg = append(rd.msg, payload...)
	return rd.part(h)
}

// part notes that a frame was added to the message.
func (rd *reader) part(h header) error {
	if rd.op == 0 {
		rd.op = h.op
	}
	rd.frames++
	if !h.fin {
		return nil
	}
	op, msg := rd.op, rd.msg
	rd.op, rd.msg, rd.frames = 0, nil, 0
	return rd.deliver(op, msg)
}

// deliver hands one message to the link.
func (rd *reader) deliver(op ws.OpCode, data []byte) error {
	c := rd.c
	if op == ws.OpText && !utf8.Valid(data) {
		return fail(transport.InvalidData, "text is not UTF-8")
	}
	if c.ended.Load() || c.isClosing() {
		return nil
	}
	rd.rest = (*rd.buf)[rd.r:rd.w]
	if len(rd.early) > 0 {
		rd.rest = append(append([]byte(nil), rd.rest...), rd.early...)
	}
	v := c.role.Load()
	returned := false
	defer func() {
		if !returned {
			rd.deserted(v)
		}
	}()
	err := c.link.Frame(packet.Frame{Binary: op == ws.OpBinary, Data: data})
	returned = true
	if c.role.Load() != v && !c.role.CompareAndSwap(v|1, v) {
		c.moving.Lock() // whoever moved the role may still be copying what is unread
		rd.rest = nil
		c.moving.Unlock()
		return errMoved
	}
	rd.rest = nil
	return err
}

// deserted is called when what handles a message does not return: application code has
// panicked, where nobody recovers, or has ended the goroutine. v is the role from before.
// Where another goroutine may read on, it does; else the connection ends.
func (rd *reader) deserted(v uint32) {
	c := rd.c
	switch c.role.Load() {
	case v:
		c.end(fail(transport.Internal, "a message was not handled"))
	case v | 1:
		c.Detach()
	}
	c.link.End() // of the batch that the message was in
}

// control answers a control frame.
func (rd *reader) control(op ws.OpCode, payload []byte) error {
	c := rd.c
	switch op {
	case ws.OpPing:
		// One answer at most is kept: the latest ping is the one that counts.
		c.mu.Lock()
		due := c.due()
		due.pong = append(packet.AppendHeader(due.pong[:0], 0x8a, len(payload)), payload...)
		c.mu.Unlock()
		c.Flush()
	case ws.OpClose:
		if len(payload) == 1 {
			return fail(transport.ProtocolError, "close frame of one byte")
		}
		code, reason := ws.ParseCloseFrameData(payload)
		if len(payload) > 0 {
			if !utf8.ValidString(reason) {
				return fail(transport.InvalidData, "close reason is not UTF-8")
			}
			// From 5000 on RFC 6455 gives no code a meaning.
			if err := ws.CheckCloseFrameData(code, reason); err != nil || code >= 5000 {
				return fail(transport.ProtocolError, "invalid close code")
			}
		} else {
			code = ws.StatusNormalClosure
		}
		c.Close(transport.Code(code), "")
		return transport.ErrClosed
	}
	return nil
}

// discard reads until the peer has closed or the goodbye took too long.
func (rd *reader) discard() {
	rd.c.waitFor(time.Second, true)
	var b [512]byte
	for {
		if _, err := rd.c.nc.Read(b[:]); err != nil {
			return
		}
	}
}
