package siotest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// end is one end of a connection in memory. What is written waits for the other end without
// a bound, so that neither side waits for the other: a test that does not read must not keep
// the server. All waiting is on a condition, which the clock of a synctest bubble counts as
// waiting; a connection of the network would keep that clock.
type end struct {
	in, out *flow
}

var _ net.Conn = (*end)(nil)

// pipe returns the two ends of a connection.
func pipe() (client, server *end) {
	up, down := newFlow(), newFlow()
	return &end{in: down, out: up}, &end{in: up, out: down}
}

func (e *end) Read(p []byte) (int, error) { return e.in.read(p) }

func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }

// Close closes both directions. The other end reads what was written before.
func (e *end) Close() error {
	e.in.abandon()
	e.out.finish()
	return nil
}

// CloseWrite tells the other end that nothing more will come.
func (e *end) CloseWrite() error {
	e.out.finish()
	return nil
}

func (e *end) LocalAddr() net.Addr { return memory{} }

func (e *end) RemoteAddr() net.Addr { return memory{} }

func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.setDeadline(t)
	return nil
}

// SetWriteDeadline does nothing: no write waits.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// memory is the address of both ends.
type memory struct{}

func (memory) Network() string { return "memory" }

func (memory) String() string { return "memory" }

// flow is one direction of a connection.
type flow struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	finished bool // nothing more is written
	left     bool // nobody reads any more
	deadline time.Time
	timer    *time.Timer
}

func newFlow() *flow {
	f := new(flow)
	f.changed = sync.NewCond(&f.mu)
	return f
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.left:
			return 0, net.ErrClosed
		case !f.deadline.IsZero() && !time.Now().Before(f.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(f.data) > 0:
			n := copy(p, f.data)
			f.data = f.data[n:]
			return n, nil
		case f.finished:
			return 0, io.EOF
		}
		f.changed.Wait()
	}
}

func (f *flow) write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.finished:
		return 0, net.ErrClosed
	case f.left:
		return 0, io.ErrClosedPipe
	}
	f.data = append(f.data, p...)
	f.changed.Broadcast()
	return len(p), nil
}

func (f *flow) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finished = true
	f.changed.Broadcast()
}

func (f *flow) abandon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.data = true, nil
	f.stopTimer()
	f.changed.Broadcast()
}

func (f *flow) setDeadline(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopTimer()
	f.deadline = t
	if !t.IsZero() && !f.left {
		f.timer = time.AfterFunc(time.Until(t), f.wake)
	}
	f.changed.Broadcast() // it may be over already
}

func (f *flow) stopTimer() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
}

func (f *flow) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed.Broadcast()
}
