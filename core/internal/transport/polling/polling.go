package polling

import (
	"sync"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// Name is the name of the transport.
const Name = "polling"

// Transport is the mechanics of all transports made of single requests, and the
// transport.Form of plain polling: bare payloads.
type Transport struct{}

var (
	_ transport.Polling = Transport{}
	_ transport.Form    = Transport{}
	_ transport.Poll    = (*poll)(nil)
)

// Name is "polling".
func (Transport) Name() string { return Name }

// Answer is a bare payload.
func (Transport) Answer(packet.Script) transport.Answer { return transport.Answer{} }

// New returns the polling side of one virtual socket. Its state is open.
func (Transport) New(l transport.Link, o transport.PollOptions) transport.Poll {
	p := &poll{link: l, opts: o, name: o.Name, wake: make(chan struct{}, 1)}
	p.changed.L = &p.mu
	return p
}

// Reply answers a request with messages, without any session.
func (Transport) Reply(x host.Exchange, v transport.PollRequest, ms []*packet.Message) error {
	return reply(x, v, ms)
}

// state is what requests are told. The table in doc.go has what each event makes
// of each state.
type state uint8

const (
	open      state = iota
	held            // GETs return at once: an upgrade is under way
	retired         // another transport has taken over
	lingering       // closed; the next GET fetches what is queued and the last message
	closing         // closed at once while a GET waited, which ends the session
	ending          // a GET has the last message and tells the link when it has left
	ended           // the link has been told
)

// waiter is the GET that waits for messages. There is one at a time.
type waiter uint8

const (
	nobody waiter = iota
	waits
	released // it returns at once, with noop when there is no message
)

// poll is the polling side of one virtual socket.
type poll struct {
	link transport.Link
	opts transport.PollOptions
	wake chan struct{} // tells the GET that waits to look again

	mu      sync.Mutex
	changed sync.Cond // a request has come or left, or the state has changed
	state   state
	waiter  waiter
	name    string // of the latest request's transport
	goodbye *packet.Message
	replies int // GETs whose answer is on its way
	gets    int // GETs that have begun to wait

	posting bool
	apart   int // POSTs that came while no GET waited; -1 once one came beside a GET
	tickets int // with Newest: POSTs that have come
	turn    int // the one whose turn it is
}

func (p *poll) Name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name
}

func (p *poll) Goodbye(m *packet.Message) {
	p.mu.Lock()
	p.goodbye = m
	p.mu.Unlock()
}

// Enter does nothing: a POST never runs application code.
func (p *poll) Enter() {}

// Detach does nothing.
func (p *poll) Detach() {}

func (p *poll) Flush() {
	p.mu.Lock()
	p.signal()
	p.mu.Unlock()
}

// signal wakes the GET that waits; p.mu is held.
func (p *poll) signal() {
	if p.waiter != nobody {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// release lets the GET that waits return with noop; p.mu is held.
func (p *poll) release() {
	if p.waiter == waits {
		p.waiter = released
	}
	p.signal()
}

func (p *poll) Hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.state == open:
		p.state = held
		p.release()
	case !on && p.state == held:
		p.state = open
	}
}

// lives reports whether the session is neither closed nor on another transport;
// p.mu is held.
func (p *poll) lives() bool { return p.state == open || p.state == held }

// Await waits until a GET waits, or another one has come, at most for d. It is for
// the POST that says goodbye. A client that has sent more than one POST and none
// beside a GET does one thing after the other: there is no GET to wait for.
func (p *poll) Await(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.apart > 1 {
		return
	}
	late := false
	t := time.AfterFunc(d, func() {
		p.mu.Lock()
		late = true
		p.changed.Broadcast()
		p.mu.Unlock()
	})
	defer t.Stop()
	for seen := p.gets; !late && p.waiter == nobody && p.gets == seen && p.lives(); {
		p.changed.Wait()
	}
}

func (p *poll) Retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lives() {
		p.state = retired
		p.release()
	}
	if p.state == lingering { // who comes next comes to the other transport
		p.state = retired
	}
	p.signal()
	p.changed.Broadcast()
	for p.waiter != nobody || p.replies > 0 || p.posting || p.opts.Newest && p.state == retired && p.turn != p.tickets {
		p.changed.Wait()
	}
}

// Close ends the session. With NoStatus nothing is kept for a GET that is still to
// come; otherwise what is queued, and the last message, wait for that GET.
func (p *poll) Close(code transport.Code, _ string) {
	p.mu.Lock()
	over := false
	switch {
	case code != transport.NoStatus:
		if p.lives() {
			p.state = lingering
		}
	case p.waiter != nobody && p.state != ended:
		p.state = closing // and the GET that waits tells the link
	default:
		over = p.end()
	}
	p.signal()
	p.changed.Broadcast()
	p.mu.Unlock()
	if over {
		p.link.Lost(transport.ErrClosed)
	}
}

// end makes ended the state. It reports true once: then the caller tells the link,
// without p.mu, which is held now.
func (p *poll) end() bool {
	first := p.state != ended
	p.state = ended
	return first
}
