package clustertest

import (
	"net"
	"sync"
	"testing"
)

// Proxy is the network between a node and a bus, which can be cut and can fall silent.
type Proxy struct {
	// Addr is host and port.
	Addr string

	l      net.Listener
	target string
	wg     sync.WaitGroup

	mu     sync.Mutex
	moved  *sync.Cond
	cut    bool
	frozen bool
	conns  []net.Conn
}

// NewProxy starts a proxy for a target, until the end of the test.
func NewProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), l: l, target: target}
	p.moved = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// Cut ends all connections, and refuses more.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.frozen = true, false
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
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
			p.conns = append(p.conns, in, out)
			p.wg.Go(func() { p.copy(in, out) })
			p.wg.Go(func() { p.copy(out, in) })
		}
		p.mu.Unlock()
	}
}

func (p *Proxy) copy(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	defer func() { _ = from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.frozen {
			p.moved.Wait()
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
