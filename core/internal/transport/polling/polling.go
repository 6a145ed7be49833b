// Package polling is the long-polling transport: a GET waits for messages, a
// POST brings some. Its mechanics serve every transport made of single requests,
// those with a streamed answer as well; what is their own is a transport.Form.
package polling

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// Name is the name of the transport.
const Name = "polling"

// Transport is the mechanics, and the Form of plain polling: bare payloads.
type Transport struct{}

var (
	_ transport.Polling = Transport{}
	_ transport.Form    = Transport{}
)

// Name implements transport.Form.
func (Transport) Name() string { return Name }

// Answer implements transport.Form.
func (Transport) Answer(packet.Script) transport.Answer { return transport.Answer{} }

// New implements transport.Polling.
func (Transport) New(l transport.Link, o transport.PollOptions) transport.Poll {
	p := &Poll{link: l, opts: o, name: o.Name}
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
	link transport.Link
	opts transport.PollOptions

	mu       sync.Mutex
	idle     sync.Cond // a request has ended
	wake     chan struct{}
	name     string // of the latest request's transport
	goodbye  *packet.Message
	waiting  bool // a GET waits for something to say
	replaced bool // by a newer one
	replies  int  // GETs whose answer is on its way
	gets     int  // GETs that have begun to wait
	posting  bool
	beside   bool // a POST has come while a GET waited
	apart    int  // POSTs that came while none did
	tickets  int  // with Newest: POSTs that have come
	turn     int  // the one whose turn it is
	held     bool // an upgrade is under way
	retired  bool
	phase    phase
	lost     bool
}

// Name implements transport.Conn.
func (p *Poll) Name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name
}

// Goodbye implements transport.Poll.
func (p *Poll) Goodbye(m *packet.Message) {
	p.mu.Lock()
	p.goodbye = m
	p.mu.Unlock()
}

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

// Await waits until a GET waits, or another one has come, at most for d. It is for
// the POST that says goodbye. A client that has sent more than one POST and none
// beside a GET does one thing after the other: there is no GET to wait for.
func (p *Poll) Await(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.apart > 1 && !p.beside {
		return
	}
	late := false
	t := time.AfterFunc(d, func() {
		p.mu.Lock()
		late = true
		p.idle.Broadcast()
		p.mu.Unlock()
	})
	defer t.Stop()
	for seen := p.gets; !late && !p.waiting && p.gets == seen && p.phase == open && !p.retired; {
		p.idle.Wait()
	}
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
func (p *Poll) Get(x host.Exchange, v transport.Visit) error {
	p.mu.Lock()
	for p.opts.Newest && p.waiting && p.phase == open && !p.retired {
		p.replaced = true
		p.signal()
		p.idle.Wait()
	}
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
	p.waiting, p.replaced = true, false
	p.gets++
	p.idle.Broadcast()
	p.name = v.Name
	if p.wake == nil {
		p.wake = make(chan struct{}, 1)
	}
	p.mu.Unlock()

	if v.Answer.Stream {
		return p.stream(x, v)
	}
	err := errUnfinished
	defer func() { p.done(err) }() // an exchange of the application's own may panic
	err = p.serve(x, v)
	return nil
}

// errUnfinished: the exchange has panicked, or has ended its goroutine. What counts
// requests under way must learn of their end all the same: the transport that comes
// next waits for it.
var errUnfinished = fmt.Errorf("%w: the exchange has not returned", transport.ErrAborted)

// done notes the end of a GET, and of the session with it.
func (p *Poll) done(err error) {
	p.mu.Lock()
	p.replies--
	if errors.Is(err, errGivenUp) && p.opts.Newest {
		err = nil // nothing is lost: the client may come back
	}
	// Close counts on the GET that waits to end the session. One that had its answer
	// already, and was about to say so, has not seen that.
	if err != nil || p.phase == saying && !p.waiting {
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
}

// errGivenUp: the client left before there was anything to say.
var errGivenUp = fmt.Errorf("%w: nobody waits any more", transport.ErrAborted)

// errOver: the session has ended, and there are no words for it.
var errOver = errors.New("polling: the session has ended")

// next waits until there is something to say and returns the queued messages, or
// the last ones that the request is to be answered with. It has ended the
// waiting of the request then, unless stays.
func (p *Poll) next(x watched, fresh, stays bool) (ms, last []*packet.Message, err error) {
	for ; ; fresh = false {
		if ms := p.link.Next(); ms != nil {
			if !stays {
				p.answer()
			}
			return ms, nil, nil
		}
		p.mu.Lock()
		phase, held, gone := p.phase, p.held, p.retired
		replaced, goodbye := p.replaced, p.goodbye
		if phase == lingering || phase == saying {
			p.phase = ended
		}
		p.mu.Unlock()
		switch {
		case phase == lingering && fresh && !p.opts.Newest:
			last = []*packet.Message{p.opts.Noop, goodbye}
		case held, replaced && phase == open, gone && p.opts.Newest:
			last = []*packet.Message{p.opts.Noop}
		case (phase != open || gone) && goodbye == nil:
			p.answer()
			return nil, nil, errOver
		case phase != open || gone:
			last = []*packet.Message{goodbye}
		}
		if last != nil {
			p.answer()
			return nil, last, nil
		}
		if x.gone == nil && x.x != nil {
			x.gone = x.x.Gone()
		}
		select {
		case <-p.wake:
		case <-x.late:
			p.answer()
			return nil, []*packet.Message{p.opts.Noop}, nil
		case <-x.gone:
			p.answer()
			if pr, ok := host.As[host.Prober](x.x); ok && pr.Present() {
				// The host has run out of patience, not the client.
				return nil, []*packet.Message{p.opts.Noop}, nil
			}
			return nil, nil, errGivenUp
		}
	}
}

// watched is what ends the waiting of a request from outside.
type watched struct {
	x    host.Exchange // nil in a stream, which may outlive its exchange
	gone <-chan struct{}
	late <-chan time.Time
}

// serve waits for something to say and says it. An error means that the client
// did not get it.
func (p *Poll) serve(x host.Exchange, v transport.Visit) error {
	w := watched{x: x}
	if p.opts.Duration > 0 {
		t := time.NewTimer(p.opts.Duration)
		defer t.Stop()
		w.late = t.C
	}
	answered := false
	defer func() {
		if !answered {
			p.answer()
		}
	}()
	ms, last, err := p.next(w, true, false)
	answered = true
	switch {
	case errors.Is(err, errOver):
		return x.Reply(http.StatusServiceUnavailable, nil)
	case err != nil:
		return err
	case last != nil:
		if err = reply(x, v, last); err != nil && p.opts.Newest {
			return errGivenUp // and nothing is lost with it
		}
		return err
	}
	err = reply(x, v, ms)
	if p.opts.Newest && errors.Is(err, host.ErrGone) {
		p.link.Unsent(ms)
		return errGivenUp
	}
	p.link.Sent(ms)
	return err
}

// stream answers with one payload after the other, until the session ends,
// another request takes its place, or the client leaves.
func (p *Poll) stream(x host.Exchange, v transport.Visit) error {
	var started atomic.Bool
	err := errUnfinished
	defer func() {
		if err == nil || started.Load() {
			return
		}
		// The host cannot stream, or has panicked: the request has not been answered.
		p.mu.Lock()
		p.waiting = false
		p.idle.Broadcast()
		p.mu.Unlock()
	}()
	setType(x, v.Answer.ContentType)
	x.SetHeader("X-Accel-Buffering", "no") // proxies would keep a stream for themselves
	w := watched{gone: x.Gone()}
	err = x.Stream(http.StatusOK, func(s host.Stream) {
		started.Store(true)
		answered := false
		err := errUnfinished
		defer func() {
			if !answered {
				p.answer()
			}
			p.done(err)
		}()
		err = p.pour(s, v, w, &answered)
	})
	return err
}

// pour writes to a stream what there is to say, until its end. It notes when the
// waiting of the request has ended.
func (p *Poll) pour(s host.Stream, v transport.Visit, w watched, answered *bool) error {
	if _, err := io.WriteString(s, v.Answer.Head); err != nil {
		return err
	}
	var buf []byte
	put := func(ms []*packet.Message) error {
		buf = buf[:0]
		for i := range ms {
			buf = appendAnswer(buf, v, ms[i:i+1])
		}
		if _, err := s.Write(buf); err != nil {
			return err
		}
		return s.Flush()
	}
	if err := s.Flush(); err != nil {
		return err
	}
	for {
		ms, last, err := p.next(w, true, true)
		*answered = err != nil || last != nil
		switch {
		case errors.Is(err, errOver):
			return nil
		case err != nil:
			return transport.ErrAborted // a stream that ends takes what was on its way with it
		case last != nil:
			return put(last)
		}
		err = put(ms)
		p.link.Sent(ms)
		if err != nil {
			return err
		}
		if cap(buf) > 64<<10 {
			buf = nil
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
	p.idle.Broadcast()
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Reply implements transport.Polling.
func (Transport) Reply(x host.Exchange, v transport.Visit, ms []*packet.Message) error {
	return reply(x, v, ms)
}

func reply(x host.Exchange, v transport.Visit, ms []*packet.Message) error {
	buf := buffers.Get().(*[]byte)
	body, contentType := v.Codec.AppendPayload((*buf)[:0], ms)
	if v.Answer.Wrap != nil {
		body = v.Answer.Wrap(append([]byte(nil), v.Answer.Head...), body)
	}
	if v.Answer.ContentType == "" {
		x.SetHeader("Content-Type", contentType)
	} else {
		setType(x, v.Answer.ContentType)
	}
	err := x.Reply(http.StatusOK, body)
	if v.Answer.Wrap == nil && cap(body) <= 64<<10 {
		*buf = body
		buffers.Put(buf)
	}
	return err
}

// setType says what a script or a stream is, and that it is nothing else.
func setType(x host.Exchange, contentType string) {
	x.SetHeader("Content-Type", contentType)
	x.SetHeader("X-Content-Type-Options", "nosniff")
}

func appendAnswer(dst []byte, v transport.Visit, ms []*packet.Message) []byte {
	if v.Answer.Wrap == nil {
		dst, _ = v.Codec.AppendPayload(dst, ms)
		return dst
	}
	payload, _ := v.Codec.AppendPayload(nil, ms)
	return v.Answer.Wrap(dst, payload)
}

// maxWaitingPosts bounds the POSTs of one session that wait for an earlier one,
// with Newest: it may wait for a slow handler, and each of them keeps a goroutine.
const maxWaitingPosts = 64

// Post implements transport.Poll.
func (p *Poll) Post(x host.Exchange, v transport.Visit, limit int64) error {
	p.mu.Lock()
	if p.opts.Newest { // the order of such clients' requests is that of their arrival
		if p.tickets-p.turn > maxWaitingPosts {
			p.mu.Unlock()
			return transport.ErrOverlap
		}
		mine := p.tickets
		p.tickets++
		for p.turn != mine && p.phase == open && !p.retired {
			p.idle.Wait()
		}
	}
	switch {
	case p.phase != open || p.retired:
		p.mu.Unlock()
		return transport.ErrClosed
	case p.posting:
		p.mu.Unlock()
		return transport.ErrOverlap
	}
	p.posting = true
	if p.waiting {
		p.beside = true
	} else {
		p.apart++
	}
	p.mu.Unlock()
	defer func() { // also when an exchange of the application's own panics
		p.mu.Lock()
		p.posting = false
		p.turn++
		p.idle.Broadcast()
		p.mu.Unlock()
	}()
	return p.receive(x, v, limit)
}

// escapedFactor is how much larger the escaping of a form can make a body.
const escapedFactor = 3

func (p *Poll) receive(x host.Exchange, v transport.Visit, limit int64) error {
	if enc := x.Header("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return transport.ErrEncoding
	}
	most := limit
	if v.Answer.Escaped {
		most *= escapedFactor
	}
	body, err := x.Body(most)
	if err != nil {
		return err
	}
	if body, err = v.Codec.Unwrap(body); err != nil {
		return err
	}
	if int64(len(body)) > limit {
		return host.ErrTooLarge
	}
	p.link.Begin()
	defer p.link.End()
	return v.Codec.DecodePayload(body, x.Header("Content-Type"), p.link.Unit)
}
