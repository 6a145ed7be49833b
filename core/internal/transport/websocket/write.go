package websocket

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// The states of the writing role. again: somebody queued more while the writer
// may have seen the queue empty.
const (
	idle int32 = iota
	writing
	again
)

// gatherSize is how many bytes of small frames are put together for one write.
const gatherSize = 64 << 10

// A flush writes at most flushBudget bytes on the goroutine of its caller, which
// may have other connections to look after: what is more, or comes meanwhile, is
// written by a goroutine of the connection. A write counts as writeCost at least,
// so that a client that reads as fast as small messages come ends the budget too.
const (
	flushBudget = 256 << 10
	writeCost   = 8 << 10
)

var gatherPool = sync.Pool{New: func() any { b := make([]byte, 0, gatherSize); return &b }}

// Flush implements transport.Conn.
func (c *Conn) Flush() {
	for {
		switch c.writing.Load() {
		case idle:
			if c.writing.CompareAndSwap(idle, writing) {
				c.budget = flushBudget
				c.write(false)
				return
			}
		case writing:
			if c.writing.CompareAndSwap(writing, again) {
				return
			}
		default:
			return
		}
	}
}

// write sends what is queued until nothing is left. The caller holds the
// writing role; a goroutine of its own takes it over when the client does not
// keep up or the budget is used up, and then blocking is true.
func (c *Conn) write(blocking bool) {
	for {
		// Asked before the queue is: what was queued before Close leaves before the close frame.
		ctl, closes := c.pending()
		ms := c.link.Next()
		if ms == nil && ctl == nil {
			if closes {
				ctl = c.farewell()
			}
			if ctl == nil {
				c.finishWriting()
				if c.writing.CompareAndSwap(writing, idle) {
					return
				}
				c.writing.Store(writing)
				continue
			}
		}
		if !c.send(ctl, ms, blocking) {
			return
		}
	}
}

// pending takes the answer to a ping, if one is due, and reports whether there is a close frame
// to be sent behind what is queued.
func (c *Conn) pending() (pong []byte, closes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control == nil {
		return nil, false
	}
	if len(c.control.pong) > 0 {
		pong, c.control.pong = c.control.pong, nil
	}
	return pong, c.control.goodbye != nil
}

// farewell takes the close frame, once the queue is empty.
func (c *Conn) farewell() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control == nil || c.control.goodbye == nil {
		return nil
	}
	p := c.control.goodbye
	c.control.goodbye = nil
	c.said = true
	return p
}

// finishWriting shows the peer, once the close frame is out, that nothing more
// will come: it need not wait for the connection's end. Its time for its own begins.
func (c *Conn) finishWriting() {
	if !c.said || c.ended.Load() {
		return
	}
	c.said = false
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	c.startPatience()
}

// send writes ctl and ms. It reports false when the writing role has gone to
// another goroutine.
func (c *Conn) send(ctl []byte, ms []*packet.Message, blocking bool) bool {
	if c.ended.Load() {
		c.link.Sent(ms)
		return true
	}
	if !blocking && c.raw == nil {
		// A blocking write would keep whoever called Flush.
		go c.drain(nil, ctl, ms, 0)
		return false
	}
	if ctl == nil && len(ms) == 1 {
		if p, ok := ms[0].Frames(); ok {
			n, err := c.put(p, blocking)
			return c.after(p[n:], err, ms, 1, blocking)
		}
	}
	buf := gatherPool.Get().(*[]byte)
	p := append((*buf)[:0], ctl...)
	i := 0
	for i < len(ms) || len(p) > 0 {
		for i < len(ms) && (len(p) == 0 || len(p)+ms[i].Size() <= gatherSize) {
			p = ms[i].AppendFrames(p)
			i++
		}
		n, err := c.put(p, blocking)
		if err != nil {
			// The unwritten part outlives the pooled buffer.
			return c.after(append([]byte(nil), p[n:]...), err, ms, i, blocking)
		}
		if cap(p) > gatherSize {
			p = make([]byte, 0, gatherSize)
		}
		p = p[:0]
	}
	if cap(p) <= gatherSize {
		*buf = p
		gatherPool.Put(buf)
	}
	c.link.Sent(ms)
	return true
}

// errAgain: the kernel takes no more at the moment, or the budget is used up.
var errAgain = errors.New("websocket: send buffer full")

// after deals with the end of a write: rest is what was not written, i the
// index of the first message that is in neither.
func (c *Conn) after(rest []byte, err error, ms []*packet.Message, i int, blocking bool) bool {
	switch {
	case err == nil:
		c.link.Sent(ms)
		return true
	case errors.Is(err, errAgain):
		c.drains.Add(1)
		c.startPatience() // Close may have come before it could see this
		go func() {
			defer c.drains.Add(-1)
			c.drain(rest, nil, ms, i)
		}()
		return false
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = transport.ErrSlow
	}
	c.link.Sent(ms)
	c.end(err)
	return true
}

// drain goes on where the kernel took no more, as the writer, until the queue is empty.
func (c *Conn) drain(rest, ctl []byte, ms []*packet.Message, i int) {
	if len(rest) > 0 {
		if _, err := c.put(rest, true); err != nil {
			c.after(nil, err, ms, i, true)
			c.write(true)
			return
		}
	}
	left := ms
	if i > 0 {
		// The link takes the slice back with the messages that are written.
		left = append([]*packet.Message(nil), ms[i:]...)
		c.link.Sent(ms[:i])
	}
	if len(left) > 0 || ctl != nil {
		c.send(ctl, left, true)
	}
	c.write(true)
}

// put writes p and returns how much of it was written.
func (c *Conn) put(p []byte, blocking bool) (int, error) {
	if !blocking && c.raw != nil {
		c.out = outcome{p: p[:min(len(p), c.budget)]}
		if err := c.raw.Write(c.rawWrite); err != nil {
			return c.out.n, err
		}
		n, err := c.out.n, c.out.err
		c.out = outcome{}
		c.budget = max(0, c.budget-max(n, writeCost))
		if err == nil && n < len(p) {
			err = errAgain
		}
		return n, err
	}
	n := 0
	for n < len(p) {
		// A piece at a time: the deadline is for progress, not for all of it.
		piece := p[n:min(n+gatherSize, len(p))]
		_ = c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		m, err := c.nc.Write(piece)
		n += m
		if err != nil {
			return n, err
		}
	}
	_ = c.nc.SetWriteDeadline(time.Time{})
	return n, nil
}
