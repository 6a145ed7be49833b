// Package netfault is the network between two programs of a test, with faults: it delays, cuts,
// resets and falls silent, and it changes what passes as a bad proxy does.
package netfault

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// ErrReset is what a Flow returns to end its connection with a TCP reset, on both sides.
var ErrReset = errors.New("netfault: reset")

// Flow is told what comes in one direction of a connection, and passes on what it likes with
// forward. It is called with nil at the end of what comes. An error ends the connection. What it
// is told is valid until it returns.
type Flow func(b []byte, forward func([]byte) error) error

// Proxy is the network between a client and a server, or between a node and a bus.
type Proxy struct {
	// Addr is host and port.
	Addr string

	l      net.Listener
	target string
	flows  func(n int) (up, down Flow)
	wg     sync.WaitGroup

	mu     sync.Mutex
	moved  *sync.Cond
	cut    bool
	frozen bool
	count  int
	idle   time.Duration
	conns  map[net.Conn]struct{}
}

// New starts a proxy for a target, until the end of the test.
func New(tb testing.TB, target string) *Proxy { return NewFlows(tb, target, nil) }

// NewFlows starts a proxy whose connections, numbered from 0, pass through what flows returns: up
// is what the client says, down is what the target says. A nil Flow passes everything on.
func NewFlows(tb testing.TB, target string, flows func(n int) (up, down Flow)) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if flows == nil {
		flows = func(int) (up, down Flow) { return nil, nil }
	}
	p := &Proxy{Addr: l.Addr().String(), l: l, target: target, flows: flows, conns: make(map[net.Conn]struct{})}
	p.moved = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	tb.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// Cut ends all connections, and refuses more.
func (p *Proxy) Cut() { p.end(true, false) }

// Drop ends all connections; more may come.
func (p *Proxy) Drop() { p.end(false, false) }

// Reset ends all connections with a TCP reset; more may come.
func (p *Proxy) Reset() { p.end(false, true) }

func (p *Proxy) end(cut, hard bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.frozen = cut, false
	for c := range p.conns {
		closeConn(c, hard)
	}
	clear(p.conns)
	p.moved.Broadcast()
}

// Freeze has nothing pass, and nobody notice: what is on its way waits.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

// Heal lets everything pass.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.frozen = false, false
	p.moved.Broadcast()
}

// Idle has the proxy end connections that are made from now on, when nothing has come in one
// direction for d.
func (p *Proxy) Idle(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = d
}

func (p *Proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		cut := p.cut
		p.mu.Unlock()
		if cut {
			_ = in.Close()
			continue
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		if p.cut {
			_, _ = in.Close(), out.Close()
		} else {
			up, down := p.flows(p.count)
			p.count++
			idle := p.idle
			p.conns[in], p.conns[out] = struct{}{}, struct{}{}
			p.wg.Go(func() { p.copy(out, in, up, idle) })
			p.wg.Go(func() { p.copy(in, out, down, idle) })
		}
		p.mu.Unlock()
	}
}

func (p *Proxy) copy(to, from net.Conn, flow Flow, idle time.Duration) {
	hard := false
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range []net.Conn{to, from} {
			delete(p.conns, c)
			closeConn(c, hard)
		}
	}()
	forward := func(b []byte) error {
		p.mu.Lock()
		for p.frozen {
			p.moved.Wait()
		}
		p.mu.Unlock()
		_, err := to.Write(b)
		return err
	}
	if flow == nil {
		flow = func(b []byte, forward func([]byte) error) error { return forward(b) }
	}
	buf := make([]byte, 64<<10)
	for {
		if idle > 0 {
			_ = from.SetReadDeadline(time.Now().Add(idle))
		}
		n, err := from.Read(buf)
		if n > 0 {
			if err := flow(buf[:n], forward); err != nil {
				hard = errors.Is(err, ErrReset)
				return
			}
		}
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				_ = flow(nil, forward)
			}
			return
		}
	}
}

// closeConn closes a connection; hard is with a reset.
func closeConn(c net.Conn, hard bool) {
	if tcp, ok := c.(*net.TCPConn); ok && hard {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
