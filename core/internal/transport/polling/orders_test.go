package polling

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/suite"
	"github.com/siokit/siokit/core/internal/transport"
)

// TestOrders plays the events of a session that polls in random orders, and then
// closes it. Whatever the order was, the link is not told the end before there is one,
// and nobody waits any more.
func TestOrders(t *testing.T) { suite.PlayOrders(t, 3000, playOrder) }

// order is one session and what happens to it.
type order struct {
	*suite.Order
	poll           transport.Poll
	retired, after bool // Retire has returned; a POST was read after that
	closed         bool // Close was called with NoStatus: once is enough
	active         int  // calls that have not returned
}

func playOrder(base *suite.Order, seed uint64) (wrong string) {
	o := &order{Order: base}
	o.Event, o.Close = o.event, func() { o.poll.Close(transport.NoStatus, "") }
	opts := transport.PollOptions{Name: Name, Noop: packet.TextMessage("6"), Newest: seed%2 == 0}
	if seed%3 == 0 {
		opts.Duration = time.Second
	}
	o.poll = Transport{}.New(o, opts)
	if seed%5 != 0 {
		o.poll.Goodbye(packet.TextMessage("1"))
	}
	o.Play()
	o.Note("the end")
	o.Mu.Lock()
	closed := o.closed
	o.Mu.Unlock()
	if !closed {
		o.poll.Close(transport.NoStatus, "")
	}
	close(o.Free)
	synctest.Wait()
	o.Mu.Lock()
	defer o.Mu.Unlock()
	switch {
	case o.active > 0:
		wrong = fmt.Sprintf("%d calls have not returned", o.active)
	case o.after:
		wrong = "a POST is read when Retire has returned"
	}
	return wrong
}

// start runs f on a goroutine of its own and counts it.
func (o *order) start(name string, f func() error) {
	o.Mu.Lock()
	o.active++
	o.Mu.Unlock()
	n := o.Note("%s begins", name)
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
			o.Note("%s, begun in line %d, ends: %v", name, n, err)
			o.Mu.Lock()
			o.active--
			o.Mu.Unlock()
		}()
		err = f()
	}()
}

// event lets one thing happen.
func (o *order) event() {
	switch o.Pick(13) {
	case 0, 1, 2:
		o.get(transport.Answer{})
	case 3:
		o.get(transport.Answer{Stream: true, Head: "<html>"})
	case 4, 5:
		o.start("POST", func() error {
			return o.poll.Post(o.exchange(), transport.PollRequest{Name: Name, Payloads: plain{}}, 100)
		})
	case 6, 7:
		o.Note("flush")
		o.Queue("4a")
		o.poll.Flush()
	case 8:
		o.Note("hold")
		o.poll.Hold(true)
	case 9:
		o.Note("let go")
		o.poll.Hold(false)
	case 10:
		o.start("retire", func() error {
			o.poll.Retire()
			o.Mu.Lock()
			o.retired = true
			o.Mu.Unlock()
			return nil
		})
	case 11:
		o.Note("close")
		o.poll.Close(transport.Normal, "")
	case 12:
		o.Note("close at once")
		o.Mu.Lock()
		o.closed = true
		o.Mu.Unlock()
		o.poll.Close(transport.NoStatus, "")
	}
}

func (o *order) get(a transport.Answer) {
	o.start("GET", func() error {
		return o.poll.Get(o.exchange(), transport.PollRequest{Name: Name, Answer: a, Payloads: plain{}})
	})
}

// The link.

// Begin is the beginning of what a POST has brought.
func (o *order) Begin() {
	o.Mu.Lock()
	o.after = o.after || o.retired
	o.Mu.Unlock()
	o.Inside()
}

func (o *order) Frame(packet.Frame) error { return nil }
func (o *order) Unit(packet.Unit) bool    { return true }
func (o *order) End()                     { o.Inside() }

func (o *order) Unsent(ms []*packet.Message) {
	o.Order.Unsent(ms)
	o.poll.Flush()
}

// exchange makes a request of a client that behaves in one of many ways.
func (o *order) exchange() *exchange {
	x := &exchange{o: o, gone: make(chan struct{}), fails: o.Pick(8)}
	if o.Pick(4) == 0 {
		close(x.gone)
	} else {
		go func() { // at the latest at the end a client leaves
			<-o.Free
			close(x.gone)
		}()
	}
	return x
}

// exchange is a request whose answer may be held up, may fail, and may panic.
type exchange struct {
	host.Exchange
	o     *order
	gone  chan struct{}
	fails int
}

var errOdd = errors.New("an odd error of the host")

// outcome is how the client takes an answer.
func (x *exchange) outcome() error {
	x.o.Inside()
	switch x.fails {
	case 0:
		return host.ErrGone
	case 1:
		return errOdd
	case 2:
		panic("the host")
	case 3:
		<-x.o.Free
	}
	return nil
}

func (x *exchange) Gone() <-chan struct{}       { return x.gone }
func (x *exchange) SetHeader(string, string)    {}
func (x *exchange) Header(string) string        { return "" }
func (x *exchange) Reply(int, []byte) error     { return x.outcome() }
func (x *exchange) Body(int64) ([]byte, error)  { return nil, x.outcome() }
func (x *exchange) Write(b []byte) (int, error) { return len(b), x.outcome() }
func (x *exchange) Flush() error                { return nil }

func (x *exchange) Stream(_ int, f func(host.Stream)) error {
	x.o.Inside()
	switch x.fails {
	case 4:
		return host.ErrNoStream
	case 5:
		x.o.start("stream", func() error { f(x); return nil }) // as a host that has its own loop
		return nil
	}
	f(x)
	return nil
}
