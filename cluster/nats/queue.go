package natsbus

import (
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/siokit/siokit/core/cluster"
)

// maxWaiting is how many messages may wait for the Receiver, and maxWaitingBytes how many
// bytes. chanSize is how many may wait for the goroutine that puts them into the queue: it
// does nothing else, so that few ever do. A channel alone would not do, because nothing
// bounds the bytes in it.
const (
	maxWaiting      = 65_536
	maxWaitingBytes = 64 << 20
	maxNews         = 1024 // things other than messages; errors beyond are dropped
	chanSize        = 16_384
	messageCost     = 256
)

var errSlow = errors.New("natsbus: the node does not take what comes from the bus")

// event is what the Receiver is told, or a message. One with neither up nor down is about
// lost messages; their number may be unknown, 0.
type event struct {
	msg  *nats.Msg
	lost int
	up   bool
	down bool
	err  error
}

// queue holds what the Receiver is to be told, in order.
type queue struct {
	r cluster.Receiver

	mu      sync.Mutex
	waiting []event
	count   int // messages in waiting
	bytes   int
	state   state // what the Receiver was told last of the connection, or will have been
	stopped bool
	wake    chan struct{} // holds one signal for hand

	// How many messages were put here and handed over, how many had come when behind was called
	// before, and whether some were dropped since.
	come, handed, before uint64
	dropped              bool

	// What nats.go has dropped itself. It says so when it begins to, and not again until it
	// has had a message for the subscription; the numbers have to be asked for.
	counted map[*nats.Subscription]int
	look    map[*nats.Subscription]bool // those to ask; true: the channel was empty meanwhile
	dirty   bool                        // ask when the channel is empty
	overran chan struct{}               // holds one signal for collect
}

type state uint8

const (
	unknown state = iota
	isUp
	isDown
)

func (q *queue) init(r cluster.Receiver) {
	q.r = r
	q.wake, q.overran = make(chan struct{}, 1), make(chan struct{}, 1)
	q.counted, q.look = make(map[*nats.Subscription]int), make(map[*nats.Subscription]bool)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one, or there is no goroutine
	}
}

// event queues what the Receiver is told, unless that is what it was told last.
func (q *queue) event(e event) {
	q.mu.Lock()
	q.add(e)
	q.mu.Unlock()
	signal(q.wake)
}

// add queues an event; q.mu is held.
func (q *queue) add(e event) {
	last := len(q.waiting) - 1
	switch {
	case q.stopped, e.up && q.state == isUp, e.down && q.state == isDown:
		return
	case e.msg != nil && (q.count >= maxWaiting || q.bytes >= maxWaitingBytes):
		q.dropped = true
		q.add(event{lost: 1, err: errSlow})
		return
	case e.lost > 0 && last >= 0 && q.waiting[last].lost > 0:
		q.waiting[last].lost += e.lost
		return
	case e.up:
		q.state = isUp
	case e.down:
		q.state = isDown
		if last > 0 && q.waiting[last].up && q.waiting[last-1].down {
			q.waiting = q.waiting[:last] // back and away again, and nobody has noticed
			return
		}
	case e.msg == nil && e.lost == 0 && len(q.waiting)-q.count >= maxNews:
		return
	case e.msg != nil:
		q.come++
		q.count++
		q.bytes += cost(e.msg)
	}
	q.waiting = append(q.waiting, e)
}

func cost(m *nats.Msg) int { return messageCost + len(m.Data) }

// behind reports whether the Receiver has not had all that had come when behind was called
// before, or some was dropped since. more is how many messages are about to be put here.
func (q *queue) behind(more int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	behind := q.handed < q.before || q.dropped
	q.before, q.dropped = q.come+uint64(more), false
	return behind
}

// stop has nothing more handed over. What is handed over at this moment is finished.
func (q *queue) stop() {
	q.mu.Lock()
	q.stopped, q.waiting = true, nil
	q.mu.Unlock()
	signal(q.wake)
}

// tell is for what the handlers of a connection say: it comes behind what the connection has
// brought before.
func (b *backend) tell(e event) {
	select {
	case b.news <- e:
	case <-b.life.Done():
	}
}

// collect puts what the subscriptions bring, and what is told of the connection, into the queue,
// until Close.
func (b *backend) collect() {
	for {
		select {
		case m := <-b.taken:
			b.queue.put(m)
		case e := <-b.news:
			for n := len(b.taken); n > 0; n-- {
				b.queue.put(<-b.taken)
			}
			b.queue.event(e)
		case <-b.queue.overran:
		case <-b.life.Done():
			return
		}
		if len(b.taken) == 0 {
			b.queue.recount()
		}
	}
}

func (q *queue) put(m *nats.Msg) {
	q.mu.Lock()
	q.add(event{msg: m})
	if q.look[m.Sub] {
		// nats.go has put m into an empty channel: the next one that it drops is announced.
		q.recountOf(m.Sub)
		delete(q.look, m.Sub)
	}
	q.mu.Unlock()
	signal(q.wake)
}

// overrun is for a subscription of which nats.go has begun to drop messages.
func (q *queue) overrun(sub *nats.Subscription) {
	q.mu.Lock()
	q.look[sub] = false
	q.dirty = true
	q.mu.Unlock()
	signal(q.overran)
}

// recount tells how many messages nats.go has dropped, once after an overrun. The channel is
// empty.
func (q *queue) recount() {
	q.mu.Lock()
	if !q.dirty {
		q.mu.Unlock()
		return
	}
	q.dirty = false
	for sub := range q.look {
		q.recountOf(sub)
		q.look[sub] = true
	}
	q.mu.Unlock()
	signal(q.wake)
}

// recountOf tells how many messages of one subscription were dropped; q.mu is held.
func (q *queue) recountOf(sub *nats.Subscription) {
	if n, err := sub.Dropped(); err == nil && n > q.counted[sub] {
		q.dropped = true
		q.add(event{lost: n - q.counted[sub], err: errSlow})
		q.counted[sub] = n
	}
}

// forget is for a subscription that ends.
func (q *queue) forget(sub *nats.Subscription) {
	q.mu.Lock()
	if _, ok := q.look[sub]; ok {
		q.recountOf(sub)
	}
	delete(q.look, sub)
	delete(q.counted, sub)
	q.mu.Unlock()
}

// hand hands over what waits, until stop.
func (q *queue) hand() {
	var m cluster.Message
	handed := false // a message
	for range q.wake {
		for {
			e, ok := q.next(handed)
			if handed = e.msg != nil; !ok {
				break
			}
			switch {
			case e.msg != nil:
				if err := cluster.Parse(e.msg.Data, &m); err != nil {
					q.r.Lost(1, err)
				} else {
					q.r.Receive(&m)
				}
			case e.up:
				q.r.Up()
			case e.down:
				q.r.Down(e.err)
			default:
				q.r.Lost(e.lost, e.err)
			}
		}
		q.mu.Lock()
		stopped := q.stopped
		q.mu.Unlock()
		if stopped {
			return
		}
	}
}

// next takes what waits longest. handed: the one before was a message.
func (q *queue) next(handed bool) (e event, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if handed {
		q.handed++
	}
	if len(q.waiting) == 0 {
		q.waiting = nil
		return e, false
	}
	e = q.waiting[0]
	q.waiting[0] = event{}
	q.waiting = q.waiting[1:]
	if e.msg != nil {
		q.count--
		q.bytes -= cost(e.msg)
	}
	return e, true
}
