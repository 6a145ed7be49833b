package websocket

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/suite"
	"github.com/siokit/siokit/core/internal/transport"
)

// TestOrders plays the events of a connection in random orders, and then closes it.
// Whatever the order was, batches are balanced, and no goroutine is left.
func TestOrders(t *testing.T) { suite.PlayOrders(t, 1000, playOrder) }

// order is one connection and what happens to it.
type order struct {
	*suite.Order
	conn   transport.Conn // set by start
	client net.Conn
	corks  int         // Begin without End
	loose  bool        // a message came without one
	frames chan []byte // what the client is about to send; nil: nothing more
}

func playOrder(base *suite.Order, seed uint64) (wrong string) {
	server, client := net.Pipe()
	o := &order{Order: base, client: client, frames: make(chan []byte, 32)}
	o.Event, o.Close = o.event, func() { o.conn.Close(transport.Normal, "") }
	served := make(chan bool)
	go func() {
		defer close(served)
		_ = Transport{MaxPayload: 100}.Serve(&upgrade{conn: server}, o, func(c transport.Conn) {
			o.conn = c
			if seed%20 == 0 {
				o.Note("the start does not return")
				runtime.Goexit()
			}
		})
	}()
	synctest.Wait()
	go o.writes()
	reads := o.Pick(4) > 0
	if reads {
		go func() { _, _ = io.Copy(io.Discard, client) }()
	}
	o.Play()
	o.Note("the end; the client reads: %v", reads)
	o.conn.Close(transport.Normal, "")
	time.Sleep(time.Second)
	close(o.Free)
	<-served
	time.Sleep(time.Minute) // any patience of the connection is over
	_ = client.Close()
	o.frames <- nil
	synctest.Wait()
	o.Mu.Lock()
	defer o.Mu.Unlock()
	switch {
	case o.loose:
		wrong = "a message came outside of any batch"
	case o.corks != 0:
		wrong = fmt.Sprintf("%d batches have not ended", o.corks)
	}
	return wrong
}

// sends lets the client send bytes.
func (o *order) sends(name string, b ...byte) {
	o.Note("the client sends %s", name)
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
	switch o.Pick(12) {
	case 0, 1, 2:
		o.sends("a text", 0x81, 0x81, 0, 0, 0, 0, 'a')
	case 3:
		o.sends("a ping", 0x89, 0x80, 0, 0, 0, 0)
	case 4:
		o.sends("its close frame", 0x88, 0x80, 0, 0, 0, 0)
	case 5:
		o.sends("an unmasked frame", 0x81, 0x00)
	case 6, 7:
		o.Note("flush")
		o.Queue("4a", "4b")
		o.conn.Flush()
	case 8:
		o.Note("detach")
		o.conn.Detach()
	case 9:
		o.Note("close")
		o.conn.Close(transport.Normal, "")
	case 10:
		if o.Pick(2) == 0 {
			o.Note("close at once")
			o.conn.Close(transport.NoStatus, "")
		}
	case 11:
		if o.Pick(2) == 0 {
			o.Note("the client leaves")
			_ = o.client.Close()
		}
	}
}

// Frame is a handler that returns, waits, fails, or ends its goroutine, and may let
// another goroutine read on.
func (o *order) Frame(packet.Frame) error {
	o.Mu.Lock()
	o.loose = o.loose || o.corks == 0
	o.Mu.Unlock()
	how := o.Pick(8)
	o.Note("a message, handled in way %d", how)
	if how < 4 {
		o.conn.Enter()
	}
	o.Inside()
	switch how {
	case 0, 4:
		return &transport.Error{Code: transport.ProtocolError, Text: "refused"}
	case 1, 5:
		runtime.Goexit()
	case 2:
		o.conn.Detach()
		<-o.Free
	case 6:
		<-o.Free
	}
	return nil
}

func (o *order) Unit(packet.Unit) bool { return true }

func (o *order) Begin() {
	o.Mu.Lock()
	o.corks++
	o.Mu.Unlock()
}

func (o *order) End() {
	o.Mu.Lock()
	o.corks--
	o.Mu.Unlock()
	o.conn.Flush()
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
