//go:build unix

package websocket

import (
	"io"
	"syscall"
)

// rawIO says that reads and writes can go to the descriptor directly.
const rawIO = true

// readReady runs when the descriptor may have bytes. It takes a buffer only then, of the size
// that the message before has needed: what waits for its client has none.
func (c *Conn) readReady(fd uintptr) bool {
	rd := c.current
	fresh := rd.buf == nil
	if fresh {
		n := 0
		if rd.large {
			n = largeBuffer
		}
		rd.take(n)
	}
	for {
		n, err := syscall.Read(int(fd), (*rd.buf)[rd.w:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if fresh {
				rd.drop()
			}
			return false
		case err != nil:
			rd.err = err
		case n == 0:
			rd.err = io.EOF
		default:
			rd.w += n
			rd.err = nil
		}
		return true
	}
}

// writeReady writes what it can and never waits.
func (c *Conn) writeReady(fd uintptr) bool {
	o := &c.out
	for o.n < len(o.p) {
		n, err := syscall.Write(int(fd), o.p[o.n:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			o.err = errAgain
			return true
		case err != nil:
			o.err = err
			return true
		}
		o.n += n
	}
	return true
}
