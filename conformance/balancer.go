package conformance

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// balancer gives the connections of one address to several hosts in turn. Nothing stands between
// a client and its host, so that neither sees a proxy: it is as if the kernel had chosen.
type balancer struct {
	ln     net.Listener
	url    string
	shares []*share
	over   chan struct{} // closed when it has given up the address
	once   sync.Once

	mu    sync.Mutex
	given map[string]int // the hosts of all connections, by the addresses of the clients
}

// share is the listener of one of the hosts.
type share struct {
	b      *balancer
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	used   atomic.Bool
}

// newBalancer listens where cfg says, for so many hosts.
func newBalancer(t testing.TB, cfg Config, hosts int) *balancer {
	t.Helper()
	ln, url := Listen(t, cfg)
	b := &balancer{ln: ln, url: url, over: make(chan struct{}), given: map[string]int{}}
	for range hosts {
		b.shares = append(b.shares, &share{b: b, conns: make(chan net.Conn, 64), closed: make(chan struct{})})
	}
	go b.run()
	return b
}

// run gives out connections until the listener is closed.
func (b *balancer) run() {
	defer close(b.over)
	for turn := 0; ; turn++ {
		nc, err := b.ln.Accept()
		if err != nil {
			break
		}
		if !b.give(turn, nc) {
			_ = nc.Close()
		}
	}
	for _, s := range b.shares {
		s.drain()
	}
}

// give gives a connection to the host whose turn it is, or to the next that still listens. Each
// round begins with another host.
func (b *balancer) give(turn int, nc net.Conn) bool {
	n := len(b.shares)
	for i := range n {
		at := (turn + turn/n + i) % n
		s := b.shares[at]
		if s.isClosed() {
			continue
		}
		select {
		case s.conns <- nc:
			b.mu.Lock()
			b.given[nc.RemoteAddr().String()] = at
			b.mu.Unlock()
			return true
		case <-s.closed:
		}
	}
	return false
}

// came is the host that the connection of a client came to.
func (b *balancer) came(from string) (host int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	host, ok = b.given[from]
	return host, ok
}

// stop gives the address up, whatever the hosts have done.
func (b *balancer) stop() {
	for _, s := range b.shares {
		_ = s.Close()
	}
	<-b.over
}

// Accept implements net.Listener.
func (s *share) Accept() (net.Conn, error) {
	if !s.isClosed() {
		select {
		case nc := <-s.conns:
			return nc, nil
		case <-s.closed:
		case <-s.b.over:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: s.Addr(), Err: net.ErrClosed}
}

func (s *share) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Close implements net.Listener. The address is given up with the last of the shares.
func (s *share) Close() error {
	s.once.Do(func() {
		close(s.closed)
		for _, other := range s.b.shares {
			if !other.isClosed() {
				return
			}
		}
		s.b.once.Do(func() { _ = s.b.ln.Close() })
	})
	return nil
}

// drain closes the connections that no host has taken.
func (s *share) drain() {
	for {
		select {
		case nc := <-s.conns:
			_ = nc.Close()
		default:
			return
		}
	}
}

// Addr implements net.Listener.
func (s *share) Addr() net.Addr { return s.b.ln.Addr() }
