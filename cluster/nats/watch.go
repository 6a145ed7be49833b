package natsbus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/siokit/siokit/core/cluster"
)

// Watch is a method of cluster.Backend. It waits until the server has taken the
// subscriptions. Those that are made while the connection is away come with the next one. What
// has failed, or was refused, is tried again by a Watch that says the same.
func (b *backend) Watch(ctx context.Context, changes []cluster.Interest) error {
	failed := &refused{of: len(changes), what: notSubscribed}
	nc, before, err := b.change(changes, failed)
	if err != nil {
		return err
	}
	all := true
	var denied []denial
	if nc != nil { // a connection that is about to be up has not waited for these
		if err = flush(ctx, nc); err == nil {
			denied, all = b.denials.since(ctx, nc, before, b.beyond(len(failed.made)))
			b.sure(nc, before)
		}
	}
	denied = append(denied, b.denials.end()...)
	own := b.refuse(changes, failed, denied)
	switch {
	case !all:
		b.undo(changes, failed)
		return fmt.Errorf("natsbus: the server has refused subscriptions, and nats.go has not said which: %w", nc.LastError())
	case err != nil && !errors.Is(err, cluster.ErrDown):
		b.undo(changes, failed)
		return fmt.Errorf("natsbus: the server has not said that it has the subscriptions: %w", err)
	case own != nil:
		return fmt.Errorf("natsbus: what every node has to subscribe to: %w", own) // nothing comes without
	case len(failed.lost) > 0:
		return failed
	case err == nil:
		b.fit()
	}
	return nil
}

// change subscribes and unsubscribes, and returns the connection, if there is one, with its last
// error before. It notes what has failed.
func (b *backend) change(changes []cluster.Interest, failed *refused) (nc *nats.Conn, before mark, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() != nil {
		return nil, before, cluster.ErrClosed
	}
	last := make(map[string]int, len(changes))
	claimed := make(map[string]struct{})
	for i, c := range changes {
		subject := b.subjects.watched(c)
		if last[subject] = i; b.subscribed[subject] == nil {
			claimed[subject] = struct{}{}
		}
	}
	if b.conn != nil {
		nc = b.conn.nc
		before = b.resume(nc, claimed)
	}
	for _, on := range [...]bool{false, true} { // first what leaves makes room
		for i, c := range changes {
			subject := b.subjects.watched(c)
			if c.On != on || last[subject] != i {
				continue
			}
			sub, there := b.subscribed[subject]
			var err error
			switch {
			case on && sub == nil:
				if err = b.subscribe(subject); err == nil {
					failed.made = append(failed.made, i)
					b.doubt(subject)
				}
			case !on && there:
				delete(b.subscribed, subject)
				delete(b.unsure.later, subject)
				err = b.unsubscribe(sub)
			}
			if err != nil {
				failed.addRoom(i, c, err)
			}
		}
	}
	return nc, before, nil
}

// resume begins to collect what the server refuses, and subscribes again to what every node needs,
// where that was refused; b.mu is held.
func (b *backend) resume(nc *nats.Conn, claimed map[string]struct{}) (before mark) {
	var list []string
	for _, subject := range b.own() {
		if sub, known := b.subscribed[subject]; known && sub == nil {
			list = append(list, subject)
			claimed[subject] = struct{}{}
		}
	}
	before = b.denials.begin(nc, claimed)
	for _, subject := range list {
		if err := b.subscribe(subject); err != nil {
			b.queue.event(event{err: err})
		}
		b.doubt(subject)
	}
	return before
}

// undo ends the subscriptions that were made: nobody knows whether the server has taken them.
func (b *backend) undo(changes []cluster.Interest, failed *refused) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range failed.made {
		b.giveUp(b.subjects.watched(changes[i]))
	}
}

// refuse notes the subscriptions that the server has not taken, and forgets them. Of those that
// are too many the server does not say which: they are the last. The error is for what every node
// needs.
func (b *backend) refuse(changes []cluster.Interest, failed *refused, list []denial) (own error) {
	subjects := make(map[string]error)
	var full []error
	for _, d := range list {
		if d.subject == "" {
			full = append(full, d.err)
		} else if !d.publish {
			subjects[d.subject] = d.err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	tooMany := len(full) > 0
	for _, i := range slices.Backward(failed.made) {
		subject := b.subjects.watched(changes[i])
		err := subjects[subject]
		if err == nil && len(full) > 0 {
			err, full = full[0], full[1:]
		}
		if err != nil {
			b.giveUp(subject) // unless a refusal that was not collected any more has ended it
			failed.addRoom(i, changes[i], err)
		}
	}
	slices.Sort(failed.lost)
	for _, subject := range b.own() {
		if err := subjects[subject]; err != nil {
			b.giveUp(subject)
			own = err
		}
	}
	if tooMany {
		b.fits.Store(int64(b.live()))
	}
	return own
}

// beyond is how many of the subscriptions that were made now may be too many: none when so many were
// taken before.
func (b *backend) beyond(made int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(made, max(0, b.live()-int(b.fits.Load())))
}

// fit is for subscriptions all of which the server has taken: it takes so many at least.
func (b *backend) fit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if fits := b.fits.Load(); fits > 0 {
		b.fits.CompareAndSwap(fits, max(fits, int64(b.live())))
	}
}

// live is how many subscriptions to rooms there are; b.mu is held.
func (b *backend) live() (n int) {
	for _, sub := range b.subscribed {
		if sub != nil {
			n++
		}
	}
	return n
}

// subscribe subscribes, now or with the next connection; b.mu is held.
func (b *backend) subscribe(subject string) error {
	b.subscribed[subject] = nil
	if b.conn == nil {
		return nil
	}
	sub, err := b.conn.nc.ChanSubscribe(subject, b.taken)
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil // there will be another one
	}
	if err != nil {
		return fmt.Errorf("natsbus: %w", err)
	}
	b.subscribed[subject] = sub
	return nil
}

func (b *backend) unsubscribe(sub *nats.Subscription) error {
	if sub == nil || b.conn == nil {
		return nil
	}
	b.queue.forget(sub)
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("natsbus: %w", err)
	}
	return nil
}
