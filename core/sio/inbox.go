package sio

import (
	"context"
	"sync"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
)

// The inbox is the order in which the packets of one client are handled, and what
// waits for that.
//
// At most one goroutine handles packets at a time; client.running says whether
// there is one. It is the goroutine that has read the packet, or, when packets were
// queued while nobody handled any, one that push starts. Whoever reads while another
// handles puts a lasting copy into the inbox, and waits there while the inbox is
// full: that stops the reading, and with it the client. drain ends the role only
// with the inbox empty, under the lock, so nothing is left behind.
//
// The end of a connection takes its turn behind the packets that it was read
// behind. What a client has sent before its goodbye is handled, on a socket that is
// disconnected already; see client.Closed.

const (
	// While a handler waits for an ack of its own client, the bounds of the inbox
	// are so many times larger: the ack lies behind what the client has sent before.
	waitingInbox      = 256
	waitingInboxBytes = 4

	// lastEventsTime is how long the contexts of the handlers live together that handle
	// what was received before the client left.
	lastEventsTime = 5 * time.Second
)

// task is one thing to do in the order of the connection.
type task struct {
	p      *packet.Packet
	size   int     // of p, bookkeeping included
	end    *Socket // run its OnDisconnect
	reason Reason
	last   bool // the connection has ended, and everything before it is done
}

// queue puts a packet into the inbox; c.mu is held. It waits while the inbox is
// full. One that waits when the connection ends is taken all the same: its sender
// may have been told that it has arrived.
func (c *client) queue(p *packet.Packet) {
	size := p.Size()
	for c.full(size) && !c.closed {
		if c.room == nil {
			c.room = sync.NewCond(&c.mu)
		}
		if c.stalled++; c.stalled == 1 {
			c.vs.Stall(true)
		}
		c.room.Wait()
		if c.stalled--; c.stalled == 0 {
			c.vs.Stall(false)
			c.room.Broadcast() // Closed waits for it
		}
	}
	c.bytes += size
	c.push(task{p: p.Clone(), size: size})
}

// full reports whether there is no room for size bytes. One packet always fits.
func (c *client) full(size int) bool {
	if len(c.inbox) == 0 {
		return false
	}
	count, bytes := c.srv.opts.MaxInbox, c.srv.opts.MaxInboxBytes
	if c.calls > 0 {
		count, bytes = waitingInbox*count, waitingInboxBytes*bytes
	}
	return len(c.inbox) >= count || c.bytes+size > bytes
}

// push adds a task and sees to it that somebody does it; c.mu is held.
func (c *client) push(t task) {
	c.inbox = append(c.inbox, t)
	if !c.running {
		c.running = true
		go c.carryOn()
	}
}

// carryOn handles packets in a goroutine of its own.
func (c *client) carryOn() {
	c.vs.Begin()
	defer c.vs.End()
	c.vs.Busy()
	c.work(task{})
}

// work does t, which may be nothing, and then what waits. When application code ends
// the goroutine meanwhile, another one goes on with what waits.
func (c *client) work(t task) {
	ended := false
	defer func() {
		if !ended {
			go c.carryOn()
		}
	}()
	c.do(t)
	c.drain()
	ended = true
}

// schedule has a task done after those that wait.
func (c *client) schedule(t task) {
	c.mu.Lock()
	c.push(t)
	c.mu.Unlock()
}

// drain does what waits. The caller is the one that handles packets.
func (c *client) drain() {
	for {
		c.mu.Lock()
		if len(c.inbox) == 0 {
			c.inbox = nil
			c.running = false
			c.mu.Unlock()
			return
		}
		t := c.inbox[0]
		c.inbox[0] = task{}
		c.inbox = c.inbox[1:]
		c.bytes -= t.size
		if c.room != nil {
			c.room.Broadcast()
		}
		c.mu.Unlock()
		c.do(t)
	}
}

// waiting counts what waits for an ack of this client: somebody must read on.
func (c *client) waiting(n int32) {
	c.mu.Lock()
	c.calls += n
	if c.room != nil {
		c.room.Broadcast()
	}
	c.mu.Unlock()
	if n > 0 {
		c.vs.Detach()
	}
}

// do handles one packet or event of the connection's life.
func (c *client) do(t task) {
	switch {
	case t.last:
		for _, s := range c.list() { // those that were connecting when it ended
			if s.heard {
				c.end(s, c.why)
			}
		}
		if c.late != nil {
			c.late.cancel()
		}
		c.srv.running.Done()
	case t.end != nil:
		c.end(t.end, t.reason)
	case t.p != nil:
		if r := c.packet(t.p); r != 0 {
			c.vs.Close(r)
		}
	}
}

// lateContext is the context of events that are handled when their connection has
// ended, and what ends it.
type lateContext struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// eventContext is the context for an event of s, nil when it is not handled any
// more: the client, which did not know, has been taken out of the namespace.
func (c *client) eventContext(s *Socket) context.Context {
	switch s.state.Load() {
	case stateConnected:
		return s.Context()
	case stateDisconnected:
		if !s.heard || s.over {
			return nil
		}
		// The socket's own context is over. A handler that begins only now has not
		// been told to stop: what it does with a database must not fail for that.
		if c.late == nil {
			c.late = new(lateContext)
			c.late.ctx, c.late.cancel = context.WithTimeout(context.Background(), lastEventsTime)
		}
		return c.late.ctx
	}
	return nil
}

// heard reports whether what was received before the end is handled: always but when
// the application has ended the connection.
func heard(r Reason) bool { return r != ServerNamespace && r != ServerTransport }

// Closed implements virtsocket.Handler. It may be called with any lock held, so
// the work is done elsewhere.
//
// The sockets are disconnected at once: their contexts and calls end, so that
// handlers which wait for the client return. OnDisconnect takes its turn behind the
// packets that wait, and those are handled, as in Node, where they are dispatched
// before the close. Not so when the application has ended the connection: a
// client that was kicked or logged out does nothing more here.
func (c *client) Closed(r Reason) {
	c.srv.hub.Wheel().Stop(&c.timeout)
	go func() {
		c.mu.Lock()
		c.closed, c.why = true, r
		if c.due != nil {
			c.srv.hub.Wheel().Stop(&c.due.timer)
		}
		if c.conn != nil {
			c.conn.cancel()
		}
		if c.room != nil {
			c.room.Broadcast()
		}
		for c.stalled > 0 { // their packets go before the end
			c.room.Wait()
		}
		c.mu.Unlock()
		for _, s := range c.list() {
			s.close(r, false, heard(r))
		}
		c.schedule(task{last: true})
	}()
}
