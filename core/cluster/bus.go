package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// Bus is a bus in memory, by which several Servers of one process are a cluster: in tests,
// in examples, and where an application wants to see what it does in a cluster. Make one
// with NewBus.
//
// It hands messages only to the nodes that they need reach, in one order for all, and never
// hands a node its own. What is handed over is cleared when Receive has returned, so that a
// Receiver that keeps something is found out.
//
// With Keep it is a Journal, which keeps messages and the sessions of clients.
type Bus struct {
	mu    sync.Mutex
	nodes []*busNode
	cut   map[string]bool
	away  bool
	log   busLog
}

// maxBusMessages is how many messages may wait in a Bus for one node, and maxBusBytes how many
// bytes. What comes when so much waits is dropped for that node, which is told.
const (
	maxBusMessages = 16_384
	maxBusBytes    = 64 << 20
)

var errBusSlow = errors.New("cluster: the node does not take what comes from the bus")

// NewBus returns a Bus without nodes.
func NewBus() *Bus { return &Bus{cut: make(map[string]bool)} }

// Backend returns a Backend for one more node.
func (b *Bus) Backend() Backend { return &busNode{bus: b, done: make(chan struct{})} }

// Cut takes the connection to the bus from the nodes with these names, from all nodes when
// none is named: they are told that it is away, what they publish is refused, and what others
// publish is lost for them. It holds for nodes that come later too, until Heal.
func (b *Bus) Cut(names ...string) { b.set(true, names) }

// Heal gives nodes their connection back, all nodes when none is named.
func (b *Bus) Heal(names ...string) { b.set(false, names) }

func (b *Bus) set(cut bool, names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		b.cut[name] = cut
	}
	if len(names) == 0 {
		b.away = cut
		clear(b.cut)
	}
	for _, n := range b.nodes {
		n.connect(b.reaches(n.name))
	}
}

// reaches says whether a node has its connection; b.mu is held.
func (b *Bus) reaches(name string) bool { return !b.away && !b.cut[name] }

// publish hands a message to the nodes that it is for; b.mu is held.
func (b *Bus) publish(from *busNode, m *Message) {
	var size int
	m = b.log.append(m) // its own from here on
	for _, n := range b.nodes {
		if n.up && (n != from && n.wants(m) || n.journal && m.Position > 0) {
			if size == 0 {
				size = m.size()
			}
			n.put(m, size)
		}
		if n.up && m.Position > 0 {
			n.passed = m.Position
		}
	}
}

// size is about how much memory a message takes.
func (m *Message) size() int {
	n := 512 + len(m.Data)
	for _, a := range m.Attachments {
		n += len(a)
	}
	for _, list := range [...][]string{m.Rooms, m.Except, m.Names} {
		n += 16 * len(list)
	}
	for _, s := range m.Sockets {
		n += 128 + 16*len(s.Rooms) + len(s.Data) + len(s.Handshake)
	}
	return n
}

// busNode is the Backend of one node of a Bus.
type busNode struct {
	bus  *Bus
	done chan struct{} // closed when nothing more is handed over

	// bus.mu guards these.
	name    string
	started bool
	closed  bool
	up      bool
	watched map[Interest]struct{} // with nothing but Namespace and Room

	mu      sync.Mutex
	waiting []busEvent
	count   int // messages in waiting
	bytes   int
	stop    bool
	backlog backlog
	wake    chan struct{} // holds one signal for the node's goroutine

	journal bool          // bus.mu guards it, and passed
	passed  uint64        // up to here the log was queued, or lost
	reached atomic.Uint64 // see Journal.Reached
}

var (
	_ Backend = (*busNode)(nil)
	_ Lagger  = (*busNode)(nil)
)

// backlog is how far a Receiver is behind.
type backlog struct {
	come, handed uint64 // messages
	before       uint64 // that had come when Behind was called
	dropped      bool   // since then
}

// Behind is a method of Lagger.
func (n *busNode) Behind() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := &n.backlog
	behind := b.handed < b.before || b.dropped
	b.before, b.dropped = b.come, false
	return behind
}

// busEvent is what a node is told: one of these.
type busEvent struct {
	m    *Message
	size int
	lost int
	up   bool
	down bool
}

func (n *busNode) Start(ctx context.Context, node string, r Receiver) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if n.started || n.closed {
		return errors.New("cluster: the backend was used before")
	}
	n.started, n.name, n.wake = true, node, make(chan struct{}, 1)
	n.bus.nodes = append(n.bus.nodes, n)
	n.passed = n.bus.log.last
	n.reached.Store(n.passed)
	if n.bus.reaches(node) {
		n.connect(true)
	} else {
		n.event(busEvent{down: true})
	}
	go n.run(r)
	return nil
}

func (n *busNode) Publish(ctx context.Context, ms []*Message) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case n.closed || !n.started:
		return ErrClosed
	case !n.up:
		return ErrDown
	}
	for _, m := range ms {
		n.bus.publish(n, m)
	}
	return nil
}

func (n *busNode) Watch(_ context.Context, changes []Interest) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	if n.watched == nil {
		n.watched = make(map[Interest]struct{})
	}
	for _, c := range changes {
		key := Interest{Namespace: c.Namespace, Room: c.Room}
		if c.On {
			n.watched[key] = struct{}{}
		} else {
			delete(n.watched, key)
		}
	}
	return nil
}

func (n *busNode) Close(ctx context.Context) error {
	n.bus.mu.Lock()
	if n.bus.nodes = slices.DeleteFunc(n.bus.nodes, func(other *busNode) bool { return other == n }); !n.closed {
		n.closed = true
		if !n.started {
			close(n.done)
		}
	}
	n.watched = nil
	n.bus.mu.Unlock()
	n.mu.Lock()
	n.stop, n.waiting = true, nil
	n.mu.Unlock()
	n.signal()
	select {
	case <-n.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// connect tells the node when its connection has come or gone; bus.mu is held.
func (n *busNode) connect(up bool) {
	if n.up != up {
		n.up = up
		if up && n.journal {
			n.catchUp()
		}
		n.event(busEvent{up: up, down: !up})
	}
}

// wants says whether a message need reach the node; bus.mu is held.
func (n *busNode) wants(m *Message) bool {
	if m.To != "" {
		return m.To == n.name
	}
	if m.Namespace == "" || m.Kind < Emit || m.Kind > CloseTransport || m.Kind == Emit && m.ID != "" {
		return true
	}
	key := Interest{Namespace: m.Namespace}
	if len(m.Rooms) == 1 {
		key.Room = m.Rooms[0]
	}
	_, ok := n.watched[key]
	return ok
}

// put queues a copy of a message, unless too much waits.
func (n *busNode) put(m *Message, size int) {
	n.mu.Lock()
	full := n.count >= maxBusMessages || n.bytes >= maxBusBytes
	if full {
		n.backlog.dropped = true
	}
	n.mu.Unlock() // only the publisher that holds bus.mu adds
	if full {
		n.event(busEvent{lost: 1})
		return
	}
	n.event(busEvent{m: m.Clone(), size: size})
}

// event queues what the node is told.
func (n *busNode) event(e busEvent) {
	n.mu.Lock()
	switch last := len(n.waiting) - 1; {
	case n.stop:
	case e.lost > 0 && last >= 0 && n.waiting[last].lost > 0:
		n.waiting[last].lost += e.lost
	case (e.up || e.down) && last > 0 && n.waiting[last].m == nil && n.waiting[last].lost == 0 && n.waiting[last-1].m == nil && n.waiting[last-1].lost == 0:
		n.waiting = n.waiting[:last] // up and down again, and nobody has noticed
	default:
		n.waiting = append(n.waiting, e)
		n.bytes += e.size
		if e.m != nil {
			n.count++
			n.backlog.come++
		}
	}
	n.mu.Unlock()
	n.signal()
}

func (n *busNode) signal() {
	select {
	case n.wake <- struct{}{}:
	default: // there is one, or there is no goroutine
	}
}

// run hands over what waits, until Close.
func (n *busNode) run(r Receiver) {
	defer close(n.done)
	handing := false
	for range n.wake {
		for {
			n.mu.Lock()
			if handing {
				n.backlog.handed++
			}
			if handing = false; n.stop {
				n.mu.Unlock()
				return
			}
			if len(n.waiting) == 0 {
				n.waiting = nil
				n.mu.Unlock()
				break
			}
			e := n.waiting[0]
			n.waiting[0] = busEvent{}
			n.waiting = n.waiting[1:]
			n.bytes -= e.size
			if e.m != nil {
				n.count--
				handing = true
			}
			n.mu.Unlock()
			at := e.position()
			e.hand(r)
			n.reached.Store(max(n.reached.Load(), at))
		}
	}
}

// position is that of the message in the log.
func (e busEvent) position() uint64 {
	if e.m == nil {
		return 0
	}
	return e.m.Position
}

// hand tells the receiver, and takes what it was told away from it.
func (e busEvent) hand(r Receiver) {
	switch {
	case e.up:
		r.Up()
	case e.down:
		r.Down(ErrDown)
	case e.lost > 0:
		r.Lost(e.lost, errBusSlow)
	default:
		r.Receive(e.m)
		clear(e.m.Data)
		for _, a := range e.m.Attachments {
			clear(a)
		}
		for _, s := range e.m.Sockets {
			clear(s.Rooms)
			clear(s.Data)
			clear(s.Handshake)
		}
		for _, list := range [...][]string{e.m.Rooms, e.m.Except, e.m.Names} {
			clear(list)
		}
		clear(e.m.Sockets)
		*e.m = Message{}
	}
}
