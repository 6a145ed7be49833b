package redisbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
)

// bus is the Backend.
//
// One goroutine, run, makes a link to Redis, waits for its end, and makes the next. rueidis
// has a goroutine that reads the receiving connection and calls message; on the wire Streams
// another reads the stream. Publish, Watch and Others run in the goroutine of their caller.
type bus struct {
	option  rueidis.ClientOption // for a client of its own
	client  rueidis.Client       // the application's, or nil
	opts    Options
	invalid error
	answers bool // the node serves nobody, and hears answers alone
	journal bool // see OpenJournal

	node   string
	r      cluster.Receiver
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
	link   atomic.Pointer[link]

	// The one who holds turn may subscribe: run for a new link, Watch or Publish.
	turn      chan struct{}
	listening *link // that Watch subscribes with; turn guards it

	mu      sync.Mutex // guards these; nothing is waited for with it
	started bool
	closed  bool
	subs    map[string]*subscription // by the name of the channel
	missed  bool                     // Watch could not subscribe to what is in subs
	refused map[string]bool          // channels in subs that Redis has not taken
	watched map[string]bool          // namespaces; true: no node of another kind was there
	asked   map[string]time.Time     // namespaces in which this node has asked, and until when answers may come

	handing sync.Mutex // held while the Receiver is called
	in      cluster.Message
	text    []byte // what in points into

	out     batch     // of Publish
	sweep   time.Time // when Publish looks at asked again
	maxLen  string    // Options.MaxLen
	streams []*stream
	reached atomic.Uint64 // see Reached
}

var (
	_ cluster.Backend       = (*bus)(nil)
	_ cluster.Counter       = (*bus)(nil)
	_ cluster.AnswerWatcher = (*bus)(nil)
	_ cluster.SocketWatcher = socketBus{}
	_ cluster.Lagger        = (*bus)(nil)
	_ cluster.Unordered     = (*bus)(nil)
)

// WatchAnswers makes this the bus of a node that serves nobody: it does not read streams, and
// listens to the answers in the namespaces that it watches, and to nothing else there.
func (b *bus) WatchAnswers() { b.answers = true }

// Start begins to connect, and does not wait for that.
func (b *bus) Start(ctx context.Context, node string, r cluster.Receiver) error {
	if b.invalid != nil {
		return b.invalid
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started || b.closed {
		return errors.New("redisbus: the backend was used before")
	}
	b.started, b.node, b.r = true, node, r
	if b.opts.Wire == Streams && !b.answers {
		b.streams = streamsOf(&b.opts)
	}
	b.subscribeOwn()
	running, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go b.run(running)
	return nil
}

// Close closes the connections.
func (b *bus) Close(ctx context.Context) error {
	b.mu.Lock()
	started := b.started
	b.closed = true
	b.mu.Unlock()
	if !started {
		return nil
	}
	b.cancel()
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// live is the link while Redis is there.
func (b *bus) live() (*link, error) {
	b.mu.Lock()
	closed := b.closed || !b.started
	b.mu.Unlock()
	if closed {
		return nil, cluster.ErrClosed
	}
	l := b.link.Load()
	if l == nil || l.dead.Load() {
		return nil, cluster.ErrDown
	}
	return l, nil
}

// How long the bus waits before it connects again: so long at first, twice as long after
// each failure, so long at most, and half of it by chance.
const (
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// hand calls the Receiver while no other goroutine does.
func (b *bus) hand(f func()) {
	b.handing.Lock()
	defer b.handing.Unlock()
	f()
}

func (b *bus) run(ctx context.Context) {
	defer close(b.done)
	var down bool // the Receiver knows
	pause := minPause
	for {
		began := time.Now()
		l, err := b.open(ctx)
		if err == nil {
			if l.denied != nil {
				b.hand(func() { b.r.Lost(0, fmt.Errorf("redisbus: %w", l.denied)) })
			}
			b.hand(b.r.Up)
			down = false
			err = l.wait(ctx)
		}
		if l != nil && ctx.Err() != nil {
			l.leave()
		}
		b.link.Store(nil)
		if !down && ctx.Err() == nil {
			b.hand(func() { b.r.Down(err) })
			down = true
		}
		if l != nil {
			l.close()
		}
		if time.Since(began) > maxPause && l != nil {
			pause = minPause
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2))
		pause = min(2*pause, maxPause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// openTimeout is how long Redis may take to subscribe to everything.
const openTimeout = 30 * time.Second

// open makes a link on which everything is subscribed to.
func (b *bus) open(ctx context.Context) (*link, error) {
	l, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err = b.resubscribe(opening, l); err == nil {
		err = b.openStreams(ctx, opening, l)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	b.link.Store(l)
	return l, nil
}
