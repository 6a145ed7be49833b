package siotest

import (
	"fmt"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/sio"
)

// Event is an event that a client has received.
type Event struct {
	Name string
	Args sio.Args

	client *Client
	id     uint64
	asks   bool
}

// Ack answers the event: sio.Call of the server returns the first of args. It fails the
// test when the server has not asked.
func (e *Event) Ack(args ...any) {
	e.client.t().Helper()
	if !e.asks {
		e.client.fatalf("the server asks for no ack of %v", e)
	}
	e.client.present()
	array, attachments := e.client.encode(args)
	e.client.send(&packet.Packet{Type: packet.Ack, HasID: true, ID: e.id, Data: array, Attachments: attachments})
}

// String returns name and arguments.
func (e *Event) String() string { return fmt.Sprintf("%q with %s", e.Name, show(e.Args)) }

// Answer is the ack of an event that Start has sent.
type Answer struct {
	client *Client
	event  string

	// conn.mu guards these.
	args sio.Args
	come bool
}

// Args waits for the ack and returns its arguments, those of an error as well.
func (a *Answer) Args() sio.Args {
	c := a.client
	c.t().Helper()
	var args sio.Args
	var come bool
	var ended string
	inTime := c.conn.await(func() bool {
		args, come, ended = a.args, a.come, c.ended
		return come || ended != ""
	})
	switch {
	case come:
	case inTime:
		c.fatalf("%q was not answered: the client was disconnected (%s).\n%s", a.event, ended, c.waiting())
	default:
		c.fatalf("%q was not answered within %v.\n%s", a.event, c.conn.v.opts.Patience, c.waiting())
	}
	return args
}
