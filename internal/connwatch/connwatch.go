// Package connwatch helps hosts that do not watch a connection while they
// handle a request on it, and that close a connection they have handed over. It
// asks the operating system instead.
package connwatch

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// tick is how late a watch learns that its host shuts down,
	tick = 100 * time.Millisecond
	// probeTicks times that how late it learns that the peer has left.
	probeTicks = 10
)

// ErrNoDescriptor is returned by Duplicate for connections that are more than a
// descriptor, such as those with TLS and types of the host's own.
var ErrNoDescriptor = errors.New("connwatch: the connection has no descriptor of its own")

// Watch watches one connection.
type Watch struct {
	gone  chan struct{}
	done  <-chan struct{}
	conn  syscall.RawConn // nil: cannot be asked
	index int             // in the sweeper's list
	told  bool
}

// Start watches c, which may be a TLS connection, until Stop. Gone is closed
// within a second of the peer's leaving, and soon after done. A connection of a
// host's own type cannot be asked: there Gone is closed after done only.
func Start(c net.Conn, done <-chan struct{}) *Watch {
	w := &Watch{gone: make(chan struct{}), done: done, conn: below(c)}
	sweep.add(w)
	return w
}

// below returns the descriptor of a connection, below TLS, or nil.
func below(c net.Conn) syscall.RawConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	raw, err := descriptor(c)
	if err != nil {
		return nil
	}
	return raw
}

// Unsent is how many bytes written to c its peer has not acknowledged: what a client
// that sends its next request has read of the answers before is not among them. It is 0
// where that cannot be known, which is anywhere but on Linux.
func Unsent(c net.Conn) (n int) {
	if raw := below(c); raw != nil {
		_ = raw.Control(func(fd uintptr) { n = unsent(fd) })
	}
	return n
}

// descriptor returns the descriptor of a connection of package net itself. A type
// that embeds such a connection has its methods, but may be something else: one of
// many on the same descriptor, or one that has read ahead.
func descriptor(c net.Conn) (syscall.RawConn, error) {
	switch own := c.(type) {
	case *net.TCPConn:
		return own.SyscallConn()
	case *net.UnixConn:
		return own.SyscallConn()
	}
	return nil, ErrNoDescriptor
}

// Gone is closed when the peer has left or the host shuts down; Present tells which.
func (w *Watch) Gone() <-chan struct{} { return w.gone }

// Present asks now whether the peer is still there. It reports true when that
// cannot be known.
func (w *Watch) Present() bool {
	there := true
	if w.conn != nil {
		if err := w.conn.Control(func(fd uintptr) { there = connected(fd) }); err != nil {
			return false
		}
	}
	return there
}

// Stop ends the watch. It must be called once.
func (w *Watch) Stop() { sweep.remove(w) }

// sweeper is one goroutine for all watches of the process; it exists while
// there are any.
type sweeper struct {
	mu   sync.Mutex
	list []*Watch
	on   bool
}

var sweep sweeper

func (s *sweeper) add(w *Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.index = len(s.list)
	s.list = append(s.list, w)
	if !s.on {
		s.on = true
		go s.run()
	}
}

func (s *sweeper) remove(w *Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.list) - 1
	moved := s.list[last]
	s.list[w.index] = moved
	moved.index = w.index
	s.list[last] = nil
	s.list = s.list[:last]
}

func (s *sweeper) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for n := 1; ; n++ {
		<-t.C
		s.mu.Lock()
		if len(s.list) == 0 {
			s.on = false
			s.mu.Unlock()
			return
		}
		for _, w := range s.list {
			over := false
			select {
			case <-w.done:
				over = true
			default:
				over = n%probeTicks == 0 && !w.Present()
			}
			if over && !w.told {
				w.told = true
				close(w.gone)
			}
		}
		s.mu.Unlock()
	}
}

// Duplicate returns a connection to the same peer that outlives c: closing c
// does not end it. c must not be read or written any more.
func Duplicate(c net.Conn) (net.Conn, error) {
	raw, err := descriptor(c)
	if err != nil {
		return nil, err
	}
	return duplicate(raw)
}
