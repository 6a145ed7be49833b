package natsbus

import "github.com/nats-io/nats.go"

// unsure are the subscriptions of which nobody knows yet whether the server has taken them: when it
// says that there are too many it means one of these, and does not say which.
type unsure struct {
	all   bool                // those that have come with the connection, and with these all
	later map[string]struct{} // those that Watch has made, by subject
}

// doubt is for a subscription that was made just now; b.mu is held.
func (b *backend) doubt(subject string) {
	if b.unsure.later == nil {
		b.unsure.later = make(map[string]struct{})
	}
	b.unsure.later[subject] = struct{}{}
}

// sure is for a server that has answered a flush behind all subscriptions. It has taken them when it
// has refused nothing, or when nats.go has handed on the last of its errors: one about a subject is
// another each time. Behind one that there are too many nobody knows how many of these come still.
func (b *backend) sure(nc *nats.Conn, before mark) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := nc.LastError()
	if last != nil && !b.denials.handedOn(last) {
		return
	}
	if b.conn.nc == nc && nc.Stats().Reconnects == before.reconnects { // else it is about another connection
		b.unsure = unsure{}
	}
}

// unclear reports whether the server may have refused any subscription, and not one that was made
// by Watch.
func (b *backend) unclear() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unsure.all
}

// unsubscribed is for a subscription that the server has refused outside of Watch, or has ended, and
// that the next Watch is to try again; "" for one of which the server does not say which. Then those
// are ended that it may be: what it has taken for certain stays.
func (b *backend) unsubscribed(subject string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if subject != "" {
		b.giveUp(subject)
		return
	}
	may := b.unsure
	b.unsure = unsure{}
	for subject := range b.subscribed {
		if _, ok := may.later[subject]; ok || may.all {
			b.giveUp(subject)
		}
	}
	for _, subject := range b.own() { // not every node calls Watch again
		if sub, known := b.subscribed[subject]; known && sub == nil {
			if err := b.subscribe(subject); err != nil {
				b.queue.event(event{err: err})
			}
		}
	}
	b.fits.Store(int64(b.live())) // what is left; it was more while the last refusals were not known
}

// giveUp ends a subscription that the next Watch is to make again; b.mu is held.
func (b *backend) giveUp(subject string) {
	delete(b.unsure.later, subject)
	if sub := b.subscribed[subject]; sub != nil {
		_ = b.unsubscribe(sub)
		b.subscribed[subject] = nil
	}
}
