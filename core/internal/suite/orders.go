package suite

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/siokit/siokit/core/internal/packet"
)

// PlayOrders plays n orders of events, each in a bubble of its own. Whatever the
// order was, the link is told the end once and has been given back every message; what
// else was wrong, play says.
func PlayOrders(t *testing.T, n uint64, play func(o *Order, seed uint64) (wrong string)) {
	for seed := range n {
		var wrong string
		var o *Order
		synctest.Test(t, func(*testing.T) { // with a channel of the bubble
			o = &Order{Free: make(chan struct{}), rand: rand.New(rand.NewPCG(seed, 1)), nested: 6}
			if wrong = play(o, seed); wrong == "" {
				wrong = o.wrong()
			}
		})
		if wrong != "" {
			t.Fatalf("seed %d: %s\n%s", seed, wrong, strings.Join(o.log, "\n"))
		}
	}
}

// Order is a transport.Link, but for what brings messages: what happens to one
// transport in a random order, inside of other events too. A test embeds it.
type Order struct {
	Event func()        // lets one thing happen
	Close func()        // closes the transport, as the virtual socket does when it is lost
	Free  chan struct{} // closed by the test at the end: whatever is held up goes on

	Mu     sync.Mutex // guards what follows, and what the test keeps
	rand   *rand.Rand
	log    []string
	queue  []*packet.Message
	out    int // messages that the transport has and has not given back
	lost   int
	nested int // how many events may still happen inside of others
}

// Play lets some events happen.
func (o *Order) Play() {
	for range 3 + o.Pick(8) {
		o.Event()
		if o.Pick(2) == 0 {
			synctest.Wait()
		}
	}
}

// Pick is a random number below n.
func (o *Order) Pick(n int) int {
	o.Mu.Lock()
	defer o.Mu.Unlock()
	return o.rand.IntN(n)
}

// Note says what happens. It returns the number of the line.
func (o *Order) Note(format string, args ...any) int {
	o.Mu.Lock()
	defer o.Mu.Unlock()
	o.log = append(o.log, fmt.Sprintf(format, args...))
	return len(o.log)
}

// Inside may let something happen while the transport is in the middle of something else.
func (o *Order) Inside() {
	o.Mu.Lock()
	happens := o.nested > 0 && o.rand.IntN(4) == 0
	if happens {
		o.nested--
	}
	o.Mu.Unlock()
	if happens {
		o.Event()
	}
}

// Queue adds messages that the transport is to send.
func (o *Order) Queue(texts ...string) {
	o.Mu.Lock()
	defer o.Mu.Unlock()
	for _, text := range texts {
		o.queue = append(o.queue, packet.TextMessage(text))
	}
}

// Next implements transport.Link.
func (o *Order) Next() []*packet.Message {
	o.Inside()
	o.Mu.Lock()
	defer o.Mu.Unlock()
	ms := o.queue
	o.queue = nil
	o.out += len(ms)
	return ms
}

// Sent implements transport.Link.
func (o *Order) Sent(ms []*packet.Message) {
	o.Inside()
	o.Mu.Lock()
	o.out -= len(ms)
	o.Mu.Unlock()
}

// Unsent implements transport.Link.
func (o *Order) Unsent(ms []*packet.Message) {
	o.Inside()
	o.Mu.Lock()
	defer o.Mu.Unlock()
	o.out -= len(ms)
	o.queue = append(ms, o.queue...)
}

// Lost implements transport.Link.
func (o *Order) Lost(err error) {
	o.Note("lost: %v", err)
	o.Mu.Lock()
	o.lost++
	o.Mu.Unlock()
	o.Close()
}

// wrong is what holds of every transport in the end, and does not of this one.
func (o *Order) wrong() string {
	o.Mu.Lock()
	defer o.Mu.Unlock()
	switch {
	case o.lost != 1:
		return fmt.Sprintf("the link was told %d times that the transport has ended, instead of once", o.lost)
	case o.out != 0:
		return fmt.Sprintf("%d messages were not given back", o.out)
	}
	return ""
}
