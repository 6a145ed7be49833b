package websocket

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/transport"
)

// The names of the transport.
const (
	Name      = "websocket"
	FlashName = "flashsocket"
)

const (
	// goodbyeTimeout bounds the closing handshake; when the server shuts down,
	// shutdownTimeout does.
	goodbyeTimeout  = 5 * time.Second
	shutdownTimeout = 500 * time.Millisecond
	// writeTimeout bounds how long a client may take nothing of what is written.
	writeTimeout = 10 * time.Second
	// maxFragments bounds the frames of one message: endless empty
	// continuations would cost a reader without ever growing the message.
	maxFragments = 1024
)

// Transport implements transport.Duplex.
type Transport struct {
	// MaxPayload bounds one message, in bytes, fragments together.
	MaxPayload int64
	// Flash: the transport is a flashsocket, a websocket that a plug-in has
	// opened, which differs by its name alone.
	Flash bool
	// Protocols are host.UpgradeOptions.Protocols.
	Protocols []string
	// Call calls a method of a connection that is not of the standard library, and
	// says whether the method has panicked. Nil: such methods are called bare.
	Call func(method func()) error
}

var _ transport.Duplex = Transport{}

// Name implements transport.Duplex.
func (t Transport) Name() string { return name(t.Flash) }

func name(flash bool) string {
	if flash {
		return FlashName
	}
	return Name
}

// Serve implements transport.Duplex.
func (t Transport) Serve(x host.Exchange, l transport.Link, start func(c transport.Conn)) error {
	return x.Upgrade(host.UpgradeOptions{Protocols: t.Protocols}, func(nc net.Conn, br *bufio.Reader) {
		c := newConn(t.guard(nc), l, t.MaxPayload)
		c.flash = t.Flash
		rd := &reader{c: c}
		read := false
		defer func() {
			if !read { // start or br has panicked, or has ended the goroutine: nobody reads
				c.end(fail(transport.Internal, "the session has not begun"))
			}
		}()
		if br != nil {
			rd.early, _ = io.ReadAll(br)
			br = nil //nolint:ineffassign // not kept for as long as the connection lives
		}
		start(c)
		read = true
		c.loop(rd)
	})
}

// Conn implements transport.Conn.
type Conn struct {
	nc   net.Conn
	raw  syscall.RawConn // nil: reads and writes go through nc and block
	link transport.Link
	max  int64

	// The reading role: its generation, shifted, and in the low bit whether it
	// may be moved, which only its holder sets.
	role    atomic.Uint32
	moving  sync.Mutex // held while the role moves
	current *reader    // the holder's state; changed by the holder only
	rawRead func(fd uintptr) bool
	ended   atomic.Bool

	// The writing role.
	writing  atomic.Int32
	drains   atomic.Int32 // goroutines that wait until the client takes more
	said     bool         // the close frame was sent; the holder's own
	flash    bool         // never changes
	rawWrite func(fd uintptr) bool
	out      outcome
	budget   int // bytes that whoever flushes may still write itself; the holder's own

	patience sync.Mutex // held while a read deadline is set; guards discards
	discards bool       // the reader waits for the end alone

	mu      sync.Mutex // guards what follows
	closing bool
	control *control // nil until there is such a frame to send
}

// control are the control frames that are still to be sent. Most connections never
// have one, and then have no room for any.
type control struct {
	pong     []byte        // the answer to the latest ping
	goodbye  []byte        // the close frame that follows the queue
	patience time.Duration // how long the client may take for its own, once that is out
}

// due returns what control frames are put into; c.mu is held.
func (c *Conn) due() *control {
	if c.control == nil {
		c.control = new(control)
	}
	return c.control
}

// outcome carries the arguments and results of rawWrite, a method value made
// once: a closure for each write would be an allocation for each.
type outcome struct {
	p   []byte
	n   int
	err error
}

func newConn(nc net.Conn, l transport.Link, limit int64) *Conn {
	c := &Conn{nc: nc, link: l, max: limit}
	if raw := descriptor(nc); raw != nil {
		c.raw = raw
		c.rawRead = c.readReady
		c.rawWrite = c.writeReady
	}
	return c
}

// descriptor returns what reads and writes go to directly, or nil. Only the
// connections of package net themselves have one: a host's own type that embeds
// such a connection has its methods too, and does something with the bytes
// (counts, decrypts, holds what it has read ahead) that must not be passed by.
func descriptor(nc net.Conn) syscall.RawConn {
	if !rawIO {
		return nil
	}
	var sc syscall.Conn
	switch own := nc.(type) {
	case *net.TCPConn:
		sc = own
	case *net.UnixConn:
		sc = own
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// Name implements transport.Conn.
func (c *Conn) Name() string { return name(c.flash) }

// Enter implements transport.Conn.
func (c *Conn) Enter() { c.role.Store(c.role.Load() | 1) }

// Detach implements transport.Conn.
func (c *Conn) Detach() {
	c.moving.Lock()
	defer c.moving.Unlock()
	v := c.role.Load()
	if v&1 == 0 || !c.role.CompareAndSwap(v, v+1) {
		return
	}
	// The old holder is inside Frame. Its unread bytes are ours; those before
	// them belong to the message that it is handling. Their batch begins before the
	// one of the holder can end: who waits for what was read waits for both.
	rd := &reader{c: c, early: append([]byte(nil), c.current.rest...)}
	if rd.begun = len(rd.early) > 0; rd.begun {
		c.link.Begin()
	}
	go c.loop(rd)
}

// Close implements transport.Conn.
func (c *Conn) Close(code transport.Code, reason string) {
	if code == transport.NoStatus {
		c.end(transport.ErrClosed)
		return
	}
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	patience := goodbyeTimeout
	if code == transport.GoingAway {
		patience = shutdownTimeout
	}
	c.closing = true
	due := c.due()
	due.goodbye, due.patience = closeFrame(code, reason), patience
	c.mu.Unlock()
	c.aside(func() {
		// The client's time begins when the close frame is out (finishWriting): a server that is
		// given no processor meanwhile would cut a client that has not had the frame. A client
		// that takes nothing has that time from now on; see after, too.
		c.waitFor(goodbyeTimeout, false)
		c.Flush()
		if c.raw != nil && c.drains.Load() > 0 {
			c.startPatience()
		}
		// A handler that keeps the reader must not keep the connection.
		c.Detach()
	})
}

// startPatience begins the time that the client has for its close frame. Before Close it does
// nothing.
func (c *Conn) startPatience() {
	var d time.Duration
	c.mu.Lock()
	if c.control != nil {
		d = c.control.patience
	}
	c.mu.Unlock()
	if d > 0 {
		c.waitFor(d, false)
	}
}

// waitFor sets how long the client may take for its goodbye. The reader has the
// last word: once it only discards what comes, a Close that was put aside before
// must not give the client more time.
func (c *Conn) waitFor(d time.Duration, last bool) {
	c.patience.Lock()
	defer c.patience.Unlock()
	if last || !c.discards {
		_ = c.nc.SetReadDeadline(time.Now().Add(d))
	}
	c.discards = c.discards || last
}

// aside runs f, which may wait for the connection, so that the caller does not:
// that is the timer wheel, a broadcast, or another client's handler. A connection
// that is a descriptor waits for nothing. Any other may: closing one with TLS
// waits up to 5 s for room in the send buffer.
func (c *Conn) aside(f func()) {
	if c.raw != nil {
		f()
		return
	}
	go f()
}

// end closes the connection and tells the link, once.
func (c *Conn) end(err error) {
	if c.ended.Swap(true) {
		return
	}
	c.aside(func() { _ = c.nc.Close() })
	var te *transport.Error
	switch {
	case errors.As(err, &te), errors.Is(err, transport.ErrClosed), errors.Is(err, transport.ErrSlow):
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrUnexpectedEOF):
		err = transport.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded) && c.isClosing():
		err = transport.ErrClosed
	}
	c.link.Lost(err)
}

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}
