package forward

import (
	"context"
	"net"
	"time"
)

// silentTime is the time between two looks at a node that has fallen silent.
const silentTime = 5 * time.Second

// silence is a node that has fallen silent on the bus. It may be the bus: as long as the node
// can be reached, and proves that it is the node, its sessions go on. What hangs proves nothing,
// so the requests that it has taken end within silentTime and authTimeout.
type silence struct {
	address string
	over    chan struct{} // closed when the node is heard again, or has left
}

// Silent is for a node that has fallen silent on the bus. It is as if it had Left once it cannot be
// reached at its address either.
func (f *Forwarder) Silent(node, address string) {
	s := &silence{address, make(chan struct{})}
	f.mu.Lock()
	f.heard(node)
	f.silent[node] = s
	f.mu.Unlock()
	if !f.goes(func() { f.watch(node, s) }) {
		f.Left(node)
	}
}

// Joined is for a node that is there, maybe again.
func (f *Forwarder) Joined(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard(node)
}

// heard ends a silence; Forwarder.mu is held.
func (f *Forwarder) heard(node string) {
	if s := f.silent[node]; s != nil {
		close(s.over)
		delete(f.silent, node)
	}
}

// Address is where a node that has fallen silent could be reached a moment ago.
func (f *Forwarder) Address(node string) (address string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.silent[node]; s != nil {
		return s.address, true
	}
	return "", false
}

// watch looks at a silent node until it is heard again, or cannot be reached.
func (f *Forwarder) watch(node string, s *silence) {
	again := time.NewTicker(silentTime)
	defer again.Stop()
	for f.reach(node, s) == nil {
		select {
		case <-again.C:
		case <-s.over:
			return
		case <-f.closing.Done():
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent[node] == s {
		f.leave(node)
	}
}

// reach reports whether a node can be reached, and is the one.
func (f *Forwarder) reach(node string, s *silence) error {
	c, err := f.call(s.address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(f.closing, func() { _ = c.Close() })()
	return c.prove(f.opts.Secret, end{node, s.address})
}

// call makes a connection to an address.
func (f *Forwarder) call(address string) (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(f.closing, "tcp", address)
	if err != nil {
		return nil, err
	}
	alive(nc)
	return newConn(nc), nil
}
