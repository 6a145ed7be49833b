package connwatch

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// handoverTimeout is how long fasthttp may take from the handler's return to the
// hijack handler, and a client to take the answer.
var handoverTimeout = 10 * time.Second

// Handover returns a hijack handler for fasthttp that writes answer and hands the
// connection to run, as Exchange.Upgrade demands. fasthttp must write no answer of
// its own. When it never calls the handler, because the connection broke or a
// middleware has answered otherwise, run is given a connection that is closed
// after 10 s, so that what was begun for it ends.
//
// When a hijack handler returns, fasthttp closes the connection and gives its
// wrapper to another client; while it runs, its deep stack and its request are
// kept. So the connection is duplicated and served elsewhere, and where that is
// not possible the handler stays until the connection has ended.
func Handover(answer []byte, run func(net.Conn, *bufio.Reader)) func(hijacked net.Conn) {
	var taken atomic.Bool
	lost := time.AfterFunc(handoverTimeout, func() {
		if taken.CompareAndSwap(false, true) {
			gone, other := net.Pipe()
			_, _ = gone.Close(), other.Close()
			run(gone, nil)
		}
	})
	return func(hijacked net.Conn) {
		if taken.CompareAndSwap(false, true) {
			lost.Stop()
			handOver(hijacked, answer, run)
		}
	}
}

func handOver(hijacked net.Conn, answer []byte, run func(net.Conn, *bufio.Reader)) {
	raw := hijacked
	if u, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
		raw = u.UnsafeConn()
	}
	_ = raw.SetWriteDeadline(time.Now().Add(handoverTimeout))
	if _, err := raw.Write(answer); err != nil {
		_ = raw.Close() // run finds that out
	}
	early := buffered(raw, hijacked)
	if own, err := Duplicate(raw); err == nil {
		go run(own, early)
		return
	}
	held := &heldConn{Conn: raw, closed: make(chan struct{})}
	run(held, early)
	<-held.closed
}

// buffered returns what fasthttp has read beyond the handshake: a read through
// its wrapper gives that first, and the passed deadline ends it there.
func buffered(raw, hijacked net.Conn) *bufio.Reader {
	_ = raw.SetReadDeadline(time.Unix(1, 0))
	early, _ := io.ReadAll(hijacked)
	_ = raw.SetDeadline(time.Time{})
	if len(early) == 0 {
		return nil
	}
	return bufio.NewReaderSize(bytes.NewReader(early), 16)
}

// heldConn tells when it is closed.
type heldConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// CloseWrite is that of the connection, where it has one.
func (c *heldConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close ends the hijack handler too. fasthttp's wrapper would do nothing here.
func (c *heldConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}
