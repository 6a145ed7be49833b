package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// patience is how long a client waits for anything, and how long what is under way may take.
const patience = 20 * time.Second

// client is one client, which connects again whenever its connection ends.
type client struct {
	*run
	number int
	rnd    *rand.Rand
	now    atomic.Pointer[life] // the connection; nil between two of them
}

// life is one connection of a client, and what was said on it.
type life struct {
	*client
	kind int
	link link
	done chan struct{} // closed at its end
	end  func()

	mu      sync.Mutex
	peer    *peer       // nil until the server has said hello
	room    string      // that the client stays in
	sent    int         // events
	waits   map[int]int // acks that have not come, and the number of the event; -1: "in", -2: "out"
	ids     int
	acked   int // the last number that was acknowledged, and one more
	single  stream
	many    map[string]*stream
	inside  bool // of the room "x", or on the way
	outside bool // of the room "x": not asked for, or left, and the server has said so
	left    bool // said goodbye
	why     error
}

// loop is the life of a client until the context ends.
func (c *client) loop(ctx context.Context) {
	for ctx.Err() == nil {
		c.once(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(c.rnd.IntN(500)) * time.Millisecond):
		}
	}
}

// once is one connection.
func (c *client) once(ctx context.Context) {
	l := &life{client: c, kind: c.number % len(kinds), done: make(chan struct{}),
		waits: make(map[int]int), single: stream{begun: true}, many: make(map[string]*stream), outside: true}
	t := new(tb)
	var conns sync.Map
	over := make(chan struct{})
	l.end = sync.OnceFunc(func() {
		close(over)
		t.cleanup()
		conns.Range(func(k, _ any) bool { _ = k.(net.Conn).Close(); return true })
	})
	stop := context.AfterFunc(ctx, l.end)
	defer stop()
	defer l.end()
	w := newWire(t, c.proxies[c.rnd.IntN(len(c.proxies))].Addr, func(nc net.Conn) {
		conns.Store(nc, true)
		select {
		case <-over:
			_ = nc.Close()
		default:
		}
	})
	if err := try(func() { l.link = kinds[l.kind].open(w) }); err != nil {
		c.ledger.count("connects that failed", 1)
		return
	}
	c.ledger.count("connections of "+kinds[l.kind].name, 1)
	c.now.Store(l)
	var wg sync.WaitGroup
	seed := c.rnd.Uint64()
	wg.Go(func() { l.fail(try(func() { l.write(rand.New(rand.NewPCG(seed, 1))) })); l.end() })
	wg.Go(func() { l.fail(beats(l.link, l.done)); l.end() })
	l.fail(try(l.read))
	l.end()
	close(l.done)
	wg.Wait()
	c.now.Store(nil)
	c.ended(l)
}

// fail keeps the first reason of the end.
func (l *life) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil {
		l.why = err
	}
	if m := malformed(""); errors.As(err, &m) {
		l.wrong("malformed", "%s", string(m))
	}
}

func (l *life) wrong(kind, format string, args ...any) {
	l.ledger.fault(kind, "%s: %s", kinds[l.kind].name, fmt.Sprintf(format, args...))
}

// read handles what comes.
func (l *life) read() {
	for {
		text := l.link.next()
		h, ok := parse(kinds[l.kind].old, text)
		if !ok {
			continue
		}
		l.messages.Add(1)
		if answer := l.heard(h); answer != "" {
			l.link.send(answer)
		}
	}
}

func (l *life) heard(h heard) (answer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := func(i int) (n int) {
		if i >= len(h.args) || json.Unmarshal(h.args[i], &n) != nil {
			l.wrong("argument", "%s has the arguments %s", h.name, h.args)
		}
		return n
	}
	word := func(i int) (s string) {
		if i >= len(h.args) || json.Unmarshal(h.args[i], &s) != nil {
			l.wrong("argument", "%s has the arguments %s", h.name, h.args)
		}
		return s
	}
	switch h.name {
	case "":
		l.ack(h.id, number(0))
	case "hello":
		if v, ok := l.peers.Load(word(0)); ok {
			l.peer, l.room = v.(*peer), word(1)
		}
	case "s":
		if kind := l.single.got(number(0)); kind != "" {
			l.wrong(kind, "an event for this client alone: %d, next is %d", number(0), l.single.next)
		}
	case "m":
		room := word(0)
		if room == "x" && l.outside {
			l.wrong("stray", "an event for a room that the client is not in")
		}
		key := fmt.Sprint(room, "/", number(1))
		s := l.many[key]
		if s == nil {
			s = new(stream)
			l.many[key] = s
		}
		before := s.next
		if kind := s.got(number(2)); kind != "" {
			l.wrong(kind, "of node %d to the room %q: %d, wanted %d", number(1), room, number(2), before)
		}
	case "q":
		if l.drop != nil && l.drop("ack") {
			return ""
		}
		return ack(kinds[l.kind].old, h.id, number(0))
	default:
		l.wrong("event", "an event that nobody emits: %s", h.name)
	}
	return ""
}

// ack: every ack comes once, in the order of the events, and behind its handler.
func (l *life) ack(id, value int) {
	n, ok := l.waits[id]
	delete(l.waits, id)
	switch {
	case !ok:
		l.wrong("doubled", "an ack that nobody waits for: %d", id)
	case n == -1:
	case n == -2:
		if !l.inside {
			l.outside = true
		}
		for key := range l.many {
			if key[0] == 'x' {
				delete(l.many, key)
			}
		}
	case n != value:
		l.wrong("ack", "the ack of %d has %d", n, value)
	case n < l.acked:
		l.wrong("reordered", "the ack of %d behind that of %d", n, l.acked-1)
	default:
		l.acked = n + 1
		l.ledger.count("acks of the server", 1)
	}
}

// want is an event whose ack is wanted.
func (l *life) want(name string, arg any, n int) string {
	id := l.ids
	l.ids++
	if kinds[l.kind].old {
		id++ // 0 is no id in 0.9
	}
	l.waits[id] = n
	return event(kinds[l.kind].old, id, name, arg)
}

// write sends events while there is traffic.
func (l *life) write(rnd *rand.Rand) {
	for {
		select {
		case <-l.done:
			return
		case <-time.After(time.Duration(50+rnd.IntN(150)) * time.Millisecond):
		}
		if !l.storm.Load() {
			continue
		}
		l.mu.Lock()
		if l.peer == nil || l.left {
			l.mu.Unlock()
			continue
		}
		var list []string
		for range 1 + rnd.IntN(4) {
			switch k := rnd.IntN(20); {
			case k < 12:
				list = append(list, event(kinds[l.kind].old, -1, "c", l.sent))
				l.sent++
			case k < 19:
				list = append(list, l.want("a", l.sent, l.sent))
				l.sent++
			case l.inside:
				l.inside = false
				list = append(list, l.want("out", "x", -2))
			case l.settledX():
				l.inside, l.outside = true, false
				list = append(list, l.want("in", "x", -1))
			}
		}
		if rnd.IntN(150) == 0 {
			l.left = true
			list = append(list, goodbye(kinds[l.kind].old))
		}
		left := l.left
		l.mu.Unlock()
		if len(list) > 0 {
			l.link.send(list...)
		}
		if left { // official clients close the connection behind a goodbye
			select {
			case <-l.done:
			case <-time.After(200 * time.Millisecond):
			}
			return
		}
	}
}

// settledX: the server has answered whatever was asked about the room "x".
func (l *life) settledX() bool {
	for _, n := range l.waits {
		if n < 0 {
			return false
		}
	}
	return true
}

// pending says what has not come yet to a client that lives; "" is nothing. What goes to everybody
// and to the room that it stays in must come from every node.
func (l *life) pending(nodes []*node) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peer
	if p == nil || l.left {
		return "hello"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return "the end of a connection that the server has ended: " + p.reason.String()
	case p.got != l.sent:
		return fmt.Sprintf("events of the client from %d to %d", p.got, l.sent-1)
	case len(l.waits) > 0:
		return fmt.Sprintf("acks of the server: %v", l.waits)
	case l.single.next != p.sent:
		return fmt.Sprintf("events for the client alone, from %d to %d", l.single.next, p.sent-1)
	}
	for _, n := range nodes {
		n.mu.Lock()
		for room, sent := range n.sent {
			s := l.many[fmt.Sprint(room, "/", n.number)]
			switch {
			case s != nil && s.next == sent, s == nil && room != "" && room != l.room:
				continue
			case s == nil:
				s = new(stream) // nothing has come at all
			}
			n.mu.Unlock()
			return fmt.Sprintf("events of node %d to the room %q, from %d to %d", n.number, room, s.next, sent-1)
		}
		n.mu.Unlock()
	}
	return ""
}

// account counts what went with a connection that has ended on both sides.
func (l *life) account() {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peer
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.got > l.sent {
		l.wrong("doubled", "the server has handled %d events of %d", p.got, l.sent)
	}
	if l.single.next > p.sent {
		l.wrong("doubled", "the client has got %d events of %d", l.single.next, p.sent)
	}
	if p.handled < l.acked {
		l.wrong("ack", "event %d was acknowledged, and only those before %d were handled", l.acked-1, p.handled)
	}
	if p.reason == sio.ClientNamespace && p.got != l.sent {
		l.wrong("lost", "of %d events before a goodbye, %d were handled", l.sent, p.got)
	}
	l.ledger.count("lost with the connection, to the server", l.sent-p.got)
	l.ledger.count("lost with the connection, to the client alone", p.sent-l.single.next)
	l.ledger.count("lost with the connection, acks", len(l.waits))
}
