package sio

import (
	"maps"
	"slices"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/packet"
)

// What sockets, the bus and the other nodes have to do with the lines of events of
// recovery_journal.go.

// meant reports whether an event of the line is for a socket. s.roomsMu is held, and the lock of
// the log.
func (x *onItsWay) meant(s *Socket) bool {
	if v, ok := x.pinned[s]; ok {
		return v
	}
	t := &x.target
	in := func(name string) bool { return name == s.id || s.membership(name) != nil }
	switch {
	case t.only != nil:
		return t.only.id == s.id // it may have the session of that one, see now
	case t.skip != nil && t.skip.id == s.id || slices.ContainsFunc(t.except, in):
		return false
	case t.some:
		return slices.ContainsFunc(t.rooms, in)
	}
	return s.ns.rooms.byID(s.id) == s
}

// pin settles whether the event is for a socket, whatever becomes of the socket's rooms.
func (x *onItsWay) pin(s *Socket, meant bool) {
	if x.pinned == nil {
		x.pinned = make(map[*Socket]bool)
	}
	x.pinned[s] = meant
}

// lines calls f for each event on its way that may be for sockets of the namespace: its own, and
// those for its pattern. f is called with the lock of the log held.
func (n *Namespace) lines(f func(x *onItsWay)) {
	for _, of := range [...]*Namespace{n.parent, n} {
		if of == nil {
			continue
		}
		if l := of.recovery.Load(); l.journaled() {
			l.mu.Lock()
			for _, x := range l.line {
				f(x)
			}
			l.mu.Unlock()
		}
	}
}

// moves is called before a socket enters or leaves a room: what was emitted before is for those who
// were in the room then. s.roomsMu is held.
func (s *Socket) moves(room string) {
	if s.recovered && s.state.Load() == stateConnecting { // it has what is on its way from before
		return
	}
	s.ns.lines(func(x *onItsWay) {
		if slices.Contains(x.target.rooms, room) || slices.Contains(x.target.except, room) {
			x.pin(s, x.meant(s))
		}
	})
}

// arrives is called before a socket becomes one of its namespace: it does not get what was
// emitted to all before.
func (s *Socket) arrives() {
	s.ns.lines(func(x *onItsWay) {
		if !x.target.some && x.target.only == nil {
			x.pin(s, false)
		}
	})
}

// parts is called before a socket is taken out of its namespace: it gets what is on its way to it
// now, or never.
func (s *Socket) parts() {
	if l := s.ns.recovery.Load(); !l.journaled() || s.state.Load() != stateConnected {
		return
	}
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	s.ns.lines(func(x *onItsWay) {
		if !x.meant(s) {
			return
		}
		x.pin(s, false)
		p := x.packet
		p.Namespace = s.ns.path
		if s.recovery != nil {
			p.Data = withOffset(p.Data, s.recovery.log.offset(0))
		}
		_ = s.sendMessage(s.client.vs.Dialect().Encode(&p, true), x.target.volatile)
	})
}

// pin notes that an event was, or was not, for the socket, though its rooms say otherwise.
// log.mu is held.
func (rec *recoverable) pin(position uint64, meant bool) {
	if rec.exact == nil {
		rec.exact = make(map[uint64]bool)
	}
	if len(rec.exact) >= maxLeftRooms {
		oldest := slices.Min(slices.Collect(maps.Keys(rec.exact)))
		rec.forgotten = max(rec.forgotten, oldest)
		delete(rec.exact, oldest)
	}
	rec.exact[position] = meant
}

// torn reports whether events are not in the journal that should be. When that could not be said in
// the journal before it is tried again: a bus that was full takes it by now.
func (r *recovery) torn() bool {
	if r.breaks.count.Load() == r.breaks.mended.Load() {
		return false
	}
	r.mend()
	return true
}

// tear notes that events are not in the journal, or may not be.
func (r *recovery) tear() {
	r.breaks.count.Add(1)
	r.mend()
}

// mend says so in the journal, if that can be reached: behind it nobody is recovered with what
// is before it. It may be called with any lock held.
func (r *recovery) mend() {
	count := r.breaks.count.Load()
	if said := r.breaks.said.Load(); said == count || !r.srv.node.Up() || !r.breaks.said.CompareAndSwap(said, count) {
		return
	}
	if !r.srv.node.Publish(&cluster.Message{Kind: cluster.Gap, Ticket: count}) {
		r.breaks.said.Store(0)
	}
}

// mend notes that the Gap of a break has come back. It mends those before, whose own may come later.
func (b *breaks) mend(count uint64) {
	if count > b.count.Load() { // not one of this node's
		return
	}
	for {
		mended := b.mended.Load()
		if mended >= count || b.mended.CompareAndSwap(mended, count) {
			return
		}
	}
}

// gapped is called for a cluster.Gap: what the journal has up to there is not complete.
func (r *recovery) gapped(m *cluster.Message) {
	if m.Node == r.srv.node.Name() && m.Ticket > 0 {
		r.breaks.mend(m.Ticket)
	}
	for _, l := range r.logs() {
		l.mu.Lock()
		if m.Node != r.srv.node.Name() || m.Position == 0 {
			l.gone(m.Position)
		} else { // the clients of this node have had what is missing
			l.reach(m.Position)
			l.forget()
		}
		l.mu.Unlock()
	}
}

// Unpublished implements node.Appender: the events are sent to the clients of this node all the
// same. They may be in the journal nevertheless.
func (r *recovery) Unpublished(ms []*cluster.Message) {
	lost := make(map[*recoveryLog]map[uint64]bool)
	torn := false
	for _, m := range ms {
		if m.Kind == cluster.Gap {
			r.breaks.said.Store(0)
		}
		if m.Kind != cluster.Emit || m.Ticket == 0 {
			continue
		}
		torn = true
		if n := r.srv.onBus(m.Namespace); n != nil {
			if l := n.recovery.Load(); l != nil {
				if lost[l] == nil {
					lost[l] = make(map[uint64]bool)
				}
				lost[l][m.Ticket] = true
			}
		}
	}
	if torn {
		r.tear()
	}
	for l, tickets := range lost {
		l.mu.Lock()
		for _, x := range l.line {
			x.lost = x.lost || tickets[x.ticket]
		}
		l.advance()
		l.mu.Unlock()
	}
}

// Away implements node.Appender: nothing waits for a journal that cannot be reached.
func (r *recovery) Away() {
	for _, l := range r.logs() {
		l.nudge(true)
	}
}

// Back implements node.Appender.
func (r *recovery) Back() {
	r.mend()
	go r.saveAway()
}

// Missed implements node.Appender: what is in memory is not all that the journal has had, and what
// is on its way may have been dropped before it was read.
func (r *recovery) Missed() {
	for _, l := range r.logs() {
		l.mu.Lock()
		l.gone(0)
		l.giveUp()
		l.advance()
		l.mu.Unlock()
	}
}

// own is Deliver for what this node itself has said. It reports true for what it has not done
// yet.
func (h clusterHost) own(m *cluster.Message) bool {
	if m.Kind != cluster.Emit {
		return false
	}
	n := h.srv.onBus(m.Namespace)
	if n == nil {
		return false
	}
	l := n.log()
	switch {
	case !l.journaled():
		return false
	case m.Ticket == 0: // emitted to a namespace that was not here, see emitNamed
		return !m.Volatile
	}
	l.echoed(m.Ticket, m.Position)
	return false
}

// nowhere is called for an event of another node whose place no position can say.
func (l *recoveryLog) nowhere() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	l.lost = max(l.lost, l.position+1) // it is behind the position
}

// orLive is the namespace itself, or the one that has its name now, when its events go by a
// journal.
func (n *Namespace) orLive() *Namespace {
	if n.srv.recovery == nil || !n.named {
		return n
	}
	for _, live := range n.members() {
		if live.log().journaled() {
			return live
		}
	}
	return n
}

// emitSeveral is Target.emit for all namespaces of a pattern whose events go by a journal: they are
// one event there, in the line of the pattern.
func (t Target) emitSeveral(p packet.Packet, event string, args []any) error {
	if p.Type == packet.Event && ReservedEvent(event) {
		return errReserved(event)
	}
	if fns := t.ns.handlers().outgoing; len(fns) > 0 {
		t.ns.srv.show(fns, Outgoing{Event: event, Args: slices.Clone(args), Rooms: t.rooms})
	}
	e := newEncoder(t.ns.srv.opts.JSON)
	defer e.free()
	if err := t.ns.srv.encode(e, event, true, args); err != nil {
		return err
	}
	p.Namespace, p.Data, p.Attachments = t.ns.path, e.buf, e.parts
	if p.HasID || t.ns.log().queue(t, &p) {
		return nil
	}
	_ = t.split(func(of Target) error {
		q := p
		q.Namespace = of.ns.path
		b := t.ns.srv.newBroadcast(q)
		of.hand(b, nil, nil, nil)
		b.done()
		return nil
	})
	t.publish(t.node(), e)
	return nil
}

// logs are those of all namespaces that there are.
func (r *recovery) logs() (logs []*recoveryLog) {
	r.srv.mu.RLock()
	defer r.srv.mu.RUnlock()
	for _, n := range r.srv.namespaces {
		if l := n.recovery.Load(); l != nil {
			logs = append(logs, l)
		}
	}
	for _, n := range r.srv.patterns {
		if l := n.recovery.Load(); l != nil {
			logs = append(logs, l)
		}
	}
	return logs
}
