package forward

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/siokit/siokit/core/host"
)

// Bounds of connections. Those to one node, and those from all nodes; a connection that has
// proved nothing yet counts apart. Beyond maxUnproved the oldest of them ends: a node proves
// itself within a moment, and whoever only holds connections must not keep the nodes away.
const (
	maxConns       = 65_536
	maxConnsToNode = 32_768
	maxIdle        = 64 // to one node, kept for the next exchange
	maxDials       = 32 // to one node, that are made at a time; further ones wait
	maxUnproved    = 1024
)

// How long a connection without an exchange is kept: by the end that uses it, and, so that it
// does not end while it is used, longer by the other.
const (
	idleTimeout      = 30 * time.Second
	takenIdleTimeout = 2 * time.Minute
	dialTimeout      = 3 * time.Second
	turnTimeout      = 5 * time.Second // a request waits so long until it may dial
	finishTimeout    = 2 * time.Second // Close waits so long for what is passed on
)

// Options of a Forwarder; all are required but Refused.
type Options struct {
	Secret []byte
	// Wait is how long the other end may take for an answer, which may be a held poll.
	Wait    time.Duration
	Logger  *slog.Logger
	Refused func(remote string, err error) // told of a connection that was refused
}

// Forwarder passes requests on, and serves those that other nodes pass on.
type Forwarder struct {
	opts Options
	ln   net.Listener
	self end // what others have to mean
	h    host.Handler

	running sync.WaitGroup
	closing context.Context
	close   context.CancelFunc

	mu       sync.Mutex
	shut     bool
	taken    map[*conn]struct{} // from other nodes, but for websockets
	unproved []*conn            // of these, the oldest first
	peers    map[string]*peer
	silent   map[string]*silence
	passing  int           // requests that are passed on, without websockets
	leaving  chan struct{} // closed by Close
	quiet    chan struct{} // closed when nothing is passed on any more; nil before Close
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("forward: closed")

// Listen returns a Forwarder that listens at an address. It serves nobody before Serve.
func Listen(address string, o Options) (*Forwarder, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(o.Secret) // one length, and no copy of what the caller may change
	o.Secret = key[:]
	f := &Forwarder{opts: o, ln: ln, taken: make(map[*conn]struct{}), peers: make(map[string]*peer), silent: make(map[string]*silence), leaving: make(chan struct{})}
	f.closing, f.close = context.WithCancel(context.Background())
	return f, nil
}

// Addr is where the Forwarder listens.
func (f *Forwarder) Addr() net.Addr { return f.ln.Addr() }

// Conns is how many connections there are to other nodes.
func (f *Forwarder) Conns() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.peers {
		n += len(p.all)
	}
	return n
}

// Passing is how many requests are passed on now, without websockets.
func (f *Forwarder) Passing() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passing
}

// Serve begins to serve what other nodes pass on to the node of this name, at the address that
// they were told.
func (f *Forwarder) Serve(name, address string, h host.Handler) {
	f.self, f.h = end{name, address}, h
	f.goes(f.accept)
}

// goes runs fn on a goroutine that Close waits for. It reports false after Close.
func (f *Forwarder) goes(fn func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return false
	}
	f.running.Go(fn)
	return true
}

// enter counts a request that is passed on. It reports false after Close.
func (f *Forwarder) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return false
	}
	f.passing++
	return true
}

func (f *Forwarder) exit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.passing--; f.passing == 0 && f.quiet != nil {
		close(f.quiet)
		f.quiet = nil
	}
}

// finish has the other nodes answer the polls that are passed on to them, and waits a moment
// for what is: their sessions go on, and an answer less would end them. Then nothing is passed
// on any more.
func (f *Forwarder) finish(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return
	}
	close(f.leaving)
	timer := time.NewTimer(finishTimeout)
	defer timer.Stop()
	for late := false; f.passing > 0 && !late; {
		quiet := make(chan struct{})
		f.quiet = quiet
		f.mu.Unlock()
		select {
		case <-quiet:
		case <-timer.C:
			late = true
		case <-ctx.Done():
			late = true
		}
		f.mu.Lock()
	}
	f.shut = true
}

// Close answers what is passed on, ends all connections but the websockets of sessions here,
// and waits for what runs. It is called by one goroutine.
func (f *Forwarder) Close(ctx context.Context) error {
	f.finish(ctx)
	f.mu.Lock()
	f.close()
	_ = f.ln.Close()
	for c := range f.taken {
		_ = c.Close()
	}
	peers := f.peers
	f.peers = make(map[string]*peer)
	for _, p := range peers {
		p.end()
	}
	f.mu.Unlock()
	ended := make(chan struct{})
	go func() { f.running.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// accept takes connections from other nodes.
func (f *Forwarder) accept() {
	for wait := time.Millisecond; ; {
		c, err := f.ln.Accept()
		if f.closing.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return
		}
		if err != nil { // too many descriptors, for a while
			select {
			case <-time.After(wait):
				wait = min(2*wait, time.Second)
			case <-f.closing.Done():
			}
			continue
		}
		wait = time.Millisecond
		nc := newConn(c)
		if !f.admit(nc) {
			_ = c.Close()
			continue
		}
		if !f.goes(func() { f.take(nc) }) {
			_ = c.Close()
			f.release(nc)
		}
	}
}

// admit takes up a connection, which counts as unproved.
func (f *Forwarder) admit(c *conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut || len(f.taken) >= maxConns {
		return false
	}
	if len(f.unproved) >= maxUnproved {
		_ = f.unproved[0].Close()
		f.unproved = slices.Delete(f.unproved, 0, 1)
	}
	f.unproved = append(f.unproved, c)
	f.taken[c] = struct{}{}
	return true
}

// settle ends the count of a connection as unproved.
func (f *Forwarder) settle(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.unproved, c); i >= 0 {
		f.unproved = slices.Delete(f.unproved, i, i+1)
	}
}

func (f *Forwarder) release(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.taken, c)
}

// take serves a connection of another node.
func (f *Forwarder) take(c *conn) {
	defer f.release(c)
	alive(c.Conn)
	err := c.verify(f.opts.Secret, f.self)
	f.settle(c)
	if err != nil {
		_ = c.Close()
		if f.opts.Refused != nil && f.closing.Err() == nil {
			f.opts.Refused(c.RemoteAddr().String(), err)
		}
		return
	}
	(&taker{f: f, c: c, dead: make(chan struct{})}).serve()
}

// alive has TCP find out that the other machine is silent.
func alive(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3})
	}
}
