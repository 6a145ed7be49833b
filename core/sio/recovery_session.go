package sio

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/wheel"
)

// recovery has the sessions of all sockets of a server that can be recovered.
type recovery struct {
	srv   *Server
	opts  *Recovery
	wheel *wheel.Wheel
	kept  time.Duration // how long events are kept
	bytes atomic.Int64  // of the events in all logs, and of those that sessions have brought
	first []byte        // FirstEvent
	over  atomic.Bool   // Shutdown has been called: nobody comes back

	handover
	journaling

	mu    sync.Mutex // a leaf
	byPID map[string]*recoverable
	away  list.List   // of the sessions without a socket, by the time at which they end
	timer wheel.Timer // of the first
}

// recoverable is a session: one socket, and then another with the same id.
type recoverable struct {
	pid   string // the client's secret
	id    string // of the sockets
	bound string // to whom it belongs; see Conn.BindRecovery
	log   *recoveryLog

	// Guarded by recovery.mu.
	socket *Socket       // nil while the client is away
	ended  chan struct{} // closed when socket is nil
	place  *list.Element // in away
	saved  chan struct{} // closed when it was saved, while it is being saved
	asks   *Socket       // the values of this one are about to be encoded, see storeLive
	until  time.Duration // of the wheel: when it ends
	turns  int           // how many sockets have taken it over
	shut   bool          // it is away because the server shuts down

	// Written while the client is away, or by the one who ends the socket.
	why    Reason // of the socket's end
	spent  bool   // it cannot be recovered any more
	values map[any]any
	ends   time.Time // of Socket.ExpireAt; zero: never
	stored bool      // it came from the journal: it holds nothing here
	data   []byte    // what Node keeps with the socket

	moves  uint64      // with a journal: how often a node has taken it from there; it stays what it is
	copied atomic.Bool // the journal may have it, or another node may have taken it from there

	storing sync.Mutex // held while it is stored, or what is stored is removed

	// Guarded by log.mu.
	frozen    frozen
	from      uint64 // what was before it is not for it
	all       uint64 // from here on it has what is emitted to all
	last      uint64 // the last event that was for it while it had a socket
	since     uint64 // the position at which it was left without one
	asked     uint64 // the offset of the client that comes back
	had       int    // how many events of moved that client has had
	lacks     int    // and how many it has not
	moved     *moved // what the session has brought from another node, nil for nothing
	restoring bool   // the client comes back: everything goes by the log
	joined    map[string]stay
	before    map[string]stay // of the earlier socket, and not joined again yet
	left      []leftRoom
	forgotten uint64 // left does not have all that was left up to here
	upTo      uint64 // with a journal: it has had, or will be sent, everything up to here
	fetched   []keptEvent
	sound     uint64          // with a journal: up to here it lacks nothing of what never came
	broke     uint64          // up to here it may lack something that was for it, see recoveryLog.broke
	exact     map[uint64]bool // of events that were on their way when it changed rooms
}

// stay is a socket in a room, from behind a position. Of events with a Target.Position it has had
// those up to placed.
type stay struct{ from, placed uint64 }

type leftRoom struct {
	name string
	stay
	to uint64
}

const never = ^uint64(0)

func newRecovery(s *Server) *recovery {
	o := s.opts.Recovery
	r := &recovery{srv: s, opts: o, wheel: s.hub.Wheel(), byPID: make(map[string]*recoverable),
		handover: handover{times: handoverTimes{takeoverTime, handoverTime, maxHandoverWait}},
		first:    append(jsontext.AppendString([]byte{'['}, o.FirstEvent), ']'),
		kept:     o.MaxDisconnection + s.opts.PingInterval + s.opts.PingTimeout + handoverTime}
	if r.openJournal(); o.StoreLive && r.journal == nil {
		panic("sio: Options.Recovery.StoreLive: Options.Cluster is no log of the cluster, see cluster.Journal")
	}
	return r
}

// fresh begins a session.
func (r *recovery) fresh(s *Socket) *recoverable {
	rec := &recoverable{pid: r.srv.newID(), id: s.id, bound: s.client.boundTo(), log: r.log(s.ns),
		socket: s, ended: make(chan struct{}), all: never}
	rec.log.mu.Lock()
	rec.log.catchUp()
	rec.log.whole()
	rec.from, rec.sound = rec.log.position, rec.log.broke
	rec.last = rec.from
	rec.log.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byPID[rec.pid] = rec
	return rec
}

// claim gives a socket the session that its client names. An earlier socket that still lives is
// ended first. Nil: there is none, or not all of it is there; here: the server has it all the same,
// or had it a moment ago.
func (r *recovery) claim(s *Socket, pid, offset string) (rec *recoverable, here bool) {
	if r.journal != nil {
		return r.claimKept(s, pid, offset), true
	}
	bound := s.client.boundTo()
	ctx, cancel := context.WithTimeout(s.client.connection().Context(), r.times.takeover)
	defer cancel()
	for {
		r.mu.Lock()
		rec := r.byPID[pid]
		if rec == nil {
			r.mu.Unlock()
			return nil, here
		}
		if here = true; rec.log.ns != s.ns || !sameKey(rec.bound, bound) {
			r.mu.Unlock()
			return nil, true
		}
		if rec.socket == nil {
			r.away.Remove(rec.place)
			rec.place, rec.socket, rec.ended = nil, s, make(chan struct{})
			rec.turns++
			r.departed(rec)
			r.mu.Unlock()
			if !rec.complete(offset) || rec.expired() {
				r.end(rec)
				rec.release()
				return nil, true
			}
			return rec, true
		}
		if !r.takeover(ctx, rec) {
			return nil, true
		}
	}
}

// end forgets a session that was claimed and is not restored.
func (r *recovery) end(rec *recoverable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byPID, rec.pid)
	rec.socket = nil // it goes on without the session, which is not stored any more
	close(rec.ended) // another connection may wait for it
}

// leave takes a session from a socket that has ended. The session stays for a while, if it may:
// then it keeps the socket's part in the namespace, and leave reports true.
func (r *recovery) leave(s *Socket, rec *recoverable) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(rec.ended)
	rec.socket = nil
	if !rec.stays() || !s.recovered && s.refused.Load() { // the client may not know of it
		delete(r.byPID, rec.pid)
		r.unstore(rec)
		return false
	}
	now := r.wheel.Now()
	if s.recovered && rec.until > 0 && s.refused.Load() { // it never had the client
		rec.place = r.insert(rec)
	} else {
		rec.until = now + r.opts.MaxDisconnection
		rec.place = r.away.PushBack(rec)
	}
	if rec.shut = rec.why == ServerShutdown; rec.shut {
		r.leaving++
		r.last = now
	}
	r.startSave(rec)
	for r.away.Len() > r.opts.MaxSessions {
		first := r.away.Front().Value.(*recoverable)
		r.forget(first)
		go first.release() // its rooms have locks, and the caller holds some
	}
	r.arm()
	return true
}

// insert puts a session that has had its place before to its place again. r.mu is held.
func (r *recovery) insert(rec *recoverable) *list.Element {
	for e := r.away.Back(); e != nil; e = e.Prev() {
		if e.Value.(*recoverable).until <= rec.until {
			return r.away.InsertAfter(rec, e)
		}
	}
	return r.away.PushFront(rec)
}

// arm sets the timer for the session that ends first. r.mu is held.
func (r *recovery) arm() {
	if e := r.away.Front(); e != nil && !r.over.Load() {
		r.wheel.SetAt(&r.timer, r, e.Value.(*recoverable).until)
	} else {
		r.wheel.Stop(&r.timer)
	}
}

// close ends all of it, at Shutdown.
func (r *recovery) close() {
	r.over.Store(true)
	r.mu.Lock()
	r.arm()
	for e := r.away.Front(); e != nil; e = r.away.Front() {
		rec := e.Value.(*recoverable)
		r.forget(rec)
		r.mu.Unlock()
		rec.release()
		r.mu.Lock()
	}
	r.mu.Unlock()
	for _, l := range r.logs() {
		l.close()
	}
}

// drop ends a session whose client is away.
func (r *recovery) drop(rec *recoverable) {
	r.mu.Lock()
	if rec.place == nil {
		r.mu.Unlock()
		return
	}
	r.forget(rec)
	r.arm()
	r.mu.Unlock()
	rec.release()
}

// forget takes a session from those whose clients are away. r.mu is held; release is called
// without it.
func (r *recovery) forget(rec *recoverable) {
	r.takeOut(rec)
	r.departed(rec)
}

// takeOut is forget for a session that Shutdown still waits for. r.mu is held.
func (r *recovery) takeOut(rec *recoverable) {
	r.away.Remove(rec.place)
	rec.place = nil
	delete(r.byPID, rec.pid)
}

// Expired implements wheel.Owner: the time of sessions is over.
func (r *recovery) Expired(*wheel.Timer) {
	go func() { // their rooms have locks
		for {
			r.mu.Lock()
			e := r.away.Front()
			if e == nil || e.Value.(*recoverable).until > r.wheel.Now() {
				r.arm()
				r.mu.Unlock()
				return
			}
			r.mu.Unlock()
			r.drop(e.Value.(*recoverable))
		}
	}()
}

// stays reports whether the session may be recovered, now that its socket has ended.
func (rec *recoverable) stays() bool {
	switch rec.why {
	case TransportClose, TransportError, PingTimeout, SlowClient, ServerTransportClose:
		return !rec.spent
	case ServerShutdown: // for other nodes, as long as this one is there
		return !rec.spent && rec.log.r.srv.node != nil && !rec.log.r.over.Load()
	}
	return false
}

// release gives up what a session holds while its client is away.
func (rec *recoverable) release() {
	rec.releaseRooms()
	rec.log.ns.exit()
}

// enter has a socket take part in what is emitted to all, and returns what a client that comes
// back has missed. It reports false when not all of that is there any more. log.mu is held.
func (rec *recoverable) enter(s *Socket) (missed []keptEvent, ok bool) {
	defer rec.log.r.changed(rec)
	if !s.recovered {
		rec.all = rec.log.position
		return nil, true
	}
	for name, st := range rec.before { // what it is not in any more, it has not been in since
		rec.leftAt(name, st, rec.since)
	}
	rec.before = nil
	if rec.log.journaled() {
		return rec.enterKept()
	}
	if !rec.log.whole() || !rec.has(rec.asked) || rec.moved.count(rec.had) != rec.lacks {
		rec.spent = true
		return nil, false
	}
	rec.restoring = false
	return rec.missed(rec.asked), true
}

// begin sends what a client gets first, behind the answer to its CONNECT. log.mu and s.mu are held.
func (rec *recoverable) begin(s *Socket, missed []keptEvent) {
	l, c := rec.log, s.client
	if !s.recovered && !l.r.opts.NoFirstEvent {
		p := packet.Packet{Type: packet.Event, Namespace: s.ns.path, Data: withOffset(l.r.first, l.offset(rec.from))}
		c.send(&p)
	}
	for _, e := range missed {
		p, offset := e.packet, e.offset
		if offset == "" {
			offset = l.offset(e.position)
		}
		p.Data = withOffset(p.Data, offset)
		c.send(&p)
		rec.last = e.position
	}
}
