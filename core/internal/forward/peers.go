package forward

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// peer is a node that requests are passed on to.
type peer struct {
	idle []*link // the one that was used last is the last
	all  map[*link]struct{}

	turns   chan struct{} // of those that make a connection
	waiting int           // that make one, or wait for their turn
}

// end ends all connections to a node; Forwarder.mu is held.
func (p *peer) end() {
	for l := range p.all {
		l.end()
	}
}

// link is a connection to a node. A goroutine reads it.
type link struct {
	*conn
	f     *Forwarder
	node  string
	in    chan frame    // closed when nothing comes any more
	quit  chan struct{} // closed by end
	once  sync.Once
	since time.Time // when it became idle

	client atomic.Pointer[net.Conn] // the websocket that it serves
}

// end ends the connection, and the client's when it serves a websocket.
func (l *link) end() {
	l.once.Do(func() {
		close(l.quit)
		_ = l.Close()
		if c := l.client.Load(); c != nil {
			l.f.closeClient(*c)
		}
	})
}

// read hands on what comes, up to the question for a websocket: what comes behind that may
// be the websocket's.
func (l *link) read() {
	for {
		f, err := l.receive()
		if err != nil {
			l.end()
			close(l.in)
			return
		}
		select {
		case l.in <- f:
		case <-l.quit:
			close(l.in)
			return
		}
		if f.kind == askUpgrade {
			return
		}
	}
}

// Left ends the connections to a node that has left the cluster.
func (f *Forwarder) Left(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leave(node)
}

// leave is Left; Forwarder.mu is held.
func (f *Forwarder) leave(node string) {
	f.heard(node)
	if p := f.peers[node]; p != nil {
		delete(f.peers, node)
		p.end()
	}
}

// forget takes a connection that has ended out of the books.
func (f *Forwarder) forget(l *link) {
	l.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.peers[l.node]; p != nil {
		delete(p.all, l)
		f.unused(l.node, p)
	}
}

// unused takes a peer that nobody uses out of the books; Forwarder.mu is held.
func (f *Forwarder) unused(node string, p *peer) {
	if len(p.all) == 0 && p.waiting == 0 && f.peers[node] == p {
		delete(f.peers, node)
	}
}

// peer returns what is known of a node; Forwarder.mu is held.
func (f *Forwarder) peer(node string) *peer {
	p := f.peers[node]
	if p == nil {
		p = &peer{all: make(map[*link]struct{}), turns: make(chan struct{}, maxDials)}
		f.peers[node] = p
	}
	return p
}

// turn waits until a connection to a node may be made: very many requests may come at once,
// as when a load balancer has lost a server, and the node takes no more than so many
// strangers. done ends the turn.
func (f *Forwarder) turn(node string) (done func(), err error) {
	f.mu.Lock()
	if f.shut {
		f.mu.Unlock()
		return nil, ErrClosed
	}
	p := f.peer(node)
	p.waiting++
	f.mu.Unlock()
	leave := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		p.waiting--
		f.unused(node, p)
	}
	timer := time.NewTimer(turnTimeout)
	defer timer.Stop()
	select {
	case p.turns <- struct{}{}:
		return func() { <-p.turns; leave() }, nil
	case <-timer.C:
		err = errMany
	case <-f.closing.Done():
		err = ErrClosed
	}
	leave()
	return nil, err
}

// idle returns a connection that waits for work, and ends those that have waited long.
func (f *Forwarder) idle(node string) *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.peers[node]
	if p == nil {
		return nil
	}
	p.prune()
	if n := len(p.idle); n > 0 {
		l := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		return l
	}
	return nil
}

// prune ends the connections that have waited for work too long, or have ended.
func (p *peer) prune() {
	kept := p.idle[:0]
	for i, l := range p.idle {
		ended := len(p.idle)-i > maxIdle || time.Since(l.since) > idleTimeout
		select {
		case <-l.quit:
			ended = true
		default:
		}
		if ended {
			delete(p.all, l)
			l.end()
		} else {
			kept = append(kept, l)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
}

// keep keeps a connection for the next exchange.
func (f *Forwarder) keep(l *link) {
	l.since = time.Now()
	f.mu.Lock()
	p := f.peers[l.node]
	if p != nil {
		if _, known := p.all[l]; known {
			p.idle = append(p.idle, l)
			p.prune()
			f.mu.Unlock()
			return
		}
	}
	f.mu.Unlock()
	l.end()
}

// connect returns a connection to a node that nothing has been sent by, or, when one has become
// idle before its turn, that one.
func (f *Forwarder) connect(node, address string) (l *link, fresh bool, err error) {
	done, err := f.turn(node)
	if err != nil {
		return nil, false, err
	}
	defer done()
	if l = f.idle(node); l != nil {
		return l, false, nil
	}
	l, err = f.dial(node, address)
	return l, true, err
}

// dial returns a new connection to a node.
func (f *Forwarder) dial(node, address string) (*link, error) {
	c, err := f.call(address)
	if err != nil {
		return nil, err
	}
	l := &link{conn: c, f: f, node: node, in: make(chan frame), quit: make(chan struct{})}
	if err := f.book(l); err != nil {
		l.end()
		return nil, err
	}
	if err := l.prove(f.opts.Secret, end{node, address}); err != nil {
		f.forget(l)
		return nil, err
	}
	if !f.goes(l.read) {
		f.forget(l)
		return nil, ErrClosed
	}
	return l, nil
}

var errMany = errors.New("forward: too many connections to the node")

func (f *Forwarder) book(l *link) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return ErrClosed
	}
	p := f.peer(l.node)
	if len(p.all) >= maxConnsToNode {
		return errMany
	}
	p.all[l] = struct{}{}
	return nil
}
