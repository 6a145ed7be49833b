package sio

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
	"github.com/siokit/siokit/core/internal/wheel"
)

// recoveryLog has the last events of a namespace, each with its position. Events are queued for
// their receivers with mu held, so the order of the log is the order in which each client gets
// them: a client that has had one has had all before it that were for it.
type recoveryLog struct {
	r     *recovery
	ns    *Namespace
	epoch string // in front of each offset: those of another log are none
	timer wheel.Timer

	mu       sync.Mutex
	position uint64 // of the last event
	lost     uint64 // up to it events have been dropped, or never came
	broke    uint64 // up to it events never came, which nobody has had
	deaf     uint64 // what the node has said last, see whole
	events   []keptEvent
	bytes    int
	over     bool              // nobody comes back to the namespace
	seen     map[string]uint64 // the number of the last event of each node of a cluster
	carried  int               // bytes of the events that sessions have brought from other nodes

	// With a journal, see recovery_journal.go.
	known uint64 // memory has all behind it, but for what lost says; never: nobody has looked yet
	line  []*onItsWay
}

// keptEvent is an event of the log. Its target is that of the packet, as it was emitted.
type keptEvent struct {
	position uint64
	at       time.Duration // of the wheel
	socket   string        // the id of the one socket; "" for the sockets of the rooms, or all
	rooms    []string
	except   []string
	skip     string // the id of the socket that has emitted it to others
	placed   uint64 // Target.Position
	packet   packet.Packet
	cost     int
	stamp    stamp  // which event it is in a cluster
	offset   string // of an event that a session has brought from another node
}

// log returns the log of a namespace, made when its first socket comes that can be recovered.
func (r *recovery) log(n *Namespace) *recoveryLog {
	if l := n.recovery.Load(); l != nil {
		return l
	}
	l := &recoveryLog{r: r, ns: n, epoch: virtsocket.NewID()[:6]}
	switch node := r.srv.node; {
	case r.journal != nil: // what comes in this moment may be missed: memory is not complete before it was compared
		l.position, l.known = r.journal.Reached(), never
	case node != nil:
		l.deaf, _ = node.Deaf()
	}
	n.recovery.CompareAndSwap(nil, l)
	return n.recovery.Load()
}

// offset is a position as clients know it.
func (l *recoveryLog) offset(position uint64) string {
	if l.r.journal != nil {
		return strconv.FormatUint(position>>sequenceBits, 10) + "-" + strconv.FormatUint(position&(1<<sequenceBits-1), 10)
	}
	return l.epoch + strconv.FormatUint(position, 36)
}

// parse reads an offset that a client has sent.
func (l *recoveryLog) parse(offset string) (position uint64, ok bool) {
	if l.r.journal != nil {
		time, number, _ := strings.Cut(offset, "-")
		ms, err1 := strconv.ParseUint(time, 10, 64-sequenceBits)
		n, err2 := strconv.ParseUint(number, 10, sequenceBits)
		position = ms<<sequenceBits | n
		return position, err1 == nil && err2 == nil && l.offset(position) == offset
	}
	digits, mine := strings.CutPrefix(offset, l.epoch)
	if !mine {
		return 0, false
	}
	position, err := strconv.ParseUint(digits, 36, 64)
	return position, err == nil && l.offset(position) == offset
}

// send has an event sent to the target, and keeps it. What cannot be recovered gets the offset of
// the last that can: otherwise clients would take a text at its end for one. n, unless it is nil,
// publishes the event in the same moment: what this node hands over to others, it has published.
func (l *recoveryLog) send(t Target, b *broadcast, to func(b *broadcast), n *node.Node, enc *encoder) {
	if b.packet.HasID || t.some && len(t.rooms) == 0 {
		b.by(to, t)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.journaled() {
		if n != nil && !t.here() { // it needs no position, and does not wait for one: see queue
			t.publish(n, enc)
		}
		l.arrived(t, b, to)
		return
	}
	if n != nil && !t.here() { // a socket that is here now cannot be handed over meanwhile
		number, _ := t.publish(n, enc)
		t.stamp = published(n, number)
	}
	l.see(t.stamp)
	if !t.volatile {
		l.position++
		l.keep(keptTarget(t), b.packet)
	}
	b.offset, b.stamp = l.offset(l.position), t.stamp
	b.by(to, t)
}

// sendOne is send for one socket. l.mu is held.
func (l *recoveryLog) sendOne(s *Socket, p packet.Packet) error {
	l.position++
	l.keep(keptEvent{socket: s.id}, p)
	if !s.recovery.deliver(stamp{}, false) {
		return nil
	}
	p.Data = withOffset(p.Data, l.offset(l.position))
	p.Namespace = l.ns.path
	return s.sendMessage(s.client.vs.Dialect().Encode(&p, true), false)
}

// emit is Socket.emit for a socket that can be recovered.
func (rec *recoverable) emit(s *Socket, p packet.Packet, e *encoder) error {
	if s.state.Load() == stateDisconnected {
		return ErrDisconnected
	}
	p.Data, p.Attachments = e.buf, e.parts
	if rec.log.journaled() {
		q := p
		rec.log.queueOne(s, &q)
		return nil
	}
	rec.log.mu.Lock()
	defer rec.log.mu.Unlock()
	return rec.log.sendOne(s, p)
}

// keep adds an event, at the position of the log, and forgets those that are too many or too old.
// l.mu is held.
func (l *recoveryLog) keep(e keptEvent, p packet.Packet) {
	l.whole()
	e.position, e.at = l.position, l.r.wheel.Now()
	p.Namespace, p.Data = l.ns.path, bytes.Clone(p.Data)
	e.packet = p
	e.cost = e.size()
	if l.over {
		l.lost = l.position
		return
	}
	if len(l.events) == 0 {
		l.r.wheel.Set(&l.timer, l, l.r.kept)
	}
	l.events = append(l.events, e)
	l.weigh(e.cost)
	for len(l.events) > 0 && l.full() {
		l.r.srv.recoveries.dropped.Add(1)
		l.drop()
	}
	l.forgetOld()
}

// weigh adds to what is kept, or takes from it. l.mu is held.
func (l *recoveryLog) weigh(cost int) {
	l.bytes += cost
	l.r.bytes.Add(int64(cost))
}

// full reports whether more is kept than may be, here or in all logs together: then the log that
// grows gives way. l.mu is held.
func (l *recoveryLog) full() bool {
	o := l.r.opts
	return len(l.events) > o.MaxEvents || l.bytes > o.MaxBytes || l.r.bytes.Load() > int64(o.MaxTotalBytes)
}

// empty forgets all events. l.mu is held.
func (l *recoveryLog) empty() {
	l.weigh(-l.bytes)
	l.events = nil
}

// size is about how much memory the event takes.
func (e *keptEvent) size() int {
	n := recoverableCost + len(e.packet.Data)
	for _, a := range e.packet.Attachments {
		n += len(a)
	}
	for _, names := range [][]string{e.rooms, e.except} {
		for _, name := range names {
			n += len(name)
		}
	}
	return n
}

// drop forgets the oldest event. l.mu is held.
func (l *recoveryLog) drop() {
	l.lost = l.events[0].position
	l.weigh(-l.events[0].cost)
	l.events[0] = keptEvent{}
	if l.events = l.events[1:]; len(l.events) == 0 {
		l.events = nil
	}
}

// forgetOld forgets what nobody can ask for any more. l.mu is held.
func (l *recoveryLog) forgetOld() {
	for now := l.r.wheel.Now(); len(l.events) > 0 && now-l.events[0].at > l.r.kept; {
		l.drop()
	}
}

// Expired implements wheel.Owner: events may be too old.
func (l *recoveryLog) Expired(*wheel.Timer) {
	go func() { // mu is held while events are queued
		l.mu.Lock()
		defer l.mu.Unlock()
		l.forgetOld()
		if len(l.events) > 0 {
			l.r.wheel.Set(&l.timer, l, l.events[0].at+l.r.kept-l.r.wheel.Now()+time.Second)
		}
	}()
}

// close ends the log, with its namespace or the server.
func (l *recoveryLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over, l.lost = true, l.position
	l.empty()
	l.r.wheel.Stop(&l.timer)
}

// behind are the events with larger positions. l.mu is held.
func (l *recoveryLog) behind(position uint64) []keptEvent {
	i, _ := slices.BinarySearchFunc(l.events, position+1, func(e keptEvent, p uint64) int {
		return cmp.Compare(e.position, p)
	})
	return l.events[i:]
}
