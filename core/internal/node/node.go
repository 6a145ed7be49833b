package node

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// NameLength is how many characters the name of a node has, and IDLength how many the id
// of a socket, which begins with the name of its node.
const (
	NameLength = 5
	IDLength   = 20
)

var errTooManyRequests = errors.New("cluster: too many open requests")

// Host does on this node what others say. Its methods are called by one goroutine, but for
// ServerEvent, and return soon. What a message holds is valid until they return.
type Host interface {
	// Deliver does what a message without an answer says, of the kinds from Emit to
	// CloseTransport.
	Deliver(m *cluster.Message)
	// Ask sends the event of m to the sockets of its target, asks for their acks, calls
	// asked once with their ids, and acked for each ack; it does not wait for them. The
	// functions may be called by any goroutine.
	Ask(m *cluster.Message, asked func(ids []string), acked func(id string, data []byte, attachments [][]byte))
	// Sockets, Count and Rooms answer questions.
	Sockets(m *cluster.Message) []cluster.Socket
	Count(m *cluster.Message) int
	Rooms(namespace string) []string
	// ServerEvent handles an event for servers. It may take its time: those of one
	// namespace are handled one after the other. With an ID it calls answer once.
	ServerEvent(m *cluster.Message, answer func(data []byte, attachments [][]byte))
	// Joined and Left say which nodes there are.
	Joined(node string)
	Left(node string)
}

// Options of a Node. All fields are required but Name and Info.
type Options struct {
	Name           string        // a random one
	Info           string        // what other nodes are told of this one
	Heartbeat      time.Duration // how often the node says that it is there
	RequestTimeout time.Duration // how long a request waits for other nodes
	PublishTimeout time.Duration // how long the bus may take for a batch
	Linger         time.Duration // how long a room without sockets is still subscribed to
	MaxMessages    int           // what may wait for the bus
	MaxBytes       int
	Logger         *slog.Logger
	Report         func(g Gap) // told of the beginning and the end of each gap
}

// missedBeats is after how many heartbeats without a sign of life a node is given up.
const missedBeats = 3

// settleTime is how long a request waits for the answers to the node's Hello.
const settleTime = 300 * time.Millisecond

// Node is this process among the others. See the package's documentation for its goroutines
// and locks.
type Node struct {
	name     string
	instance string
	backend  cluster.Backend
	counter  cluster.Counter // the backend, if it is one
	sockets  bool            // the backend wants to know the ids of sockets
	host     Host
	opts     Options

	out       queue
	interests interests
	members   members
	requests  requests
	events    serverEvents
	gaps      gaps

	ctx       context.Context // ends when the node has left
	cancel    context.CancelFunc
	greet     atomic.Bool   // a Hello is due
	greeted   chan struct{} // closed a while after the first Hello
	published chan struct{} // closed when the publisher has ended
	sent      atomic.Int64
	received  atomic.Int64
}

// New returns a node, which does nothing until Start.
func New(b cluster.Backend, h Host, o Options) *Node {
	n := &Node{name: o.Name, instance: random(16), backend: b, host: h, opts: o, greeted: make(chan struct{}), published: make(chan struct{})}
	if n.name == "" {
		n.name = random(NameLength)
	}
	n.counter, _ = b.(cluster.Counter)
	_, n.sockets = b.(cluster.SocketWatcher)
	n.out = queue{maxMessages: o.MaxMessages, maxBytes: o.MaxBytes, wake: make(chan struct{}, 1)}
	n.interests = interests{linger: o.Linger, wake: make(chan struct{}, 1)}
	n.events.run = n.serverEvent
	n.gaps.report = o.Report
	n.gaps.down = true // until the backend says otherwise
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails; the runtime ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

// Name is the name of the node.
func (n *Node) Name() string { return n.name }

// NewID returns a random id for a socket of this node.
func (n *Node) NewID() string { return n.name + random(IDLength-NameLength) }

// Owner is the node that a socket's id names, "" when no other node that is there has
// that name.
func (n *Node) Owner(id string) string {
	if len(id) != IDLength {
		return ""
	}
	if name := id[:NameLength]; n.members.alive(name) {
		return name
	}
	return ""
}

// Nodes are the names of the other nodes of this kind that are there.
func (n *Node) Nodes() []string { return n.members.names() }

// Info is what a node says of itself.
func (n *Node) Info(name string) (info string, ok bool) { return n.members.infoOf(name) }

// Counts are how many messages the node has published and taken since it was made.
func (n *Node) Counts() (sent, received int64) { return n.sent.Load(), n.received.Load() }

// Start joins the cluster. An error means that the backend never will.
func (n *Node) Start(ctx context.Context) error {
	if err := n.backend.Start(ctx, n.name, receiver{n}); err != nil {
		n.out.end()
		n.cancel()
		close(n.published)
		return fmt.Errorf("cluster: %w", err)
	}
	go n.publisher()
	return nil
}

// settled waits until the nodes that are there have had the time to say so.
func (n *Node) settled(ctx context.Context) error {
	select {
	case <-n.greeted:
		return nil
	default:
	}
	select {
	case <-n.greeted:
		return nil
	case <-ctx.Done():
		return &cluster.Missing{Err: context.Cause(ctx)}
	case <-n.ctx.Done():
		return &cluster.Missing{Err: cluster.ErrClosed}
	}
}

// Publish has a copy of m published behind what was given before, and never waits. It
// reports false when m is lost: then that is counted.
func (n *Node) Publish(m *cluster.Message) bool {
	if n.gaps.isDown() {
		n.gaps.lose(1, 0, cluster.ErrDown, time.Now())
		return false
	}
	if !n.out.put(m) {
		n.gaps.lose(1, 0, errFull, time.Now())
		return false
	}
	return true
}

var errFull = errors.New("cluster: more messages than the bus takes")

// Enter is for a room, or a namespace (""), that has its first socket here, Exit for one that
// has lost its last. socket: the room is the id of a socket. Neither waits for anything, so
// they may be called with a lock held.
func (n *Node) Enter(namespace, room string, socket bool) {
	if !socket || n.sockets {
		n.interests.enter(namespace, room, socket)
	}
}

// Exit is the opposite of Enter.
func (n *Node) Exit(namespace, room string, socket bool) {
	if !socket || n.sockets {
		n.interests.exit(namespace, room, socket, time.Now())
	}
}

// Shutdown leaves the cluster: what waits is published, the other nodes are told, requests
// end, and handlers of server events are waited for. When ctx ends first, its error is
// returned; what the backend still does then ends when the backend lets it.
func (n *Node) Shutdown(ctx context.Context) error {
	n.Publish(&cluster.Message{Kind: cluster.Bye})
	n.out.end()
	var err error
	select {
	case <-n.published:
	case <-ctx.Done():
		err = ctx.Err()
	}
	n.cancel()
	if closing := n.backend.Close(ctx); err == nil {
		err = closing
	}
	idle := make(chan struct{})
	go func() { n.events.wg.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
		if err == nil {
			err = ctx.Err()
		}
	}
	return err
}
