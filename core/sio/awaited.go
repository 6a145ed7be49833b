package sio

import "github.com/siokit/siokit/core/internal/wheel"

// awaited is the deadline of a packet whose attachments are still to come. It
// exists only meanwhile: a connection that awaits nothing has a nil pointer.
//
// client.due is written by the goroutine that reads, under client.mu; that
// goroutine reads it without, all others with the lock.
type awaited struct {
	c     *client
	timer wheel.Timer
}

// Expired implements wheel.Owner: an attachment did not come in time, and what the
// client has sent would be held for ever.
func (a *awaited) Expired(*wheel.Timer) {
	a.c.mu.Lock()
	late := a.c.due == a
	a.c.mu.Unlock()
	if late {
		a.c.vs.Close(MalformedPacket.below())
		// Its connection may take seconds to end, and a session that polls lingers: what
		// has come is not held so long.
		a.c.newDecoder()
	}
}

// newDecoder gives the client a decoder that holds nothing.
func (c *client) newDecoder() {
	dec := c.vs.Dialect().NewDecoder()
	c.dec.Store(&dec)
}

// await gives the client Options.AttachmentTimeout for its next attachment.
func (c *client) await() {
	c.mu.Lock()
	if c.due == nil {
		c.due = &awaited{c: c}
	}
	a, closed := c.due, c.closed
	c.mu.Unlock()
	if !closed {
		c.srv.hub.Wheel().Set(&a.timer, a, c.srv.opts.AttachmentTimeout)
	}
}

// complete ends the deadline: all attachments have come.
func (c *client) complete() {
	c.mu.Lock()
	a := c.due
	c.due = nil
	c.mu.Unlock()
	c.srv.hub.Wheel().Stop(&a.timer)
}
