// Package polling is the long-polling transport: a GET waits for messages, a
// POST brings some.
package polling

import (
	"net/http"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/packet"
	"github.com/siokit/siokit/core/transport"
)

// Name is the name of the transport.
const Name = "polling"

// Transport implements transport.Polling.
type Transport struct{}

var _ transport.Polling = Transport{}

// Name implements transport.Polling.
func (Transport) Name() string { return Name }

// New implements transport.Polling.
func (Transport) New(l transport.Link, c transport.Codec, noop, goodbye *packet.Message) transport.Poll {
	p := &Poll{link: l, codec: c, noop: noop, goodbye: goodbye}
	p.idle.L = &p.mu
	return p
}

type phase uint8

const (
	open      phase = iota
	lingering       // closed with messages that the next GET fetches
	saying          // closed; the next GET is told so
	ended
)

// Poll is the polling side of one virtual socket.
type Poll struct {
	link          transport.Link
	codec         transport.Codec
	noop, goodbye *packet.Message

	mu      sync.Mutex
	idle    sync.Cond // a request has ended
	wake    chan struct{}
	waiting bool // a GET waits for something to say
	replies int  // GETs whose answer is on its way
	posting bool
	held    bool // an upgrade is under way
	retired bool
	phase   phase
	lost    bool
}

// Name implements transport.Conn.
func (p *Poll) Name() string { return Name }

// Enter implements transport.Conn. A POST never runs application code.
func (p *Poll) Enter() {}

// Detach implements transport.Conn.
func (p *Poll) Detach() {}

// Flush implements transport.Conn: it wakes the GET that waits.
func (p *Poll) Flush() {
	p.mu.Lock()
	p.signal()
	p.mu.Unlock()
}

func (p *Poll) signal() {
	if p.waiting {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// Hold implements transport.Poll.
func (p *Poll) Hold(on bool) {
	p.mu.Lock()
	p.held = on
	p.signal()
	p.mu.Unlock()
}

// Retire implements transport.Poll.
func (p *Poll) Retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	p.signal()
	for p.waiting || p.replies > 0 || p.posting {
		p.idle.Wait()
	}
}

// Close implements transport.Conn. With NoStatus nothing is kept for a poll
// that is still to come; otherwise what is queued waits for it.
func (p *Poll) Close(code transport.Code, _ string) {
	p.mu.Lock()
	if p.phase == open {
		p.phase = lingering
	}
	finished := false
	if code == transport.NoStatus {
		if p.waiting {
			p.phase = saying // the waiting GET ends the session
		} else {
			p.phase = ended
			finished = p.lose()
		}
	}
	p.signal()
	p.mu.Unlock()
	if finished {
		p.link.Lost(transport.ErrClosed)
	}
}

// lose reports true once.
func (p *Poll) lose() bool {
	first := !p.lost
	p.lost = true
	return first
}

// Get implements transport.Poll.
func (p *Poll) Get(x host.Exchange) error {
	p.mu.Lock()
	switch {
	case p.phase == ended || p.retired:
		p.mu.Unlock()
		return transport.ErrClosed
	case p.waiting:
		p.lose()
		p.mu.Unlock()
		p.link.Lost(transport.ErrOverlap)
		p.Close(transport.NoStatus, "")
		return transport.ErrOverlap
	}
	p.waiting = true
	if p.wake == nil {
		p.wake = make(chan struct{}, 1)
	}
	p.mu.Unlock()

	err := p.serve(x)

	p.mu.Lock()
	p.replies--
	if err != nil {
		p.phase = ended
	}
	finished := p.phase == ended && p.lose()
	p.idle.Broadcast()
	p.mu.Unlock()
	if finished {
		if err == nil {
			err = transport.ErrClosed
		}
		p.link.Lost(err)
	}
	return nil
}

// serve waits for something to say and says it. An error means that the client
// did not get it.
func (p *Poll) serve(x host.Exchange) error {
	for fresh := true; ; fresh = false {
		if ms := p.link.Next(); ms != nil {
			p.answer()
			err := p.reply(x, ms...)
			p.link.Sent(ms)
			return err
		}
		p.mu.Lock()
		phase, held, retired := p.phase, p.held, p.retired
		if phase == lingering || phase == saying {
			p.phase = ended
		}
		p.mu.Unlock()
		var last []*packet.Message
		switch {
		case phase == lingering && fresh:
			last = []*packet.Message{p.noop, p.goodbye}
		case held:
			last = []*packet.Message{p.noop}
		case phase != open || retired:
			last = []*packet.Message{p.goodbye}
		}
		if last != nil {
			p.answer()
			return p.reply(x, last...)
		}
		select {
		case <-p.wake:
		case <-x.Gone():
			p.answer()
			if pr, ok := x.(host.Prober); ok && pr.Present() {
				// The host has run out of patience, not the client.
				return p.reply(x, p.noop)
			}
			return transport.ErrAborted
		}
	}
}

// answer ends the waiting of a GET before its answer leaves: the client may have
// it, and poll again, before this request has ended.
func (p *Poll) answer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	p.replies++
	select {
	case <-p.wake: // a signal meant for this request
	default:
	}
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func (p *Poll) reply(x host.Exchange, ms ...*packet.Message) error {
	buf := buffers.Get().(*[]byte)
	body, contentType := p.codec.AppendPayload((*buf)[:0], ms)
	x.SetHeader("Content-Type", contentType)
	err := x.Reply(http.StatusOK, body)
	if cap(body) <= 64<<10 {
		*buf = body
		buffers.Put(buf)
	}
	return err
}

// Post implements transport.Poll.
func (p *Poll) Post(x host.Exchange, limit int64) error {
	p.mu.Lock()
	switch {
	case p.phase != open || p.retired:
		p.mu.Unlock()
		return transport.ErrClosed
	case p.posting:
		p.mu.Unlock()
		return transport.ErrOverlap
	}
	p.posting = true
	p.mu.Unlock()

	err := p.receive(x, limit)

	p.mu.Lock()
	p.posting = false
	p.idle.Broadcast()
	p.mu.Unlock()
	return err
}

func (p *Poll) receive(x host.Exchange, limit int64) error {
	if enc := x.Header("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return transport.ErrEncoding
	}
	body, err := x.Body(limit)
	if err != nil {
		return err
	}
	p.link.Begin()
	defer p.link.End()
	return p.codec.DecodePayload(body, x.Header("Content-Type"), p.link.Unit)
}
