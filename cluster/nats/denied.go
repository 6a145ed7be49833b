package natsbus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// denials are what the server has not taken: a message to, or a subscription of, a subject that
// the user may not use, and subscriptions beyond a bound. The server says so in front of its
// answer to a flush, and nats.go has a goroutine of its own hand that on.
type denials struct {
	mu   sync.Mutex
	news chan struct{} // closed and replaced with each thing that is handed on
	slow int           // how often nats.go has handed on that it drops messages
	ever bool          // something was refused on some connection
	last error         // what nats.go has handed on last

	// What was refused since begin; open: something is collected, messages, or subscriptions of
	// these subjects.
	list    []denial
	open    bool
	claimed map[string]struct{}
}

// mark is what is known of the errors of a connection at some time.
type mark struct {
	err        error
	slow       int
	reconnects uint64
}

// denial is one of them. Without a subject it may be any subscription.
type denial struct {
	subject string
	publish bool
	err     error
}

// maxDenials is how many are remembered. deniedTime is how long one is waited for that nats.go
// knows of and has not handed on yet, fullTime how long nothing more may come where it cannot be
// known how many there are.
const (
	maxDenials = 65_536
	deniedTime = 4 * time.Second
	fullTime   = 250 * time.Millisecond
)

// note takes what nats.go hands on, and returns what was refused, nothing when that is not what the
// error says. It reports whether a Publish or Watch collects that.
func (d *denials) note(err error) (refusal denial, collected bool) {
	known := errors.Is(err, nats.ErrMaxSubscriptionsExceeded)
	if errors.Is(err, nats.ErrPermissionViolation) { // ... for Publish to "SUBJECT"
		var before, rest string
		before, rest, known = strings.Cut(err.Error(), `"`)
		refusal.subject, _, _ = strings.Cut(rest, `"`)
		refusal.publish = strings.Contains(before, "Publish")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known {
		refusal.err, d.ever = err, true
	}
	if known && d.open && len(d.list) < maxDenials {
		d.list = append(d.list, refusal)
	}
	switch _, claimed := d.claimed[refusal.subject]; {
	case !known || !d.open:
	case refusal.publish:
		collected = true
	case refusal.subject == "":
		collected = len(d.claimed) > 0
	default:
		collected = claimed
	}
	d.last = err
	if errors.Is(err, nats.ErrSlowConsumer) {
		d.slow++
	}
	if d.news != nil {
		close(d.news)
		d.news = nil
	}
	return refusal, collected
}

// begin collects what is refused from now on.
func (d *denials) begin(nc *nats.Conn, claimed map[string]struct{}) mark {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list, d.open, d.claimed = nil, true, claimed
	return mark{nc.LastError(), d.slow, nc.Stats().Reconnects}
}

// end returns what was refused since begin, as far as nats.go has handed that on. What comes later is
// not collected any more.
func (d *denials) end() []denial {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.take()
}

// take is end; d.mu is held.
func (d *denials) take() []denial {
	list := d.list
	d.list, d.open, d.claimed = nil, false, nil
	return list
}

// since is end, after a flush, and waits for what nats.go has not handed on yet. It reports whether
// that is all. made is how many subscriptions may have been too many.
//
// nats.go hands its errors on in their order, and says which was the last. That there are too many
// subscriptions is always the same error: they all were refused, or only a while in which nothing
// comes says that there are no more. That messages are dropped is the same error each time, too, and
// may be behind others: where something was ever refused, a while is waited for these. What comes
// later all the same is told without a number, see failed.
func (d *denials) since(ctx context.Context, nc *nats.Conn, before mark, made int) (list []denial, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := nc.LastError()
	full := made > 0 && errors.Is(last, nats.ErrMaxSubscriptionsExceeded)
	hidden := d.ever && errors.Is(last, nats.ErrSlowConsumer) && (last != before.err || d.slow != before.slow)
	if !full && !hidden && (last == before.err || !errors.Is(last, nats.ErrPermissionViolation)) {
		return d.take(), true
	}
	wait, first := deniedTime, hidden && d.slow == before.slow // of the errors that hide others
	if full || hidden && !first {
		wait = fullTime
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		if full && d.tooMany() >= made || !full && !hidden && d.has(last) {
			return d.take(), true
		}
		if d.news == nil {
			d.news = make(chan struct{})
		}
		news := d.news
		d.mu.Unlock()
		over := false
		select {
		case <-news:
			if !hidden { // there is no end of these
				timer.Reset(wait)
			}
		case <-timer.C:
			over = true
		case <-ctx.Done():
			over = true
		}
		d.mu.Lock()
		switch {
		case first && d.slow != before.slow:
			first = false
			timer.Reset(fullTime)
		case over && (hidden || d.news != nil): // nothing has come meanwhile either
			return d.take(), full || hidden && !first
		case over:
			timer.Reset(wait)
		}
	}
}

// handedOn reports whether nats.go has handed on an error, and all before it: one that is another each
// time, and the last.
func (d *denials) handedOn(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last == err && errors.Is(err, nats.ErrPermissionViolation)
}

// has reports whether an error was handed on; d.mu is held.
func (d *denials) has(err error) bool {
	return slices.ContainsFunc(d.list, func(r denial) bool { return r.err == err })
}

// tooMany is how many subscriptions were too many; d.mu is held.
func (d *denials) tooMany() (n int) {
	for _, r := range d.list {
		if r.subject == "" {
			n++
		}
	}
	return n
}
