package natsbus

import (
	"context"
	"errors"
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
	list []denial
	last error         // what was handed on last
	news chan struct{} // closed and replaced with each
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

// note takes what nats.go hands on. It reports whether that is a message that the user may not
// publish: Publish says so.
func (d *denials) note(err error) (publish bool) {
	refusal := denial{err: err}
	ok := errors.Is(err, nats.ErrMaxSubscriptionsExceeded)
	if errors.Is(err, nats.ErrPermissionViolation) { // ... for Publish to "SUBJECT"
		var before, rest string
		before, rest, ok = strings.Cut(err.Error(), `"`)
		refusal.subject, _, _ = strings.Cut(rest, `"`)
		refusal.publish = strings.Contains(before, "Publish")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if ok && len(d.list) < maxDenials {
		d.list = append(d.list, refusal)
	}
	if d.last = err; d.news != nil {
		close(d.news)
		d.news = nil
	}
	return refusal.publish
}

// begin forgets what was refused before, and returns the last error of the connection.
func (d *denials) begin(nc *nats.Conn) error {
	d.mu.Lock()
	d.list = nil
	d.mu.Unlock()
	return nc.LastError()
}

// since returns what was refused since begin, after a flush, and whether that is all. made is how
// many subscriptions may have been too many. That there are too many is always the same error: they
// all were refused, or only a while in which nothing comes says that there are no more.
func (d *denials) since(ctx context.Context, nc *nats.Conn, before error, made int) (list []denial, all bool) {
	last := nc.LastError()
	full := made > 0 && errors.Is(last, nats.ErrMaxSubscriptionsExceeded)
	if !full && (last == before || !errors.Is(last, nats.ErrPermissionViolation)) {
		return nil, true
	}
	wait := deniedTime
	if full {
		wait = fullTime
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if full && d.tooMany() >= made || !full && d.last == nc.LastError() {
			return d.list, true
		}
		if d.news == nil {
			d.news = make(chan struct{})
		}
		news := d.news
		d.mu.Unlock()
		over := false
		select {
		case <-news:
			timer.Reset(wait)
		case <-timer.C:
			over = true
		case <-ctx.Done():
			over = true
		}
		d.mu.Lock()
		if over && d.news != nil { // nothing has come meanwhile either
			return d.list, full
		}
		if over {
			timer.Reset(wait)
		}
	}
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
