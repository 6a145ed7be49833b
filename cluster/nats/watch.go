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
	if nc != nil && b.up.Load() {
		if err := flush(ctx, nc); err == nil {
			denied, _ := b.denials.since(ctx, nc, before, b.beyond(len(failed.made)))
			b.refuse(changes, failed, denied)
		} else if !errors.Is(err, cluster.ErrDown) {
			return fmt.Errorf("natsbus: the server has not said that it has the subscriptions: %w", err)
		}
	}
	if len(failed.lost) > 0 {
		return failed
	}
	return nil
}

// change subscribes and unsubscribes, and returns the connection, if there is one, with its last
// error before. It notes what has failed.
func (b *backend) change(changes []cluster.Interest, failed *refused) (nc *nats.Conn, before, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() != nil {
		return nil, nil, cluster.ErrClosed
	}
	if b.conn != nil {
		nc = b.conn.nc
		before = b.denials.begin(nc)
	}
	last := make(map[string]int, len(changes))
	for i, c := range changes {
		last[b.subjects.watched(c)] = i
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
				}
			case !on && there:
				delete(b.subscribed, subject)
				err = b.unsubscribe(sub)
			}
			if err != nil {
				failed.addRoom(i, c, err)
			}
		}
	}
	return nc, before, nil
}

// refuse notes the subscriptions that the server has not taken, and forgets them. Of those that
// are too many the server does not say which: they are the last.
func (b *backend) refuse(changes []cluster.Interest, failed *refused, list []denial) {
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
		if sub := b.subscribed[subject]; err != nil && sub != nil {
			_ = b.unsubscribe(sub)
			b.subscribed[subject] = nil
			failed.addRoom(i, changes[i], err)
		}
	}
	slices.Sort(failed.lost)
	if tooMany {
		b.fits.Store(int64(b.live()))
	}
}

// beyond is how many of the subscriptions that were made now may be too many: none when so many were
// taken before.
func (b *backend) beyond(made int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(made, max(0, b.live()-int(b.fits.Load())))
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
