package siotest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/sio"
)

// Client is a client's socket in one namespace, as Connect and Join return it. What its
// methods wait for has to come within Options.Patience; otherwise they fail the test and
// show what was sent and received. So they are called by the test's own goroutine; several
// clients ask at the same time by Start, and then Answer.Args, of each.
//
// Events wait, in the order in which they have come, until they are taken: by Next, Expect
// or Receive. Heartbeats are answered by themselves.
type Client struct {
	conn      *conn
	namespace string

	// conn.mu guards these.
	own     bool // the test has asked for it
	joined  bool
	id      string
	refused *Refusal
	ended   string // why; "" while the client is connected
	left    bool   // the test has called Disconnect
	byTest  bool   // ended by Disconnect or Close of the test
	events  []*Event
	asked   map[uint64]*Answer
}

func (c *Client) t() testing.TB { return c.conn.v.t }

func (c *Client) fatalf(format string, args ...any) {
	c.t().Helper()
	c.conn.v.fatalf(c.conn.n, "#%d %s: %s", c.conn.n, c.namespace, fmt.Sprintf(format, args...))
}

// ID is the id of the socket as the client knows it. For clients 3.x and 4.x that is
// Socket.ID of the server. Older clients have an id of their own, which the server knows as
// the name of a room.
func (c *Client) ID() string {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	return c.id
}

// Join joins one more namespace on the same connection, as the official clients do for
// every namespace of one server. auth is as for Connect. A refusal fails the test.
func (c *Client) Join(namespace string, auth any) *Client {
	c.t().Helper()
	other, ref := c.conn.join(path(namespace), auth)
	if ref != nil {
		c.conn.v.fatalf(c.conn.n, "the client may not join %s: %v", path(namespace), ref)
	}
	return other
}

// Emit sends an event. args are encoded as by the server's Emit: a []byte at any depth is
// binary, which 0.9 has as a base64 string.
func (c *Client) Emit(event string, args ...any) {
	c.t().Helper()
	c.emit(event, args, nil)
}

// Send sends a message, socket.send of the official clients: the event "message", and for
// 0.9 a message packet when data is a string, else a json packet.
func (c *Client) Send(data any) {
	c.t().Helper()
	if c.conn.dialect != sio1 {
		c.emit("message", []any{data}, nil)
		return
	}
	c.present()
	array, attachments := c.encode([]any{data})
	p := &packet.Packet{Type: packet.JSON, Data: named("message", array), Attachments: attachments}
	if _, ok := data.(string); ok {
		p.Type = packet.Text
	}
	c.send(p)
}

// Start sends an event and asks for an ack, which Answer.Args waits for. It is for a test
// that has to do something before the handler can answer: to answer what the server asks
// meanwhile, or to let time pass.
func (c *Client) Start(event string, args ...any) *Answer {
	c.t().Helper()
	a := &Answer{client: c, event: event}
	c.emit(event, args, a)
	return a
}

// Ask sends an event and returns the ack to it. An answer that is an error fails the test:
// Refused expects one, and Answer.Args returns the ack whatever it is. Call decodes the ack.
func (c *Client) Ask(event string, args ...any) sio.Args {
	c.t().Helper()
	got := c.Start(event, args...).Args()
	if e := errorOf(got); e != nil {
		c.fatalf("%q was refused: %v", event, e)
	}
	return got
}

// Refused sends an event and returns the error that the server answers it with: code,
// message and data of the *sio.Error that the handler, a policy or the decoding of the
// arguments has returned. It fails the test when the answer is none, or has another form,
// as with an Options.ErrorAck of the application; Start and Answer.Args return any.
func (c *Client) Refused(event string, args ...any) *sio.Error {
	c.t().Helper()
	got := c.Start(event, args...).Args()
	e := errorOf(got)
	if e == nil {
		c.fatalf("%q was answered with %s, and was to be refused", event, show(got))
	}
	return e
}

// Call sends an event and returns the ack to it, decoded as sio.Call of the server decodes
// the ack of a client: Out takes the first argument, sio.Args2 to sio.Args4 several, and
// sio.None any. An answer that is an error fails the test.
func Call[Out any](c *Client, event string, args ...any) Out {
	c.t().Helper()
	got := c.Ask(event, args...)
	out, err := decode[Out](got)
	if err != nil {
		c.fatalf("the answer to %q is %s, and no %T: %v", event, show(got), out, err)
	}
	return out
}

// Next takes the first event with this name that has not been taken, and waits for it. With
// the name "" it takes the first event of all.
func (c *Client) Next(event string) *Event {
	c.t().Helper()
	var got *Event
	var ended string
	inTime := c.conn.await(func() bool {
		i := slices.IndexFunc(c.events, func(e *Event) bool { return event == "" || e.Name == event })
		if i >= 0 {
			got = c.events[i]
			c.events = slices.Delete(c.events, i, i+1)
		}
		ended = c.ended
		return got != nil || ended != ""
	})
	what := fmt.Sprintf("the event %q", event)
	if event == "" {
		what = "an event"
	}
	switch {
	case got != nil:
	case inTime:
		c.fatalf("%s has not come: the client was disconnected (%s).\n%s", what, ended, c.waiting())
	default:
		c.fatalf("%s has not come within %v.\n%s", what, c.conn.v.opts.Patience, c.waiting())
	}
	return got
}

// Expect is Next for an event that has these arguments, and no others. They are compared as
// JSON, with []byte as binary: a struct is the same as an object with its fields, and 1 the
// same as 1.0. Numbers are compared exactly, however long they are. When the event has other arguments the test fails and shows both. Receive
// and Next are for arguments that are not known before, such as a time.
func (c *Client) Expect(event string, args ...any) *Event {
	c.t().Helper()
	array, attachments := c.encode(args)
	if c.conn.dialect == sio1 {
		array, attachments = inlined(array, attachments), nil
	}
	want, err := join(array, attachments)
	if err != nil {
		c.fatalf("the arguments of %q: %v", event, err)
	}
	got := c.Next(event)
	if !same(got.Args, want) {
		c.fatalf("%q has other arguments.\n  got:  %s\n  want: %s", event, show(got.Args), show(want))
	}
	return got
}

// Receive is Next for the arguments of the event, decoded as a handler of the server decodes
// them: In takes the first argument, sio.Args2 to sio.Args4 several, sio.Args all.
func Receive[In any](c *Client, event string) In {
	c.t().Helper()
	got := c.Next(event)
	in, err := decode[In](got.Args)
	if err != nil {
		c.fatalf("%v does not fit a %T: %v", got, in, err)
	}
	return in
}

// Quiet fails the test when an event waits that was not taken. What the server has emitted
// before Quiet is called has come by then. What a handler may still emit has not: have the
// event of that handler answered first (Ask), or, in a bubble, call synctest.Wait, after
// which every handler has done what it can before time passes. The test fails, too, when the client has ended
// other than by Disconnect or Close: to a client that is gone nothing can come.
func (c *Client) Quiet() {
	c.t().Helper()
	if !c.conn.barrier() {
		c.fatalf("the server does not answer a ping of the websocket within %v", c.conn.v.opts.Patience)
	}
	c.conn.mu.Lock()
	n, ended, byTest := len(c.events), c.ended, c.byTest
	c.conn.mu.Unlock()
	if ended != "" && !byTest {
		c.fatalf("nothing can come: the client was disconnected (%s).\n%s", ended, c.waiting())
	}
	if n > 0 {
		c.fatalf("no event was to come.\n%s", c.waiting())
	}
}

// Disconnect leaves the namespace, as socket.disconnect() of the official clients does:
// OnDisconnect gets sio.ClientNamespace. The connection is closed with the last namespace.
func (c *Client) Disconnect() {
	c.t().Helper()
	c.send(&packet.Packet{Type: packet.Disconnect})
	var last bool
	c.conn.change(func() {
		c.left = true
		c.end("io client disconnect")
		last = c.conn.deserted()
	})
	if last {
		c.conn.leave("io client disconnect")
	}
}

// Close closes the connection, with all of its namespaces, as a page does that is left:
// OnDisconnect gets sio.TransportClose.
func (c *Client) Close() {
	c.t().Helper()
	c.conn.change(func() { c.conn.closed = true })
	c.conn.leave("transport close")
}

// Freeze has the client send and answer nothing more, as a phone that sleeps: no heartbeat,
// and no event. After Options.PingInterval and PingTimeout of the server OnDisconnect gets
// sio.PingTimeout; in a bubble a time.Sleep is enough for that. What comes is not received.
func (c *Client) Freeze() {
	c.conn.note("! frozen from now on")
	c.conn.change(func() { c.conn.frozen = true })
}

// End waits until the client is disconnected and says why, in the words of the official
// clients of 2.x to 4.x, whatever the generation:
//   - "io server disconnect": the server has disconnected the socket (Socket.Disconnect). The
//     official clients stay away then;
//   - "io client disconnect": Disconnect was called;
//   - "transport close": the connection has ended, for any other reason of the server's, or
//     by Close. The official clients connect again;
//   - "parse error": what the server has sent cannot be read.
//
// A client of 0.9 that was refused after it had been connected gets "refused: " and the text
// of the refusal.
func (c *Client) End() string {
	c.t().Helper()
	var why string
	c.conn.await(func() bool { why = c.ended; return why != "" })
	if why == "" {
		c.fatalf("the client is still connected after %v.\n%s", c.conn.v.opts.Patience, c.waiting())
	}
	return why
}

// encode returns the JSON array of args and their attachments.
func (c *Client) encode(args []any) (array []byte, attachments [][]byte) {
	c.t().Helper()
	array, attachments, err := encode(args)
	if err != nil {
		c.fatalf("the arguments: %v", err)
	}
	return array, attachments
}

// emit sends an event; a is where its ack goes, nil when none is asked for.
func (c *Client) emit(event string, args []any, a *Answer) {
	c.t().Helper()
	c.present()
	array, attachments := c.encode(args)
	p := &packet.Packet{Type: packet.Event, Data: named(event, array), Attachments: attachments}
	if a != nil {
		c.conn.change(func() {
			c.conn.lastID++
			p.HasID, p.ID = true, c.conn.lastID
			if c.asked == nil {
				c.asked = make(map[uint64]*Answer)
			}
			c.asked[p.ID] = a
		})
	}
	c.send(p)
}

// present fails the test when the client cannot send, by what the test itself has done.
func (c *Client) present() {
	c.t().Helper()
	c.conn.mu.Lock()
	did := ""
	switch {
	case c.left:
		did = "Disconnect"
	case c.conn.closed:
		did = "Close"
	case c.conn.frozen:
		did = "Freeze"
	}
	c.conn.mu.Unlock()
	if did != "" {
		c.fatalf("the client sends nothing after its %s", did)
	}
}

// send sends a packet in the namespace. Of a client that is not connected any more nothing
// is sent: the end may come at any time, and what waits for an answer finds it out.
func (c *Client) send(p *packet.Packet) {
	p.Namespace = c.namespace
	c.conn.mu.Lock()
	ended := c.ended
	c.conn.mu.Unlock()
	if ended != "" {
		c.conn.note("! not sent, the client is disconnected (%s): %s", ended, encodePacket(c.conn.dialect, p))
		return
	}
	c.conn.send(p)
}

// end notes why the client has ended, unless it has. conn.mu is held.
func (c *Client) end(why string) {
	if c.ended == "" {
		c.ended, c.byTest = why, c.left || c.conn.closed
	}
}

// receive takes in an event. conn.mu is held.
func (c *Client) receive(e *Event) {
	if c.ended == "" {
		c.events = append(c.events, e)
	}
}

// refusedLater waits for the refusal of a client of 0.9, which takes itself for connected
// before; nil when none comes.
func (c *Client) refusedLater() (ref *Refusal) {
	var ended string
	c.conn.await(func() bool { ref, ended = c.refused, c.ended; return ref != nil || ended != "" })
	if ref == nil && ended != "" {
		ref = &Refusal{Message: "the client was disconnected: " + ended, cut: true}
	}
	return ref
}

// refusal is why a client is not in its namespace.
func (c *Client) refusal() *Refusal {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	if c.refused != nil {
		return c.refused
	}
	return &Refusal{Message: "the client has left the default namespace: " + c.ended, cut: true}
}

// waiting says for a failure which events have come and were not taken.
func (c *Client) waiting() string {
	c.conn.mu.Lock()
	events := slices.Clone(c.events)
	c.conn.mu.Unlock()
	if len(events) == 0 {
		return "No other event waits."
	}
	var b strings.Builder
	b.WriteString("Events that have come and were not taken:")
	for _, e := range events {
		fmt.Fprintf(&b, "\n  %v", e)
	}
	return b.String()
}
