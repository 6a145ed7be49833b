package sio

import (
	"slices"
	"time"
)

// The application may end a connection while OnConnect runs for one of its sockets.
// Closing the transport would have the client come back for the same answer, again and
// again: it takes the end for a failing network. So it is told first, and leaves by
// itself. Until then the connection is barred.

// barred says how a connection is to end on which nothing is handled any more.
type barred uint8

const (
	barredDrop barred = iota + 1 // the client may come back for other namespaces
	barredAll                    // it is to stay away
)

func (b barred) reason() Reason {
	if b == barredAll {
		return ServerNamespace
	}
	return ServerTransportClose
}

// leaveTime is how long a client that has been told may take to leave. What it was
// told is written before the end in any case: this is for clients that read a packet
// only a moment after it has come.
const leaveTime = time.Second

func (c *client) bar() barred {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.barred
}

// shutOut ends the connection when a socket of it is connecting, or was refused and
// its OnConnect still runs; of is the one that the application has named, or nil. Else
// it reports false, and with all no namespace is joined from here on.
func (c *client) shutOut(of *Socket, all bool) bool {
	c.mu.Lock()
	list := slices.Clone(c.sockets)
	asked, joined := c.barred != 0 || of != nil && of.refused.Load(), false
	for _, s := range list {
		asked = asked || s.state.Load() == stateConnecting || s.refused.Load()
		joined = joined || s.Connected()
	}
	if !asked {
		c.leaving = c.leaving || all // another namespace may be asked for at this moment
		c.mu.Unlock()
		return false
	}
	first := c.barred == 0
	how := barredDrop
	if all {
		how = barredAll
	}
	c.barred = max(c.barred, how) // before anybody is told: no socket is added from here on
	c.mu.Unlock()

	for _, s := range rootLast(list) {
		if all {
			s.disconnect(ServerNamespace, true)
		} else if !s.kick() && s.Connected() { // also one that was just being connected
			joined = true
		}
	}
	switch {
	case c.rules().RootEndsConn:
		c.dismiss("/") // its clients come back for every namespace, also a refused one
	case joined:
		c.vs.Close(how.reason().below())
	case first:
		c.linger()
	}
	return true
}

// linger gives a client that has joined nothing the time to leave by itself. Clients of
// 1.0 do not, and come back when the connection ends. A namespace that they ask for
// is given up then; but not the one that the server joins for them. So for that one
// they wait as long as after an error of OnConnect.
func (c *client) linger() {
	c.mu.Lock()
	d := leaveTime
	if c.banned {
		d = c.srv.opts.ConnectTimeout
	}
	c.mu.Unlock()
	c.srv.hub.Wheel().Set(&c.timeout, c, d)
	if c.vs.Ended() { // Closed may have stopped the timer before it was set
		c.srv.hub.Wheel().Stop(&c.timeout)
	}
}

// stopped reports whether the connection is barred, so that the client may not even
// try to join. After CloseTransport it gets no answer but the end of the connection, a moment
// later: a refusal would have it give up a namespace that it may come back for. Where
// that moment is long, it is told.
func (c *client) stopped(path string) bool {
	c.mu.Lock()
	barred, banned, leaving := c.barred, c.banned, c.leaving
	c.mu.Unlock()
	switch {
	case barred == barredAll || leaving:
		c.kick(path, ServerNamespace)
	case barred != 0 && banned:
		c.refuse(path, kicked)
	}
	return barred != 0 || leaving
}
