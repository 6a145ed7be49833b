package natsbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/siokit/siokit/core/cluster"
)

// conn is one connection of nats.go. It reconnects by itself; another one is made only when
// the server has said something after which nats.go gives up.
type conn struct {
	nc     *nats.Conn
	closed chan struct{} // closed when no handler runs any more
}

// connect makes a connection and subscribes to everything; b.mu is held. An error means that
// the options are wrong: when no server can be reached, nats.go goes on trying.
func (b *backend) connect() error {
	c := &conn{closed: make(chan struct{})}
	options := append([]nats.Option{before}, b.opts.Connect...)
	options = append(options, func(o *nats.Options) error { b.after(o, c); return nil })
	nc, err := nats.Connect(b.url, options...)
	if err != nil {
		return err
	}
	c.nc, b.conn = nc, c
	for subject := range b.subscribed {
		if err := b.subscribe(subject); err != nil {
			b.queue.event(event{err: err})
		}
	}
	return nil
}

// before sets what the application may change.
func before(o *nats.Options) error {
	o.PingInterval, o.MaxPingsOut = pingInterval, maxPingsOut
	o.FlusherTimeout, o.ReconnectOnFlusherError = writeTimeout, true
	o.ReconnectWait, o.ReconnectJitter, o.ReconnectJitterTLS = reconnectWait, reconnectWait, reconnectWait
	return nil
}

// after sets what the promises of a Backend need, and the handlers in front of those of the
// application.
func (b *backend) after(o *nats.Options, c *conn) {
	if o.Name == "" {
		o.Name = "siokit " + b.opts.App + " " + b.node
	}
	o.NoEcho = true
	o.AllowReconnect, o.RetryOnFailedConnect, o.IgnoreAuthErrorAbort = true, true, true
	o.MaxReconnect = -1
	o.ReconnectBufSize = -1 // what is published while the connection is away fails at once
	o.NoCallbacksAfterClientClose = false

	disconnected, legacy, connecting := o.DisconnectedErrCB, o.DisconnectedCB, o.ReconnectErrCB
	o.DisconnectedErrCB = func(nc *nats.Conn, err error) {
		b.down(err)
		switch {
		case disconnected != nil:
			disconnected(nc, err)
		case legacy != nil:
			legacy(nc)
		}
	}
	o.ReconnectErrCB = func(nc *nats.Conn, err error) {
		b.down(err)
		if connecting != nil {
			connecting(nc, err)
		}
	}
	o.ConnectedCB, o.ReconnectedCB = b.reached(o.ConnectedCB), b.reached(o.ReconnectedCB)

	failed, closed := o.AsyncErrorCB, o.ClosedCB
	o.AsyncErrorCB = func(nc *nats.Conn, sub *nats.Subscription, err error) {
		b.failed(sub, err)
		if failed != nil {
			failed(nc, sub, err)
		}
	}
	o.ClosedCB = func(nc *nats.Conn) {
		if b.life.Err() == nil {
			b.down(nc.LastError())
			b.wg.Go(b.again)
		}
		if closed != nil {
			closed(nc)
		}
		close(c.closed)
	}
}

// reached is the handler for a connection that is there. The subscriptions have been written
// before; the bus is up when the server has taken them.
func (b *backend) reached(then nats.ConnHandler) nats.ConnHandler {
	return func(nc *nats.Conn) {
		b.mu.Lock() // Start may still subscribe
		current := b.conn != nil && b.conn.nc == nc
		if current { // not every node calls Watch again
			b.unsure = unsure{all: true}
			for _, subject := range b.own() {
				if sub, known := b.subscribed[subject]; known && sub == nil {
					_ = b.subscribe(subject) // it is told when that is refused once more
				}
			}
		}
		b.mu.Unlock()
		if current {
			b.settle(nc)
		}
		if then != nil {
			then(nc)
		}
	}
}

// settle waits until the server has taken the subscriptions. What it has refused is handed on next,
// and told first.
func (b *backend) settle(nc *nats.Conn) {
	err := flush(b.life, nc)
	switch {
	case b.life.Err() != nil:
	case err == nil:
		last := nc.LastError()
		if last == nil {
			b.mu.Lock()
			b.unsure.all = false
			b.mu.Unlock()
		}
		if errors.Is(last, nats.ErrPermissionViolation) || errors.Is(last, nats.ErrMaxSubscriptionsExceeded) {
			b.awaited = last
			return
		}
		b.settled()
	case errors.Is(err, context.DeadlineExceeded):
		_ = nc.ForceReconnect() // fails when there is no connection to replace
	}
}

// settled is for a connection on which all is subscribed to, but for what was refused.
func (b *backend) settled() {
	b.up.Store(true)
	b.tell(event{up: true})
}

// down is for a connection that has broken, or that could not be made.
func (b *backend) down(err error) {
	b.up.Store(false)
	b.fits.Store(0)
	b.awaited = nil
	if err == nil {
		err = cluster.ErrDown
	} else {
		err = fmt.Errorf("%w: %w", cluster.ErrDown, err)
	}
	b.tell(event{down: true, err: err})
}

// failed is for what goes wrong on a connection that stays.
func (b *backend) failed(sub *nats.Subscription, err error) {
	refusal, collected := b.denials.note(err)
	if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
		b.queue.overrun(sub)
		return
	}
	if collected && refusal.subject == "" && b.unclear() { // it may be none of the Watch that has collected it
		collected = false
	}
	if !collected {
		if refusal.err != nil && !refusal.publish {
			b.unsubscribed(refusal.subject)
		}
		b.tell(event{err: fmt.Errorf("natsbus: %w", err)})
	}
	if b.awaited != nil && b.awaited == err {
		b.awaited = nil
		b.settled()
	}
}

// own are the subjects that every node subscribes to.
func (b *backend) own() [2]string { return [...]string{b.subjects.nodes(), b.subjects.node(b.node)} }

// again makes another connection in place of one that nats.go has given up.
func (b *backend) again() {
	wait := time.NewTimer(reconnectWait)
	defer wait.Stop()
	select {
	case <-b.life.Done():
		return
	case <-wait.C:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() != nil {
		return
	}
	for subject, sub := range b.subscribed {
		if sub != nil {
			b.queue.forget(sub)
		}
		b.subscribed[subject] = nil
	}
	if err := b.connect(); err != nil { // the same options were right before
		b.queue.event(event{err: fmt.Errorf("natsbus: %w", err)})
		b.wg.Go(b.again)
	}
}
