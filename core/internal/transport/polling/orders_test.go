package polling

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/transport"
)

// TestOrders plays the events of a session that polls in random orders, those
// inside of others included, and then closes it. Whatever the order was, the link
// is told the end once and not before there is one, every message has been given
// back to the link, and nobody waits any more.
func TestOrders(t *testing.T) {
	const orders = 3000
	for seed := range uint64(orders) {
		var wrong, log string
		synctest.Test(t, func(*testing.T) { wrong, log = playOrder(seed) })
		if wrong != "" {
			t.Fatalf("seed %d: %s\n%s", seed, wrong, log)
		}
	}
}

// order is one session and what happens to it.
type order struct {
	poll   transport.Poll
	rand   *rand.Rand
	newest bool

	mu             sync.Mutex
	log            []string
	queue          []*packet.Message
	out            int // messages that the transport has and has not given back
	lost           int
	retired, after bool          // Retire has returned; a POST was read after that
	closed         bool          // Close was called with NoStatus: once is enough
	active         int           // calls that have not returned
	nested         int           // how many events may still happen inside of others
	free           chan struct{} // closed at the end: whatever a client holds up goes on
}

// playOrder returns what was wrong, and what happened.
func playOrder(seed uint64) (wrong, log string) {
	o := &order{rand: rand.New(rand.NewPCG(seed, 1)), nested: 6, free: make(chan struct{})}
	o.newest = seed%2 == 0
	opts := transport.PollOptions{Name: Name, Noop: packet.TextMessage("6"), Newest: o.newest}
	if seed%3 == 0 {
		opts.Duration = time.Second
	}
	o.poll = Transport{}.New(o, opts)
	if seed%5 != 0 {
		o.poll.Goodbye(packet.TextMessage("1"))
	}
	for range 3 + o.pick(8) {
		o.event()
		if o.pick(2) == 0 {
			synctest.Wait()
		}
	}
	o.note("the end")
	o.mu.Lock()
	closed := o.closed
	o.mu.Unlock()
	if !closed {
		o.poll.Close(transport.NoStatus, "")
	}
	close(o.free)
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.active > 0:
		wrong = fmt.Sprintf("%d calls have not returned", o.active)
	case o.lost != 1:
		wrong = fmt.Sprintf("the link was told %d times that the transport has ended, instead of once", o.lost)
	case o.after:
		wrong = "a POST is read when Retire has returned"
	case o.out != 0:
		wrong = fmt.Sprintf("%d messages were not given back", o.out)
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

// start runs f on a goroutine of its own and counts it.
func (o *order) start(name string, f func() error) {
	o.mu.Lock()
	o.active++
	n := len(o.log)
	o.mu.Unlock()
	o.note("%s (%d) begins", name, n)
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
			o.note("%s (%d) ends: %v", name, n, err)
			o.mu.Lock()
			o.active--
			o.mu.Unlock()
		}()
		err = f()
	}()
}

// event lets one thing happen.
func (o *order) event() {
	switch o.pick(13) {
	case 0, 1, 2:
		o.get(transport.Answer{})
	case 3:
		o.get(transport.Answer{Stream: true, Head: "<html>"})
	case 4, 5:
		o.start("POST", func() error {
			return o.poll.Post(o.exchange(), transport.PollRequest{Name: Name, Payloads: plain{}}, 100)
		})
	case 6, 7:
		o.mu.Lock()
		o.queue = append(o.queue, packet.TextMessage("4a"))
		o.mu.Unlock()
		o.note("flush")
		o.poll.Flush()
	case 8:
		o.note("hold")
		o.poll.Hold(true)
	case 9:
		o.note("let go")
		o.poll.Hold(false)
	case 10:
		o.start("retire", func() error {
			o.poll.Retire()
			o.mu.Lock()
			o.retired = true
			o.mu.Unlock()
			return nil
		})
	case 11:
		o.note("close")
		o.poll.Close(transport.Normal, "")
	case 12:
		o.note("close at once")
		o.mu.Lock()
		o.closed = true
		o.mu.Unlock()
		o.poll.Close(transport.NoStatus, "")
	}
}

func (o *order) get(a transport.Answer) {
	o.start("GET", func() error {
		return o.poll.Get(o.exchange(), transport.PollRequest{Name: Name, Answer: a, Payloads: plain{}})
	})
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

// The link.

// Begin is the beginning of what a POST has brought.
func (o *order) Begin() {
	o.mu.Lock()
	o.after = o.after || o.retired
	o.mu.Unlock()
	o.inside()
}

func (o *order) Frame(packet.Frame) error { return nil }
func (o *order) Unit(packet.Unit) bool    { return true }
func (o *order) End()                     { o.inside() }

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

func (o *order) Unsent(ms []*packet.Message) {
	o.inside()
	o.mu.Lock()
	o.out -= len(ms)
	o.queue = append(ms, o.queue...)
	o.mu.Unlock()
	o.poll.Flush()
}

func (o *order) Lost(err error) {
	o.note("lost: %v", err)
	o.mu.Lock()
	o.lost++
	o.mu.Unlock()
	o.poll.Close(transport.NoStatus, "") // as the virtual socket does
}

// exchange makes a request of a client that behaves in one of many ways.
func (o *order) exchange() *exchange {
	x := &exchange{o: o, gone: make(chan struct{}), fails: o.pick(8)}
	if o.pick(4) == 0 {
		close(x.gone)
	} else {
		go func() { // at the latest at the end a client leaves
			<-o.free
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
	x.o.inside()
	switch x.fails {
	case 0:
		return host.ErrGone
	case 1:
		return errOdd
	case 2:
		panic("the host")
	case 3:
		<-x.o.free
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
	x.o.inside()
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
