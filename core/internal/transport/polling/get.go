package polling

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

var (
	// errUnfinished: the exchange has panicked, or has ended its goroutine. What counts
	// requests under way must learn of their end all the same: the transport that comes
	// next waits for it.
	errUnfinished = fmt.Errorf("%w: the exchange has not returned", transport.ErrAborted)
	// errGivenUp: the client left before there was anything to say.
	errGivenUp = fmt.Errorf("%w: nobody waits any more", transport.ErrAborted)
	// errOver: the session has ended, and there is no last message.
	errOver = errors.New("polling: the session has ended")
)

// get is one GET. It belongs to the goroutine that serves the request.
type get struct {
	p    *poll
	v    transport.PollRequest
	x    host.Exchange // nil in a stream, which may outlive its exchange
	gone <-chan struct{}
	late <-chan time.Time
	left bool // it does not wait any more: its answer is on its way
}

func (p *poll) Get(x host.Exchange, v transport.PollRequest) error {
	if err := p.admit(v); err != nil {
		return err
	}
	if v.Answer.Stream {
		return p.stream(x, v)
	}
	err := errUnfinished
	defer func() { p.done(err) }() // an exchange of the application's own may panic
	err = (&get{p: p, v: v, x: x}).serve()
	return nil
}

// admit makes a GET the one that waits.
func (p *poll) admit(v transport.PollRequest) error {
	p.mu.Lock()
	for p.opts.Newest && p.waiter != nobody && p.serves() {
		if p.lives() {
			p.release()
		}
		p.changed.Wait()
	}
	switch {
	case !p.serves():
		p.mu.Unlock()
		return transport.ErrClosed
	case p.waiter != nobody:
		first := p.end()
		p.mu.Unlock()
		if first {
			p.link.Lost(transport.ErrOverlap)
		}
		p.Close(transport.NoStatus, "") // the GET that waits finds the end
		return transport.ErrOverlap
	}
	p.waiter = waits
	if p.state == held {
		p.waiter = released
	}
	p.gets++
	p.name = v.Name
	p.changed.Broadcast()
	p.mu.Unlock()
	return nil
}

// serves reports whether a GET may come; p.mu is held.
func (p *poll) serves() bool { return p.lives() || p.state == lingering || p.state == closing }

// leave ends the waiting of a GET before its answer leaves: the client may have
// the answer, and poll again, before this request has ended. Only the first call
// counts.
func (g *get) leave() {
	g.p.mu.Lock()
	g.leaves()
	g.p.mu.Unlock()
}

// leaves is leave with p.mu held.
func (g *get) leaves() {
	if g.left {
		return
	}
	g.left = true
	p := g.p
	p.waiter = nobody
	p.replies++
	select {
	case <-p.wake: // a signal meant for this request
	default:
	}
	p.changed.Broadcast()
}

// done notes that a GET has ended, which has left before. The session ends with it
// when err says so, or when the state does: a session that was closed at once
// counts on the GET that waited then, whatever that GET has been answered.
func (p *poll) done(err error) {
	if errors.Is(err, errGivenUp) && p.opts.Newest {
		err = nil // nothing is lost: the client may come back
	}
	p.mu.Lock()
	p.replies--
	over := err != nil || p.state == ending || p.state == closing && p.waiter == nobody
	over = over && p.end()
	p.changed.Broadcast()
	p.mu.Unlock()
	if over {
		if err == nil {
			err = transport.ErrClosed
		}
		p.link.Lost(err)
	}
}

// serve waits for something to say and says it. An error means that the client did
// not get it.
func (g *get) serve() error {
	defer g.leave()
	if d := g.p.opts.Duration; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		g.late = t.C
	}
	ms, last, err := g.next(false)
	switch {
	case errors.Is(err, errOver):
		return g.x.Reply(http.StatusServiceUnavailable, nil)
	case err != nil:
		return err
	case last != nil:
		if err = reply(g.x, g.v, last); err != nil && g.p.opts.Newest {
			return errGivenUp // and nothing is lost with it
		}
		return err
	}
	return g.deliver(ms)
}

// deliver answers with messages of the link, and gives them back to the link.
func (g *get) deliver(ms []*packet.Message) (err error) {
	err = errUnfinished
	defer func() {
		if g.p.opts.Newest && errors.Is(err, host.ErrGone) {
			g.p.link.Unsent(ms)
			err = errGivenUp
			return
		}
		g.p.link.Sent(ms)
	}()
	err = reply(g.x, g.v, ms)
	return err
}

// next waits until there is something to say. It returns messages of the link, or
// else the last ones of this request, which are the transport's own. The request
// has left then, unless it stays for more messages of the link.
func (g *get) next(stays bool) (ms, last []*packet.Message, err error) {
	fresh := true
	for {
		// Asked before the queue is: what was queued before Close leaves before the goodbye.
		lived := g.lives()
		if ms = g.p.link.Next(); ms != nil {
			if !stays {
				g.leave()
			}
			return ms, nil, nil
		}
		last, err = g.verdict(fresh, lived)
		if err == errMeanwhile {
			continue
		}
		if last != nil || err != nil {
			return nil, last, err
		}
		if last, err = g.sleep(); last != nil || err != nil {
			g.leave()
			return nil, last, err
		}
		fresh = false
	}
}

// errMeanwhile: the session was closed after the GET had begun to look for messages.
var errMeanwhile = errors.New("polling: closed meanwhile")

func (g *get) lives() bool {
	g.p.mu.Lock()
	defer g.p.mu.Unlock()
	return g.p.lives()
}

// verdict is what the state says to a GET for which the link has no message: the
// two GET columns of the table. A fresh GET has not waited yet. Without an answer
// and an error the GET waits on; with errMeanwhile it has to look for messages again, because
// the session lived when it did; otherwise it has left.
func (g *get) verdict(fresh, lived bool) (last []*packet.Message, err error) {
	p := g.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.waiter == released:
		last = []*packet.Message{p.opts.Noop}
	case p.lives():
		return nil, nil
	case lived:
		return nil, errMeanwhile
	case p.goodbye == nil:
		err = errOver
	case fresh && p.state == lingering && !p.opts.Newest:
		last = []*packet.Message{p.opts.Noop, p.goodbye}
	default:
		last = []*packet.Message{p.goodbye}
	}
	if p.waiter == waits && p.state != ended {
		p.state = ending
	}
	g.leaves()
	return last, err
}

// sleep waits until something may have changed: then there is neither an answer
// nor an error.
func (g *get) sleep() (last []*packet.Message, err error) {
	noop := []*packet.Message{g.p.opts.Noop}
	if g.gone == nil && g.x != nil {
		g.gone = g.x.Gone()
	}
	select {
	case <-g.p.wake:
		return nil, nil
	case <-g.late:
		return noop, nil
	case <-g.gone:
		if pr, ok := host.As[host.Prober](g.x); ok && pr.Present() {
			return noop, nil // the host has run out of patience, not the client
		}
		return nil, errGivenUp
	}
}
