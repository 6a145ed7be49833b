package websocket

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// TestOrders plays the events of a connection in random orders, those inside of
// others included, and then closes it. Whatever the order was, the link is told the
// end once, every message has been given back to the link, batches are balanced, and
// no goroutine is left.
func TestOrders(t *testing.T) {
	const orders = 1000
	for seed := range uint64(orders) {
		var wrong, log string
		synctest.Test(t, func(*testing.T) { wrong, log = playOrder(seed) })
		if wrong != "" {
			t.Fatalf("seed %d: %s\n%s", seed, wrong, log)
		}
	}
}

// order is one connection and what happens to it.
type order struct {
	rand   *rand.Rand
	conn   transport.Conn // set by start
	client net.Conn

	mu     sync.Mutex
	log    []string
	queue  []*packet.Message
	out    int // messages that the transport has and has not given back
	lost   int
	corks  int           // Begin without End
	loose  bool          // a message came without one
	nested int           // how many events may still happen inside of others
	free   chan struct{} // closed at the end: a handler that waits goes on
	frames chan []byte   // what the client is about to send; nil: nothing more
}

// playOrder returns what was wrong, and what happened.
func playOrder(seed uint64) (wrong, log string) {
	server, client := net.Pipe()
	o := &order{rand: rand.New(rand.NewPCG(seed, 1)), client: client, nested: 6, free: make(chan struct{}), frames: make(chan []byte, 32)}
	served := make(chan bool)
	go func() {
		defer close(served)
		_ = Transport{MaxPayload: 100}.Serve(&upgrade{conn: server}, o, func(c transport.Conn) {
			o.conn = c
			if seed%20 == 0 {
				o.note("the start does not return")
				runtime.Goexit()
			}
		})
	}()
	synctest.Wait()
	go o.writes()
	reads := o.pick(4) > 0
	if reads {
		go func() { _, _ = io.Copy(io.Discard, client) }()
	}
	for range 3 + o.pick(8) {
		o.event()
		if o.pick(2) == 0 {
			synctest.Wait()
		}
	}
	o.note("the end; the client reads: %v", reads)
	o.conn.Close(transport.Normal, "")
	time.Sleep(time.Second)
	close(o.free)
	<-served
	time.Sleep(time.Minute) // any patience of the connection is over
	_ = client.Close()
	o.frames <- nil
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.lost != 1:
		wrong = fmt.Sprintf("the link was told %d times that the transport has ended, instead of once", o.lost)
	case o.out != 0:
		wrong = fmt.Sprintf("%d messages were not given back", o.out)
	case o.loose:
		wrong = "a message came outside of any batch"
	case o.corks != 0:
		wrong = fmt.Sprintf("%d batches have not ended", o.corks)
	}
	return wrong, strings.Join(o.log, "\n")
}

func (o *order) pick(n int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rand.IntN(n)
}

func (o *order) note(format string, args ...any) {
	o.mu.Lock()
	o.log = append(o.log, fmt.Sprintf(format, args...))
	o.mu.Unlock()
}

// sends lets the client send bytes.
func (o *order) sends(name string, b ...byte) {
	o.note("the client sends %s", name)
	o.frames <- b
}

// writes sends what the client is to send; a pipe holds nothing.
func (o *order) writes() {
	for b := <-o.frames; b != nil; b = <-o.frames {
		_ = o.client.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = o.client.Write(b)
	}
}

// event lets one thing happen.
func (o *order) event() {
	switch o.pick(12) {
	case 0, 1, 2:
		o.sends("a text", 0x81, 0x81, 0, 0, 0, 0, 'a')
	case 3:
		o.sends("a ping", 0x89, 0x80, 0, 0, 0, 0)
	case 4:
		o.sends("its close frame", 0x88, 0x80, 0, 0, 0, 0)
	case 5:
		o.sends("an unmasked frame", 0x81, 0x00)
	case 6, 7:
		o.note("flush")
		o.mu.Lock()
		o.queue = append(o.queue, packet.TextMessage("4a"), packet.TextMessage("4b"))
		o.mu.Unlock()
		o.conn.Flush()
	case 8:
		o.note("detach")
		o.conn.Detach()
	case 9:
		o.note("close")
		o.conn.Close(transport.Normal, "")
	case 10:
		if o.pick(2) == 0 {
			o.note("close at once")
			o.conn.Close(transport.NoStatus, "")
		}
	case 11:
		if o.pick(2) == 0 {
			o.note("the client leaves")
			_ = o.client.Close()
		}
	}
}

// inside lets something happen while the transport is in the middle of something else.
func (o *order) inside() {
	o.mu.Lock()
	happens := o.nested > 0 && o.rand.IntN(4) == 0
	if happens {
		o.nested--
	}
	o.mu.Unlock()
	if happens {
		o.event()
	}
}

// Frame is a handler that returns, waits, fails, or ends its goroutine, and may let
// another goroutine read on.
func (o *order) Frame(packet.Frame) error {
	o.mu.Lock()
	o.loose = o.loose || o.corks == 0
	o.mu.Unlock()
	how := o.pick(8)
	o.note("a message, handled in way %d", how)
	if how < 4 {
		o.conn.Enter()
	}
	o.inside()
	switch how {
	case 0, 4:
		return &transport.Error{Code: transport.ProtocolError, Text: "refused"}
	case 1, 5:
		runtime.Goexit()
	case 2:
		o.conn.Detach()
		<-o.free
	case 6:
		<-o.free
	}
	return nil
}

func (o *order) Unit(packet.Unit) bool    { return true }
func (o *order) Unsent([]*packet.Message) {}

func (o *order) Begin() {
	o.mu.Lock()
	o.corks++
	o.mu.Unlock()
}

func (o *order) End() {
	o.mu.Lock()
	o.corks--
	o.mu.Unlock()
	o.conn.Flush()
}

func (o *order) Next() []*packet.Message {
	o.inside()
	o.mu.Lock()
	defer o.mu.Unlock()
	ms := o.queue
	o.queue = nil
	o.out += len(ms)
	return ms
}

func (o *order) Sent(ms []*packet.Message) {
	o.inside()
	o.mu.Lock()
	o.out -= len(ms)
	o.mu.Unlock()
}

func (o *order) Lost(err error) {
	o.note("lost: %v", err)
	o.mu.Lock()
	o.lost++
	o.mu.Unlock()
	o.conn.Close(transport.Normal, "") // as the virtual socket does
}

// upgrade is a request whose connection is taken over.
type upgrade struct {
	host.Exchange
	conn net.Conn
}

func (u *upgrade) Upgrade(_ host.UpgradeOptions, run func(net.Conn, *bufio.Reader)) error {
	run(u.conn, nil)
	return nil
}
