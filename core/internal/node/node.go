package node

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/ratelog"
)

// NameLength is how many characters the name of a node has, and IDLength how many the id
// of a socket, which begins with the name of its node.
const (
	NameLength = 5
	IDLength   = 20
)

// Host does on this node what others say. Its methods are called by one goroutine, but for
// ServerEvent, Joined, Silent and Left, and return soon. What a message holds is valid until they
// return, and not to be changed. They guard against what they call of the application: a
// panic ends the process.
type Host interface {
	// Deliver does what a message without an answer says, of the kinds from Emit to
	// CloseTransport, and Gap.
	Deliver(m *cluster.Message)
	// Ask sends the event of m to the sockets of its target, asks for their acks, calls
	// asked once with their ids, also when there are none, and then acked for each ack; it
	// does not wait for them. The functions may be called by any goroutine, with any lock
	// held that is not one of this package.
	Ask(m *cluster.Message, asked func(ids []string), acked func(id string, data []byte, attachments [][]byte))
	// Sockets, Count and Rooms answer questions. What they return is the caller's.
	Sockets(m *cluster.Message) []cluster.Socket
	Count(m *cluster.Message) int
	Rooms(namespace string) []string
	// Question takes a ServerEvent that is for this node alone, which is none of the
	// application's: what the servers ask each other about their clients. It returns soon, and
	// keeps nothing of m; answer is called once, by any goroutine.
	Question(m *cluster.Message, answer func(data []byte, attachments [][]byte))
	// ServerEvent handles an event for servers. It may take its time, and m may be kept:
	// those of one namespace are handled one after the other, and of siokit's own those of one
	// name. With an ID it calls answer once.
	ServerEvent(m *cluster.Message, answer func(data []byte, attachments [][]byte))
	// These three say which nodes there are. They and Options.Report are called by one
	// goroutine, and may take their time: a node that has gone and is back by then is not
	// spoken of. Messages of a node may come before it has Joined. bye: it has said that it
	// leaves. One that has fallen silent is Silent in front of Left, with what it had said of
	// itself: Node.Info knows of it until Silent has returned, which does so soon.
	Joined(node string)
	Silent(node, info string)
	Left(node string, bye bool)
}

// Appender is a Host whose backend is a cluster.Journal that is open. Deliver gets this node's own
// messages too then, with their Position, and those of the kind Gap.
type Appender interface {
	// Unpublished is called by the publisher, for messages that may not be in the log. They are
	// valid until it returns.
	Unpublished(ms []*cluster.Message)
	// Away, Back and Missed are called by the goroutine that calls Deliver: the bus cannot be
	// reached, can be reached, or messages of the log were not received.
	Away()
	Back()
	Missed()
}

// Options of a Node. All fields are required but Name, Info and Emitter.
type Options struct {
	Name           string        // a random one; NameLength characters of a-z, A-Z, 0-9, - and _
	Info           string        // what other nodes are told of this one
	Emitter        bool          // it serves nobody: see emitter
	Heartbeat      time.Duration // how often the node says that it is there
	RequestTimeout time.Duration // how long a request waits for other nodes
	PublishTimeout time.Duration // how long the bus may take for a batch
	Linger         time.Duration // how long a room without sockets is still subscribed to, up to twice that
	MaxMessages    int           // what may wait for the bus
	MaxBytes       int
	Mark           string // numbers events: what the name in Except begins with that has the number; "" for no numbers
	Logger         *slog.Logger
	Report         func(g Gap) // told of the beginning and the end of each gap
}

// Node is this process among the others. See the package's documentation for its goroutines
// and locks.
type Node struct {
	name     string
	instance string
	backend  cluster.Backend
	counter  cluster.Counter // the backend, if it is one
	lagger   cluster.Lagger  // likewise
	sockets  bool            // the backend wants to know the ids of sockets
	emitter  *emitter        // nil for a node that serves somebody
	host     Host
	appends  Appender // nil unless Append was called
	opts     Options

	out       queue
	interests interests
	members   members
	requests  requests
	events    serverEvents
	own       serverEvents // of siokit itself
	gaps      gaps
	untold    untold
	greeting  greeting
	notices   *ratelog.Limiter

	life      sync.Mutex
	phase     phase
	ctx       context.Context // ends when the node has left
	cancel    context.CancelFunc
	staying   context.Context // ends when Shutdown begins
	leave     context.CancelFunc
	closed    atomic.Bool   // what still comes from the bus is ignored
	asked     atomic.Bool   // a Hello has come, a Heartbeat is due
	met       chan struct{} // closed when the backend has said for the first time whether the bus is there
	meet      sync.Once     // closes met
	wake      chan struct{} // holds one signal for the publisher
	news      chan struct{} // holds one for the reporter
	published chan struct{} // closed when the publisher has ended
	reported  chan struct{} // closed when the reporter has
	gone      chan struct{} // closed when Shutdown has returned

	sent, received atomic.Int64
}

// New returns a node, which does nothing until Start.
func New(b cluster.Backend, h Host, o Options) *Node {
	n := &Node{
		name: o.Name, instance: random(16), backend: b, host: h, opts: o, notices: ratelog.New(time.Minute, 8),
		met: make(chan struct{}), wake: make(chan struct{}, 1), news: make(chan struct{}, 1),
		published: make(chan struct{}), reported: make(chan struct{}), gone: make(chan struct{}),
	}
	if n.name == "" {
		n.name = random(NameLength)
	}
	n.counter, _ = b.(cluster.Counter)
	n.lagger, _ = b.(cluster.Lagger)
	_, n.sockets = b.(cluster.SocketWatcher)
	if o.Emitter {
		n.emitter = newEmitter(n, b)
	}
	n.out = queue{maxMessages: o.MaxMessages, maxBytes: o.MaxBytes, mark: o.Mark, wake: n.signal}
	n.interests = interests{linger: o.Linger, wake: n.signal}
	n.requests.prefix = n.instance
	n.events.run, n.own.run = n.serverEvent, n.serverEvent
	n.gaps.wake = n.signalNews
	n.gaps.down.Store(true) // until the backend says otherwise
	n.gaps.deaf.Store(1)
	n.greeting = greeting{open: true, over: make(chan struct{}), since: time.Now()}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.staying, n.leave = context.WithCancel(context.Background())
	return n
}

// Append says that the backend is a cluster.Journal that is open. It is called before Start.
func (n *Node) Append(a Appender) { n.appends = a }

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails; the runtime ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

func (n *Node) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *Node) signalNews() {
	select {
	case n.news <- struct{}{}:
	default:
	}
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

// Stray reports whether a room may be the id of a socket of a node that is not known here,
// and the bus takes no message to one node for the id alone.
func (n *Node) Stray(room string) bool {
	if len(room) != IDLength || n.counter != nil || n.sockets || room[:NameLength] == n.name {
		return false // Counters carry the rooms of processes of Node, whose ids name no node
	}
	for _, c := range []byte(room) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return !n.members.alive(room[:NameLength])
}

// Nodes are the names of the other nodes of this kind that are there.
func (n *Node) Nodes() []string { return n.members.names() }

// Settled reports whether the other nodes have had the time to say that they are there, since
// this one came to the bus.
func (n *Node) Settled() bool { return n.greeting.settled() }

// Deaf reports whether messages of other nodes may not come here now: the bus is away, or some were
// dropped a moment ago. changes is another number whenever that has changed: who had the same
// number before has missed nothing since. It may be called with any lock held.
func (n *Node) Deaf() (changes uint64, now bool) {
	changes = n.gaps.deaf.Load()
	return changes, changes%2 == 1
}

// Ordered reports whether the backend keeps what one node publishes in order, see
// cluster.Unordered.
func (n *Node) Ordered() bool {
	u, ok := n.backend.(cluster.Unordered)
	return !ok || !u.Unordered()
}

// Mixed reports whether nodes of another kind listen to a namespace, as far as the backend
// can tell. It waits as Ready does.
func (n *Node) Mixed(ctx context.Context, namespace string) bool {
	if n.counter == nil || n.Ready(ctx) != nil {
		return false
	}
	others, err := n.counter.Others(ctx, namespace)
	return err == nil && others > 0
}

// Info is what a node says of itself, or has said that has fallen silent, as long as the Host does
// not know.
func (n *Node) Info(name string) (info string, ok bool) { return n.members.infoOf(name) }

// Heard is when the last message of a node has come, or when the bus was back since when it could.
// there: the node is. It may be called with any lock held.
func (n *Node) Heard(name string) (last time.Time, there bool) {
	m := n.members.find(name)
	if m == nil {
		return last, false
	}
	return began.Add(time.Duration(m.seen.Load())), true
}

// Up reports whether the bus can be reached.
func (n *Node) Up() bool { return !n.gaps.down.Load() }

// Stats are numbers of a Node, since it was made.
type Stats struct {
	Up             bool  // the bus can be reached
	Nodes          int   // other nodes that are there
	Waiting        int   // messages that wait for the bus
	Requests       int   // that are open
	Sent, Received int64 // messages, without those about the node itself
	Lost, Missed   int64 // messages, see Gap
}

// Stats returns the numbers of now.
func (n *Node) Stats() Stats {
	s := Stats{
		Up: !n.gaps.down.Load(), Nodes: len(n.members.names()), Waiting: n.out.waiting(), Requests: len(n.requests.all()),
		Sent: n.sent.Load(), Received: n.received.Load(),
	}
	s.Lost, s.Missed = n.gaps.counts()
	return s
}

// Lost is how many messages of this node were lost since it was made, and why the first of them
// was.
func (n *Node) Lost() (count int64, why error) { return n.gaps.losses() }

// Publish has a copy of m published behind what was given before, and never waits. It
// reports false when m is lost: then that is counted, unless the node has left. m.Sockets,
// and what they hold, are the node's from now on.
func (n *Node) Publish(m *cluster.Message) bool {
	_, err := n.publish(m, "")
	return err == nil
}

// PublishExcept is Publish of m with one more of m.Except, "" for none. With Options.Mark it
// returns the number of an event: one more than that of the event before, in the order in which
// the events of this node reach others; 0 for what is lost.
func (n *Node) PublishExcept(m *cluster.Message, except string) (number uint64, ok bool) {
	number, err := n.publish(m, except)
	return number, err == nil
}

// Numbered is the number of the last event.
func (n *Node) Numbered() uint64 { return n.out.numbered() }

func (n *Node) publish(m *cluster.Message, except string) (number uint64, err error) {
	err = cluster.ErrDown
	if n.emitter.holds() || !n.gaps.down.Load() { // in this order: it holds until down is known
		number, err = n.out.put(m, except)
	} else if n.closed.Load() {
		return 0, cluster.ErrClosed
	}
	if err != nil && err != cluster.ErrClosed {
		n.gaps.lose(1, 0, err, time.Now())
		behind, _ := n.out.counts()
		n.untold.lost(m, behind)
		if !n.gaps.down.Load() {
			n.signal()
		}
	}
	return number, err
}

// Flush waits until what was given to Publish before has been published, or is lost.
func (n *Node) Flush(ctx context.Context) error { return wait(ctx, n.out.flushed()) }

// Enter is for a room, or a namespace (""), that has its first socket here, Exit for one that
// has lost its last. socket: the room is the id of a socket that names this node. Neither
// waits for anything, so they may be called with a lock held. What is published after Enter
// finds the bus told of the room.
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

// Listening waits until the bus was told of a room that was entered before, so that what
// other nodes publish to it from then on is received. It returns at once while the bus is away,
// which is a gap. The error is that of ctx, or of the bus that has not taken the room or its
// namespace, or says that the node leaves.
func (n *Node) Listening(ctx context.Context, namespace, room string) error {
	count := n.interests.count()
	for waiting := (<-chan struct{})(n.met); waiting != nil; waiting = n.interests.wait(count) {
		select {
		case <-waiting:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-n.published:
			return cluster.ErrClosed
		}
		if n.gaps.down.Load() {
			return nil
		}
	}
	return n.interests.deafTo(namespace, room)
}
