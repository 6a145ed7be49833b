package polling

import (
	"errors"
	"strings"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/transport"
)

// maxWaitingPosts bounds the POSTs of one session that wait for an earlier one,
// with Newest: it may wait for a slow handler, and each of them keeps a goroutine.
const maxWaitingPosts = 64

// escapedFactor is how much larger the escaping of a form can make a body.
const escapedFactor = 3

func (p *poll) Post(x host.Exchange, v transport.PollRequest, limit int64) error {
	if err := p.take(); err != nil {
		return err
	}
	defer func() { // also when an exchange of the application's own panics
		p.mu.Lock()
		p.posting = false
		p.turn++
		p.changed.Broadcast()
		p.mu.Unlock()
	}()
	return p.receive(x, v, limit)
}

// take waits until it is the turn of a POST. With Newest the order of a client's
// requests is that of their arrival; the other clients send one at a time.
func (p *poll) take() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opts.Newest {
		if p.tickets-p.turn > maxWaitingPosts {
			return transport.ErrOverlap
		}
	}
	if !p.lives() {
		return transport.ErrClosed
	}
	if p.opts.Newest {
		mine := p.tickets
		p.tickets++
		for p.turn != mine && p.takes() {
			p.changed.Wait()
		}
		if !p.takes() {
			return transport.ErrClosed
		}
	}
	if p.posting {
		return transport.ErrOverlap
	}
	p.posting = true
	switch {
	case p.waiter != nobody:
		p.apart = -1
	case p.apart >= 0:
		p.apart++
	}
	return nil
}

// takes reports whether a POST that has come in time is still read when it is its turn.
// A transport that takes over waits for it: the session lives on, and the client has no
// reason to send the same again. p.mu is held.
func (p *poll) takes() bool { return p.lives() || p.state == retired }

// left reports whether another transport takes over.
func (p *poll) left() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == retired
}

// receive reads the body and hands its units to the link.
func (p *poll) receive(x host.Exchange, v transport.PollRequest, limit int64) error {
	if enc := x.Header("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return transport.ErrEncoding
	}
	most := limit
	if v.Answer.Escaped {
		most *= escapedFactor
	}
	body, err := x.Body(most)
	switch {
	case errors.Is(err, host.ErrTooLarge):
		return err
	case err != nil && p.left():
		return transport.ErrClosed // the client has given it up together with the transport
	case err != nil:
		return err
	}
	if body, err = v.Payloads.Unwrap(body); err != nil {
		return err
	}
	if int64(len(body)) > limit {
		return host.ErrTooLarge
	}
	p.link.Begin()
	defer p.link.End()
	return v.Payloads.DecodePayload(body, x.Header("Content-Type"), p.link.Unit)
}
