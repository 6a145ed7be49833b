// Package natsbus makes NATS the bus of a cluster: several processes of one application,
// on one machine or many, are one Socket.IO server.
//
//	io := sio.NewServer(&sio.Options{Cluster: natsbus.New("nats://10.0.0.5:4222", nil)})
//
// Several servers of one NATS cluster are named with commas between them. Package natsembed
// needs no NATS server beside the processes: one of them is the server.
//
// # What travels where
//
// APP is the name of the application, NS and ROOM are the namespace and the room in
// base64url, or "~" and a hash when they are longer than 64 bytes.
//
//	sio.APP.nodes       what every node gets: heartbeats, requests, events for servers
//	sio.APP.node.NODE   what one node gets: answers, and events for one of its sockets
//	sio.APP.NS.all      events and commands for a whole namespace, or for several rooms
//	sio.APP.NS.r.ROOM   events and commands for one room
//
// A node subscribes to the rooms that have sockets on it, so that an event for a room costs
// nothing on a node where nobody is in the room. A user of NATS that is to have no more
// rights than needed may publish and subscribe to "sio.APP.>".
//
// Whoever may publish to these subjects can send any event to any client. A message that
// cannot be read is counted as lost, and does no harm.
//
// # What is promised
//
// A message reaches each other node at most once, and messages of one node arrive in their
// order. Publish returns nil when the NATS server has taken all messages: it asks the server,
// once for each batch, which costs one round trip. While the connection is away nothing is
// kept and sent later: what is published then is lost at once, and Publish says so. What the
// server had taken and not yet handed on when it died is lost too. Nobody can say how many
// messages that were, but every node that may have missed some is told that the bus was down.
//
// A message larger than the server's max_payload (1 MiB unless the server's configuration
// says otherwise; it must not be less than 512 KiB) is not published, and neither is one to a
// subject that the user may not publish to. The error of Publish names it, and how many there
// were; the other messages of the batch are published. A subscription that the server refuses is
// the error of Watch. Behind a reconnect, or when nats.go says so only later, it is told by Lost,
// with the number 0, and the next Watch that says the same tries it again. When there are too many
// the server does not say which: then all are made again that it may have refused.
//
// A node that does not take messages as quickly as they come has 65 536 messages or 64 MiB
// wait. What comes then is dropped, and counted exactly.
//
// In a cluster of NATS servers a new subscription takes a moment to be known at the others: for
// that moment a node can miss what the nodes at other servers publish. What is lost between two
// NATS servers, because their connection broke, nobody is told of.
package natsbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/siokit/siokit/core/cluster"
)

// Options of a backend. The zero value is fine.
type Options struct {
	// App tells applications that share a NATS server from each other: all nodes of one
	// application have the same. It has 1 to 64 letters, digits, "-" and "_"; "" is
	// "default".
	App string
	// Connect are options of nats.go: credentials, TLS, handlers. Handlers are called as
	// usual. Some options are always set and cannot be changed: the connection does not
	// hear itself, reconnects for ever, also after a refused login, and keeps nothing while
	// it is away. Others have a default of their own here: a ping every 2 s, so that a
	// server that is dead without a word is noticed within 6 s; at most 5 s for a write;
	// half a second to a second between attempts to connect.
	Connect []nats.Option
}

// The times that have other defaults here than in nats.go.
const (
	pingInterval  = 2 * time.Second
	maxPingsOut   = 2
	writeTimeout  = 5 * time.Second
	reconnectWait = 500 * time.Millisecond
)

// flushTimeout bounds a Publish whose context has no deadline, and how long the server may
// take for the subscriptions after a reconnect.
const flushTimeout = 10 * time.Second

// maxKept is the largest buffer for encoded messages that is used again.
const maxKept = 1 << 20

// New returns a backend for the NATS server with this URL, or for several with commas
// between them. It connects when the Server starts it. When no server can be reached then, it
// goes on trying.
//
// The backend makes a connection of its own; see Options.Connect for what can be set. A wrong
// URL, application name or option is an error of Start.
func New(url string, o *Options) cluster.Backend {
	b := &backend{url: url, subscribed: make(map[string]*nats.Subscription), done: make(chan struct{})}
	if o != nil {
		b.opts = *o
	}
	if b.opts.App == "" {
		b.opts.App = "default"
	}
	b.subjects = subjects{app: "sio." + b.opts.App}
	b.life, b.end = context.WithCancel(context.Background())
	return b
}

var _ cluster.Lagger = (*backend)(nil)

type backend struct {
	url      string
	opts     Options
	subjects subjects
	node     string
	queue    queue
	denials  denials
	taken    chan *nats.Msg // what all subscriptions bring
	news     chan event     // see tell

	life context.Context // ends with Close
	end  context.CancelFunc
	up   atomic.Bool
	fits atomic.Int64 // so many subscriptions the server has taken, and no more; 0: any number, so far
	wg   sync.WaitGroup
	done chan struct{} // closed when everything has ended

	closing sync.Once

	// mu guards what follows. It is held while a connection is made, and is not taken by
	// handlers of a connection that may go away meanwhile.
	mu         sync.Mutex
	started    bool
	conn       *conn
	subscribed map[string]*nats.Subscription // by subject; nil when it has failed, or was refused
	unsure     unsure

	// The last refusal of a connection that is about to be up. It is of the goroutine that calls the
	// handlers of the connection.
	awaited error

	// These are of Publish, which one goroutine calls: a message, its subject, and the subject
	// before.
	buf, name []byte
	last      string
}

// Start is a method of cluster.Backend. It takes as long as one attempt to connect.
func (b *backend) Start(ctx context.Context, node string, r cluster.Receiver) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !plain(b.opts.App) {
		return fmt.Errorf("natsbus: Options.App is %q; it must have 1 to %d letters, digits, - and _", b.opts.App, maxPlain)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.life.Err() != nil:
		return cluster.ErrClosed
	case b.started:
		return errors.New("natsbus: the backend was started before")
	}
	b.started, b.node = true, node
	b.taken = make(chan *nats.Msg, chanSize)
	b.news = make(chan event, 16) // nobody takes any before the first attempt to connect is over
	b.queue.init(r)
	b.subscribed[b.subjects.nodes()] = nil
	b.subscribed[b.subjects.node(node)] = nil
	if err := b.connect(); err != nil {
		return fmt.Errorf("natsbus: %w", err)
	}
	b.wg.Go(b.collect)
	b.wg.Go(b.queue.hand)
	return nil
}

// Publish is a method of cluster.Backend. See the package's documentation for what its
// errors mean.
func (b *backend) Publish(ctx context.Context, ms []*cluster.Message) error {
	nc, err := b.ready(ctx)
	if err != nil || len(ms) == 0 {
		return err
	}
	before := b.denials.begin(nc, nil)
	defer b.denials.end()
	var refused refused
	for i, m := range ms {
		subject := b.subject(m)
		if b.buf, err = cluster.Append(b.buf[:0], m); err == nil {
			err = nc.Publish(subject, b.buf)
		} else {
			err = fmt.Errorf("%w: %w", errUnfit, err)
		}
		switch {
		case err == nil:
		case errors.Is(err, nats.ErrMaxPayload):
			refused.add(i, m, fmt.Errorf("%w: %d bytes, the server takes %d", err, len(b.buf), nc.MaxPayload()))
		case errors.Is(err, errUnfit):
			refused.add(i, m, err)
		default:
			return fmt.Errorf("natsbus: %w: %w", cluster.ErrDown, err)
		}
	}
	if cap(b.buf) > maxKept {
		b.buf = nil
	}
	if len(refused.lost) < len(ms) {
		if err := flush(ctx, nc); err != nil {
			return fmt.Errorf("natsbus: the server has not said that it has the messages: %w", err)
		}
		// An answer of the next connection says nothing about this one.
		if nc.Stats().Reconnects != before.reconnects {
			return fmt.Errorf("natsbus: %w: the connection broke", cluster.ErrDown)
		}
		denied, all := b.denials.since(ctx, nc, before, 0)
		if !all {
			return fmt.Errorf("natsbus: the server has refused messages, and nats.go has not said which: %w", nc.LastError())
		}
		refused.denied(b, ms, denied)
	}
	if len(refused.lost) > 0 {
		refused.of, refused.what = len(ms), notPublished
		return &refused
	}
	return nil
}

// ready returns the connection if it is there.
func (b *backend) ready(ctx context.Context) (*nats.Conn, error) {
	switch {
	case b.life.Err() != nil:
		return nil, cluster.ErrClosed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !b.up.Load():
		return nil, cluster.ErrDown
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil, cluster.ErrDown
	}
	return b.conn.nc, nil
}

// flush waits until the server has taken what was published.
func flush(ctx context.Context, nc *nats.Conn) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, flushTimeout)
		defer cancel()
	}
	if !nc.IsConnected() {
		return cluster.ErrDown
	}
	err := nc.FlushWithContext(ctx)
	if errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("%w: %w", cluster.ErrDown, err)
	}
	return err
}

// Behind is a method of cluster.Lagger.
func (b *backend) Behind() bool { return b.queue.behind(len(b.taken)) }

// Close is a method of cluster.Backend. Every Publish that has returned nil has reached the
// server, so there is nothing to wait for but the end of the connection.
func (b *backend) Close(ctx context.Context) error {
	b.closing.Do(func() {
		b.end()
		b.up.Store(false)
		b.queue.stop()
		go b.shut()
	})
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *backend) shut() {
	b.mu.Lock() // a connection may just be made
	c := b.conn
	b.mu.Unlock()
	if c != nil {
		c.nc.Close()
		<-c.closed
	}
	b.wg.Wait()
	close(b.done)
}
