package websocket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// errFailed is what a connection returns once a method of it has panicked, and when it
// returns what it must not.
var errFailed = errors.New("websocket: the connection's own code has failed")

// guarded is a connection of a type of the application's own, which a listener, a
// middleware or a host has put around one of package net. The goroutines of a Conn
// call it, and nobody recovers there: a panic would end the process. Here it ends the
// connection. The methods that Conn does not use are not guarded.
type guarded struct {
	net.Conn
	call   func(method func()) error
	failed atomic.Bool
	closed atomic.Bool
}

// guard returns nc, guarded where that is needed: connections of the standard library
// do not pay for it.
func (t Transport) guard(nc net.Conn) net.Conn {
	if t.Call == nil || standard(nc) {
		return nc
	}
	return &guarded{Conn: nc, call: t.Call}
}

func standard(nc net.Conn) bool {
	switch own := nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	case *tls.Conn:
		return standard(own.NetConn())
	}
	return false
}

// do calls a method. What reads the connection is told of a panic by its end.
func (g *guarded) do(method func()) error {
	if g.failed.Load() {
		return errFailed
	}
	returned := false
	defer func() { // also when the method has ended the goroutine
		if !returned && !g.failed.Swap(true) {
			go g.Close() // which may block
		}
	}()
	err := g.call(method)
	returned = err == nil
	return err
}

func (g *guarded) Read(p []byte) (n int, err error) {
	if failed := g.do(func() { n, err = g.Conn.Read(p); err = known(err) }); failed != nil {
		return 0, failed
	}
	if n < 0 || n > len(p) {
		return 0, errFailed // or whoever uses n would panic
	}
	if err != nil && g.failed.Load() {
		err = errFailed // the end is the connection's own, not the client's
	}
	return n, err
}

func (g *guarded) Write(p []byte) (n int, err error) {
	if failed := g.do(func() { n, err = g.Conn.Write(p); err = known(err) }); failed != nil {
		return 0, failed
	}
	if n < 0 || n > len(p) {
		return 0, errFailed
	}
	if n < len(p) && err == nil {
		err = io.ErrShortWrite // or whoever writes would try for ever
	}
	return n, err
}

func (g *guarded) SetReadDeadline(t time.Time) error {
	return g.do(func() { _ = g.Conn.SetReadDeadline(t) })
}

func (g *guarded) SetWriteDeadline(t time.Time) error {
	return g.do(func() { _ = g.Conn.SetWriteDeadline(t) })
}

// CloseWrite is that of the connection, where it has one.
func (g *guarded) CloseWrite() error {
	half, ok := g.Conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	return g.do(func() { _ = half.CloseWrite() })
}

// Close closes the connection, once. One that panics may have left it open: a deadline
// ends whoever reads.
func (g *guarded) Close() error {
	if g.closed.Swap(true) {
		return net.ErrClosed
	}
	returned := false
	defer func() {
		if !returned {
			g.failed.Store(true)
			_ = g.call(func() { _ = g.Conn.SetDeadline(time.Unix(1, 0)) })
		}
	}()
	err := g.call(func() { _ = g.Conn.Close() })
	returned = err == nil
	return err
}

// known is an error of the standard library that says what err says to a Conn: the
// methods of an error are application code too.
func known(err error) error {
	if err == nil {
		return nil
	}
	for _, is := range []error{os.ErrDeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, is) {
			return is
		}
	}
	return errors.New(err.Error())
}
