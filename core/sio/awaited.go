package sio

import (
	"time"

	"github.com/siokit/siokit/core/internal/wheel"
)

// awaited is the deadline of a packet whose attachments are still to come. It
// exists only meanwhile: a connection that awaits nothing has a nil pointer.
//
// client.due is written by the goroutine that reads, under client.mu; that
// goroutine reads it without, all others with the lock.
type awaited struct {
	c     *client
	timer wheel.Timer
	until time.Duration // of the wheel's time; for the goroutine that reads
}

// timely is how many bytes of attachments give a client Options.AttachmentTimeout once
// more: what a link may take so long for that has just time enough for a large message.
const timely = 1_000_000

// Expired implements wheel.Owner: the attachments did not come in time, and what the
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

// await gives the client Options.AttachmentTimeout for the attachments of a packet, of
// which came bytes have come just now. Time is given for bytes and not for messages:
// ten small attachments would stretch it tenfold.
func (c *client) await(came int) {
	w, patience := c.srv.hub.Wheel(), c.srv.opts.AttachmentTimeout
	c.mu.Lock()
	a, closed := c.due, c.closed
	if a == nil {
		a = &awaited{c: c, until: w.Now() + patience}
		c.due = a
	} else {
		a.until += time.Duration(float64(patience) * float64(came) / timely)
	}
	c.mu.Unlock()
	if !closed {
		w.SetAt(&a.timer, a, a.until)
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
