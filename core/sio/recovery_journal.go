package sio

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/tracker"
)

// Recovery with a bus that is a log (cluster.Journal). Positions are those of the journal then, the
// same on all nodes, and an event that can be recovered gets its position before it is sent: it is
// appended to the journal, and sent to the clients of this node when it comes back. Until then it
// is in the line of its namespace. See docs/decisions.md.

// onItsWay is an event of this node in the line: it is on its way to the journal and back, or
// stands behind one that is.
type onItsWay struct {
	ticket uint64 // 0: it does not go to the journal
	lost   bool   // it has no position, and waits only for those before it
	target Target // with only: this socket
	packet packet.Packet
	// pinned says of sockets that have changed rooms meanwhile whether the event is for them.
	pinned map[*Socket]bool
}

// maxOnTheWay is how many events may be in the line of a namespace. The queue to the bus is
// bounded as well: this is for those that do not go there.
const maxOnTheWay = 65_536

// breaks are the times at which events did not get into the journal. Until a cluster.Gap that is
// said afterwards has come back, nobody is recovered here.
type breaks struct {
	count  atomic.Uint64 // the number of the last
	said   atomic.Uint64 // the one that the last Gap was published for
	mended atomic.Uint64 // the one whose Gap has come back
}

// journaling is what a recovery has with a bus that is a log.
type journaling struct {
	journal cluster.Journal // nil: the bus is none
	breaks  breaks
	tickets atomic.Uint64   // the last: a namespace may end, and its events come back to the next of its name
	claims  chan struct{}   // of those who read the journal
	writes  chan struct{}   // of those who save sessions
	saves   tracker.Tracker // sessions that are being saved
	// claiming are the sessions that clients are about to get, with their number. recovery.mu
	// guards it.
	claiming map[string]int
	live     *liveStore // nil without StoreLive
	silences silences
}

// openJournal has the bus be the log, if it is one.
func (r *recovery) openJournal() {
	if r.srv.node == nil {
		return
	}
	j, ok := r.srv.opts.Cluster.(cluster.Journal)
	if !ok || !j.OpenJournal() {
		return
	}
	r.journal = j
	r.claims = make(chan struct{}, maxClaims)
	r.writes = make(chan struct{}, maxClaims)
	r.claiming = make(map[string]int)
	r.srv.node.Append(r)
	r.startLive()
}

// journaled reports whether the log's positions are those of a journal.
func (l *recoveryLog) journaled() bool { return l != nil && l.r.journal != nil }

// log is the log of the namespace, made if every event has to go by it; nil for none.
func (n *Namespace) log() *recoveryLog {
	l, r := n.recovery.Load(), n.srv.recovery
	if l != nil || r == nil || r.journal == nil || n.named || !r.recovers(n) {
		return l
	}
	return r.log(n)
}

// offsets of a journal are written as the ids of entries are in the streams of Redis, by
// Node's server too: milliseconds, and a number within the millisecond.
const sequenceBits = 22

// reach notes the position of an event, and reports false when it has none. l.mu is held.
func (l *recoveryLog) reach(position uint64) bool {
	l.position = max(l.position, position)
	return position > 0
}

// catchUp notes how far the journal was read. l.mu is held.
func (l *recoveryLog) catchUp() {
	if l.journaled() {
		l.reach(l.r.journal.Reached())
	}
}

// arrived is send for a log with a journal: an event of another node, or one that needs no
// position. l.mu is held.
func (l *recoveryLog) arrived(t Target, b *broadcast, to func(b *broadcast)) {
	if l.reach(b.position) && !t.volatile {
		l.keep(keptTarget(t), b.packet)
	}
	b.offset = l.offset(l.position)
	b.by(to, t)
}

// keptTarget is an event of the log without its packet.
func keptTarget(t Target) keptEvent {
	e := keptEvent{rooms: slices.Clone(t.rooms), except: slices.Clone(t.except), stamp: t.stamp}
	if t.skip != nil {
		e.skip = t.skip.id
	}
	if t.placed() {
		e.placed = t.position
	}
	return e
}

// queue takes an event of this node, and reports false when it goes the ordinary way: it needs no
// position, and nothing is before it.
func (l *recoveryLog) queue(t Target, p *packet.Packet) bool {
	if !l.journaled() || p.HasID || t.some && len(t.rooms) == 0 {
		return false
	}
	n := t.bus() // a socket that is here may be elsewhere when its event comes back
	stored := n != nil && !t.volatile
	l.mu.Lock()
	if !stored && len(l.line) == 0 {
		l.mu.Unlock()
		return false
	}
	x := l.newOnItsWay(t, p)
	switch {
	case stored:
		l.append(x)
	case n != nil: // other nodes get it in order with the rest
		m := x.message()
		n.Publish(&m)
	}
	l.advance()
	l.mu.Unlock()
	return true
}

// queueOne is queue for one socket.
func (l *recoveryLog) queueOne(s *Socket, p *packet.Packet) bool {
	if !l.journaled() || p.HasID || p.Type == packet.Ack {
		return false
	}
	l.mu.Lock()
	if s.recovery == nil && len(l.line) == 0 {
		l.mu.Unlock()
		return false
	}
	l.appendOne(s, p)
	l.advance()
	l.mu.Unlock()
	return true
}

// appendOne puts an event for one socket into the line. l.mu is held.
func (l *recoveryLog) appendOne(s *Socket, p *packet.Packet) {
	x := l.newOnItsWay(Target{ns: l.ns, only: s}, p)
	if s.recovery != nil {
		l.append(x)
	}
}

// newOnItsWay puts an event into the line, at first as one without a position. l.mu is held.
func (l *recoveryLog) newOnItsWay(t Target, p *packet.Packet) *onItsWay {
	if len(l.line) >= maxOnTheWay {
		l.giveUp()
	}
	t.rooms, t.except = slices.Clone(t.rooms), slices.Clone(t.except)
	x := &onItsWay{lost: true, target: t, packet: *p}
	x.packet.Data = bytes.Clone(p.Data)
	l.line = append(l.line, x)
	return x
}

// message is the event as other nodes, and the journal, get it.
func (x *onItsWay) message() cluster.Message {
	t := x.target
	m := cluster.Message{Kind: cluster.Emit, Namespace: t.ns.busName(), Rooms: t.rooms, Except: t.except, Volatile: t.volatile,
		Data: x.packet.Data, Attachments: x.packet.Attachments, Ticket: x.ticket}
	if t.only != nil {
		m.Rooms = []string{t.only.id}
	}
	if t.skip != nil {
		m.Except = append(t.except[:len(t.except):len(t.except)], t.skip.id)
	}
	if t.placed() {
		t.mark(&m)
	}
	return m
}

// append publishes an event of the line. l.mu is held, so the journal has the order of the line.
func (l *recoveryLog) append(x *onItsWay) {
	x.ticket, x.lost = l.r.tickets.Add(1), false
	l.r.mend()
	m := x.message()
	if !l.r.srv.node.Publish(&m) {
		x.lost = true
		l.r.tear()
	}
}

// advance sends the events at the head of the line that have no position to wait for. l.mu is
// held.
func (l *recoveryLog) advance() {
	for len(l.line) > 0 && l.line[0].lost {
		l.release(l.next(), 0)
	}
}

// next takes the first event out of the line. l.mu is held.
func (l *recoveryLog) next() *onItsWay {
	x := l.line[0]
	l.line[0] = nil
	if l.line = l.line[1:]; len(l.line) == 0 {
		l.line = nil
	}
	return x
}

// giveUp has nothing in the line wait for its position. l.mu is held.
func (l *recoveryLog) giveUp() {
	torn := false
	for _, x := range l.line {
		torn = torn || !x.lost
		x.lost = true
	}
	if torn {
		l.r.tear()
	}
}

// nudge sends what waits for nothing more.
func (l *recoveryLog) nudge(giveUp bool) {
	if !l.journaled() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if giveUp {
		l.giveUp()
	}
	l.advance()
}

// echoed sends an event of this node that has come back with its position. Those before it that
// have not come back never will: they were dropped before they were read.
func (l *recoveryLog) echoed(ticket, position uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	torn := false
	for len(l.line) > 0 && (l.line[0].lost || l.line[0].ticket < ticket) {
		x := l.next()
		torn = torn || !x.lost
		l.release(x, 0)
	}
	if len(l.line) > 0 && l.line[0].ticket == ticket {
		l.release(l.next(), position)
		l.advance()
	} else { // clients have had it without its position: the Gap behind it has them refused; or it is of an earlier namespace, see fetch
		l.reach(position)
		l.forget()
	}
	if torn {
		l.r.tear()
	}
}

// since is the position behind which memory has everything, never when that is not known. l.mu is
// held.
func (l *recoveryLog) since() uint64 { return max(l.lost, l.known) }

// forget drops what is kept in memory: it is not complete. The journal is. l.mu is held.
func (l *recoveryLog) forget() {
	l.lost = max(l.lost, l.position)
	l.empty()
}

// release sends an event to its sockets. position 0: it has none. l.mu is held.
func (l *recoveryLog) release(x *onItsWay, position uint64) {
	if l.ns.many == nil {
		l.take(x, position)
		return
	}
	l.reach(position)
	for _, n := range l.ns.members() {
		if of := n.log(); of != nil {
			of.mu.Lock()
			of.take(x, position)
			of.mu.Unlock()
		}
	}
}

// take is release for one namespace. l.mu is held.
func (l *recoveryLog) take(x *onItsWay, position uint64) {
	placed := l.reach(position)
	p := x.packet
	p.Namespace = l.ns.path
	for s, meant := range x.pinned {
		if s.recovery != nil && placed {
			s.recovery.pin(position, meant)
		}
	}
	if s := l.now(x.target.only); s != nil {
		if placed {
			l.keep(keptEvent{socket: s.id}, p)
		}
		if _, had := x.pinned[s]; !had {
			l.sendAlone(s, p, x, position)
		}
		return
	}
	t := x.target
	t.ns, t.skip = l.ns, l.now(t.skip)
	if placed {
		l.keep(keptTarget(t), p)
	}
	b := l.r.srv.newBroadcast(p)
	b.offset, b.position, b.unplaced = l.offset(l.position), position, x.unplaced(position)
	x.sendTo(b, t)
	b.done()
}

// now is the socket that has the session of one that may have ended while its event was on its way:
// the client is back on another connection.
func (l *recoveryLog) now(s *Socket) *Socket {
	if s != nil {
		if live := l.ns.rooms.byID(s.id); live != nil {
			return live
		}
	}
	return s
}

// sendTo sends to the sockets that the event is for.
func (x *onItsWay) sendTo(b *broadcast, t Target) {
	if len(x.pinned) == 0 {
		b.sendTo(t)
		return
	}
	b.pinned = x.pinned
	b.sendTo(t)
	b.pinned = nil
	for s, meant := range x.pinned {
		if meant && s.ns == t.ns {
			b.send(s, t.volatile)
		}
	}
}

// unplaced reports whether the event should have a position, and has none.
func (x *onItsWay) unplaced(position uint64) bool { return position == 0 && x.ticket > 0 }

// sendAlone sends an event to one socket. l.mu is held.
func (l *recoveryLog) sendAlone(s *Socket, p packet.Packet, x *onItsWay, position uint64) {
	volatile := x.target.volatile
	if rec := s.recovery; rec != nil {
		if position > 0 && position <= rec.upTo || !rec.deliver(stamp{}, volatile) {
			return
		}
		if x.unplaced(position) {
			rec.unplaced()
		}
		p.Data = withOffset(p.Data, l.offset(l.position))
	}
	_ = s.sendMessage(s.client.vs.Dialect().Encode(&p, true), volatile)
}
