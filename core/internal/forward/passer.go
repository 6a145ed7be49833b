package forward

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/httpreq"
)

// peer is a node that requests are passed on to.
type peer struct {
	idle []*link // the one that was used last is the last
	all  map[*link]struct{}
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
		if len(p.all) == 0 {
			delete(f.peers, l.node)
		}
	}
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

// dial returns a connection to a node.
func (f *Forwarder) dial(node, address string) (*link, error) {
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(f.closing, "tcp", address)
	if err != nil {
		return nil, err
	}
	alive(nc)
	l := &link{conn: newConn(nc), f: f, node: node, in: make(chan frame), quit: make(chan struct{})}
	if err := f.book(l); err != nil {
		l.end()
		return nil, err
	}
	if err := l.prove(f.opts.Secret, node); err != nil {
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
	p := f.peers[l.node]
	if p == nil {
		p = &peer{all: make(map[*link]struct{})}
		f.peers[l.node] = p
	}
	if len(p.all) >= maxConnsToNode {
		return errMany
	}
	p.all[l] = struct{}{}
	return nil
}

// Pass passes a request on to the node that has its session. When it reports false, nothing
// has been answered and the error says why.
func (f *Forwarder) Pass(x host.Exchange, node, address string) (answered bool, err error) {
	websocket := httpreq.WantsUpgrade(x)
	exit, ok := f.enter(websocket)
	if !ok {
		return false, ErrClosed
	}
	defer exit()
	l, err := f.begin(x, node, address)
	if err != nil {
		return false, fmt.Errorf("node %s at %s: %w", node, address, err)
	}
	p := passing{link: l, x: x}
	defer func() {
		if p.kept {
			f.keep(l)
		} else if !p.handed {
			f.forget(l)
		}
	}()
	if x.Method() == http.MethodGet && !websocket {
		p.gone = x.Gone()
	}
	if err := p.run(); err != nil {
		return p.answered, fmt.Errorf("node %s at %s: %w", node, address, err)
	}
	return true, nil
}

// begin sends a request to a node. A connection that has ended while it was idle is not the
// last word: the node has not had the request.
func (f *Forwarder) begin(x host.Exchange, node, address string) (*link, error) {
	head := appendHead(nil, x)
	for {
		l := f.idle(node)
		fresh := l == nil
		if fresh {
			var err error
			if l, err = f.dial(node, address); err != nil {
				return nil, err
			}
		}
		err := l.send(request, head)
		if err == nil {
			return l, nil
		}
		if f.forget(l); fresh {
			return nil, err
		}
	}
}

// passing is an exchange that is passed on. Its goroutine is the host's.
type passing struct {
	*link
	x        host.Exchange
	gone     <-chan struct{}
	replied  bool
	answered bool // the client has its answer, or has left
	handed   bool // the connection serves a stream or a websocket
	kept     bool // the exchange has ended and the connection goes on
}

var (
	errSlow     = errors.New("forward: no answer in time")
	errEnded    = errors.New("forward: the connection has ended")
	errNoAnswer = errors.New("forward: the exchange has ended without an answer")
)

// run answers questions until the exchange has ended.
func (p *passing) run() error {
	timer := time.NewTimer(p.f.opts.Wait)
	defer timer.Stop()
	leaving := p.f.leaving
	for {
		var err error
		select {
		case f, ok := <-p.in:
			if !ok {
				return errEnded
			}
			if f.kind == over {
				if p.kept = true; !p.answered {
					return errNoAnswer
				}
				return nil
			}
			if err := p.serve(f); err != nil || p.handed {
				return err
			}
		case <-p.gone:
			p.gone = nil
			if t, ok := host.As[host.Prober](p.x); ok && t.Present() {
				err = p.send(hurry) // the host has run out of patience
			} else {
				p.answered = true // there is nobody to be answered
				err = p.send(left)
			}
			timer.Reset(answerTimeout)
		case <-leaving:
			leaving = nil
			err = p.send(hurry)
			timer.Reset(answerTimeout)
		case <-timer.C:
			return errSlow
		}
		if err != nil {
			return err
		}
	}
}

// serve answers one question. An error ends the connection.
func (p *passing) serve(f frame) error {
	returned := false
	defer func() { // the exchange may be the application's
		if !returned {
			_ = p.send(answer, appendError(nil, errPanic))
		}
	}()
	err := p.answer(f)
	returned = true
	return err
}

func (p *passing) answer(f frame) error {
	q := &parser{data: f.data}
	switch f.kind {
	case askBody:
		body, err := p.x.Body(int64(min(q.number(), maxFrame-piece)))
		if err != nil {
			body = nil
		}
		return p.send(answer, appendError(nil, err), body)
	case askHeader:
		has := byte(0)
		if p.x.HasHeader(q.text()) {
			has = 1
		}
		return p.send(answer, appendError(nil, nil), []byte{has})
	case askReply:
		status := int(q.number())
		if q.change(p.x); q.bad || p.replied || status < 200 || status > 599 {
			return errFrame
		}
		p.replied, p.answered = true, true
		return p.send(answer, appendError(nil, p.x.Reply(status, q.data)))
	case askStream:
		return p.stream(q)
	case askUpgrade:
		return p.upgrade(q)
	}
	return errFrame
}

// stream has the host answer in pieces. Where the host does so behind the exchange, the
// connection is its own by then.
func (p *passing) stream(q *parser) error {
	status := int(q.number())
	if q.change(p.x); q.bad || status < 200 || status > 599 {
		return errFrame
	}
	l, gone := p.link, p.gone
	err := p.x.Stream(status, func(s host.Stream) {
		defer l.f.forget(l)
		if l.send(answer, appendError(nil, nil)) == nil {
			l.pieces(s, gone)
		}
	})
	if err != nil {
		return p.send(answer, appendError(nil, err))
	}
	p.answered, p.handed = true, true
	return nil
}

// pieces writes the pieces of a stream until it ends.
func (l *link) pieces(s host.Stream, gone <-chan struct{}) {
	timer := time.NewTimer(l.f.opts.Wait)
	defer timer.Stop()
	for {
		select {
		case f, ok := <-l.in:
			if !ok || f.kind != askWrite {
				return // over, or malformed
			}
			_, err := s.Write(f.data)
			if err == nil {
				err = s.Flush()
			}
			if l.send(answer, appendError(nil, err)) != nil {
				return
			}
			timer.Reset(l.f.opts.Wait)
		case <-gone:
			gone = nil
			if l.send(left) != nil {
				return
			}
		case <-l.f.leaving:
			return
		case <-timer.C:
			return
		}
	}
}

// upgrade has the host take the connection over.
func (p *passing) upgrade(q *parser) error {
	var opts host.UpgradeOptions
	if n := q.number(); n > 0 {
		opts.Protocols = []string{}
		for ; n > 1 && !q.bad; n-- {
			opts.Protocols = append(opts.Protocols, q.text())
		}
	}
	if q.change(p.x); q.bad {
		return errFrame
	}
	if err := p.x.Upgrade(opts, p.link.join); err != nil {
		if !p.f.goes(p.link.read) {
			return ErrClosed
		}
		return p.send(answer, appendError(nil, err))
	}
	p.answered, p.handed = true, true
	return nil
}
