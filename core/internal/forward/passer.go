package forward

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/httpreq"
)

// Pass passes a request on to the node that has its session. When it reports false, nothing
// has been answered and the error says why.
func (f *Forwarder) Pass(x host.Exchange, node, address string) (answered bool, err error) {
	websocket := httpreq.WantsUpgrade(x) // which may go on for long, and is not waited for
	if !websocket {
		if !f.enter() {
			return false, ErrClosed
		}
		defer f.exit()
	}
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
		l, fresh := f.idle(node), false
		if l == nil {
			var err error
			if l, fresh, err = f.connect(node, address); err != nil {
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
		case <-leaving: // the client goes on elsewhere
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
