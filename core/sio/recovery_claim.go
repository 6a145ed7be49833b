package sio

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/packet"
)

// How a client that comes back gets its session from the journal of a cluster, and what it has
// missed.

const (
	// restoreTime is how long the journal may take to be read for a client that comes back.
	restoreTime = 5 * time.Second
	// claimTick is how often a session is looked for that another node is about to save.
	claimTick = 25 * time.Millisecond
	// pidLength is how long the secret of a session is, also one of Node's.
	pidLength = 20
)

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// validPID reports whether a text is the secret of a session, by its form.
func validPID(pid string) bool {
	for _, c := range []byte(pid) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(pid) == pidLength
}

// lose ends a socket whose client is on another connection. What the client had sent before is
// still handled.
func (s *Socket) lose() {
	if _, due := s.close(TransportClose, false, true); due {
		s.client.inbox.Push(s.ns.path, task{end: s, reason: TransportClose})
	}
	s.client.vs.Lose()
}

// claimKept is claim with a journal: a session that is not here may be there. The client may have
// gone when the session is there: then the socket ends as any other, and the session is away again.
func (r *recovery) claimKept(s *Socket, pid, offset string) *recoverable {
	asked, ok := r.log(s.ns).parse(offset)
	if !ok || !validPID(pid) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), restoreTime)
	defer cancel()
	select {
	case r.claims <- struct{}{}:
		defer func() { <-r.claims }()
	case <-s.client.connection().Context().Done():
		return nil
	case <-ctx.Done():
		return nil
	}
	defer r.claimed(pid)
	again := r.claimsNow(pid)
	rec, here := r.claimHere(ctx, s, pid)
	if !here {
		rec = r.claimThere(ctx, s, pid, again)
	}
	if rec == nil {
		return nil
	}
	if !rec.ends.IsZero() && !time.Now().Before(rec.ends) || !rec.covers(ctx, asked) {
		r.end(rec)
		if !rec.stored {
			rec.release()
		}
		return nil
	}
	return rec
}

// claimsNow notes that a session is being claimed, and reports whether it is by another client,
// too.
func (r *recovery) claimsNow(pid string) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claiming[pid]++
	return r.claiming[pid] > 1
}

func (r *recovery) claimed(pid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.claiming[pid]--; r.claiming[pid] == 0 {
		delete(r.claiming, pid)
	}
}

// claimHere takes a session that this node has, or the newer one of another node, see latest. A
// socket that still has it is ended first. here: what it returns is the last word.
func (r *recovery) claimHere(ctx context.Context, s *Socket, pid string) (rec *recoverable, here bool) {
	ending, cancel := context.WithTimeout(ctx, takeoverTime)
	defer cancel()
	bound := s.client.boundTo()
	for {
		r.mu.Lock()
		rec := r.byPID[pid]
		if rec == nil || rec.log.ns != s.ns || !equal(rec.bound, bound) {
			r.mu.Unlock()
			return nil, false
		}
		old, wait, patience := rec.socket, rec.ended, ending
		switch {
		case old == nil && rec.saved == nil && rec.place != nil:
			r.away.Remove(rec.place)
			rec.place, rec.socket, rec.ended = nil, s, make(chan struct{})
			r.mu.Unlock()
			return r.latest(ctx, s, rec), true
		case old == nil: // it is in the journal then, or stays here
			wait, patience = rec.saved, ctx
		}
		r.mu.Unlock()
		if old != nil {
			old.lose()
		}
		select {
		case <-wait:
		case <-patience.Done():
			return nil, false
		}
	}
}

// claimThere takes a session that the journal has, now or in a moment. again: another client claims
// it here.
func (r *recovery) claimThere(ctx context.Context, s *Socket, pid string, again bool) *recoverable {
	st, err := r.journal.TakeSession(ctx, pid)
	if st == nil && err == nil {
		found := r.askAll(ctx, s, pid) || again
		if st, err = r.journal.TakeSession(ctx, pid); st == nil && err == nil && found {
			st, err = r.await(ctx, s, pid)
		}
	}
	return r.taken(ctx, s, st, err)
}

// taken is a session that the journal had, as one of this node. Nil: it had none, or none that is for
// the socket.
func (r *recovery) taken(ctx context.Context, s *Socket, st *cluster.Session, err error) *recoverable {
	if err == nil {
		st, err = r.settle(ctx, s, st)
	}
	if err == nil && st == nil {
		return nil
	}
	var rec *recoverable
	if err == nil {
		rec, err = r.restored(s, st)
	}
	if err == errNotTheirs { // it stays what it was
		r.putBack(st)
		return nil
	}
	if err != nil {
		if _, ok := r.srv.notices.Allow(FailureCluster, "restore"); ok {
			r.srv.opts.Logger.Warn("siokit: a session of the cluster cannot be restored", "namespace", s.ns.path, "error", err)
		}
		return nil
	}
	rec.socket = s
	if !r.register(ctx, rec) {
		return nil
	}
	return rec
}

// register has a session that came from the journal found from now on. It reports false when the same
// secret is another one's. A session of this node that was saved a moment ago may be about to be
// forgotten still.
func (r *recovery) register(ctx context.Context, rec *recoverable) bool {
	for {
		r.mu.Lock()
		other := r.byPID[rec.pid]
		if other == nil {
			r.byPID[rec.pid] = rec
			r.mu.Unlock()
			return true
		}
		saved := other.saved
		r.mu.Unlock()
		if saved == nil {
			return false
		}
		select {
		case <-saved:
		case <-ctx.Done():
			return false
		}
	}
}

// await takes a session that a node is about to save.
func (r *recovery) await(ctx context.Context, s *Socket, pid string) (*cluster.Session, error) {
	late := time.NewTimer(takeoverTime)
	defer late.Stop()
	tick := time.NewTicker(claimTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-late.C:
			return nil, nil
		case <-s.client.connection().Context().Done():
			return nil, nil
		}
		if st, err := r.journal.TakeSession(ctx, pid); st != nil || err != nil {
			return st, err
		}
	}
}

// putBack keeps a session that was taken in vain for the rest of its time.
func (r *recovery) putBack(st *cluster.Session) {
	keep := r.opts.MaxDisconnection
	var saved savedSession
	if json.Unmarshal(st.Extra, &saved) == nil {
		keep = min(keep, time.Until(time.UnixMilli(saved.Until)))
	}
	if keep <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	_ = r.journal.SaveSession(ctx, st, keep) // else its client is new
}

var (
	errGap    = errors.New("sio: events are missing in the log of the cluster")
	errTooFar = errors.New("sio: more was missed than is kept, see Options.Recovery")
)

// covers reports whether a client with this offset can go on where it was, and reads what it has
// missed from the journal, as far as memory does not have it.
func (rec *recoverable) covers(ctx context.Context, asked uint64) bool {
	l := rec.log
	r := l.r
	if r.torn() {
		return false
	}
	l.mu.Lock()
	l.catchUp()
	if asked < rec.from || asked < rec.forgotten {
		l.mu.Unlock()
		return false
	}
	if asked >= rec.last && asked >= rec.broke { // it has had everything, until it was away
		asked = max(asked, rec.since)
	}
	rec.asked, rec.upTo, rec.fetched = asked, asked, nil
	covered := l.since() <= asked && asked <= l.position
	l.mu.Unlock()
	if !covered {
		if err := rec.fetch(ctx, asked); err != nil {
			return false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	missed, size := rec.missed(rec.upTo), 0
	for _, list := range [...][]keptEvent{rec.fetched, missed} {
		for _, e := range list {
			size += e.cost
		}
	}
	// Some of the queue is for what comes meanwhile.
	o := &r.srv.opts
	return len(missed)+len(rec.fetched) <= o.MaxQueueMessages*3/4 && size <= o.MaxQueueBytes*3/4
}

// fetch reads from the journal what was meant for the socket behind a position. It goes on until
// memory has the rest: that is complete from the moment on at which there was a log.
func (rec *recoverable) fetch(ctx context.Context, asked uint64) error {
	l := rec.log
	r, count, size := l.r, 0, 0
	names := []string{l.ns.path}
	if l.ns.parent != nil {
		names = append(names, l.ns.parent.busName())
	}
	h := clusterHost{r.srv}
	if err := r.srv.node.Listening(ctx, l.ns.busName(), rec.id); err != nil { // the namespace may be new here
		return err
	}
	l.mu.Lock()
	first := l.known == never
	l.mu.Unlock()
	if first { // what is on its way from an earlier namespace of this name comes back to nobody: it is to be in the journal
		if err := r.srv.node.Flush(ctx); err != nil {
			return err
		}
	}
	last, err := r.journal.After(ctx, asked, names, func(m *cluster.Message) error {
		if m.Kind == cluster.Gap {
			return errGap
		}
		if m.Kind != cluster.Emit || m.ID != "" || m.Volatile {
			return nil
		}
		if m.Position == 0 {
			return errGap
		}
		switch err := h.checkEvent(m); {
		case err == errNested: // other nodes may take it
			return errGap
		case err != nil:
			return nil // live sockets have not had it either
		}
		e := keptMessage(l.ns, m)
		count++
		size += e.cost
		switch {
		case count > r.opts.MaxEvents || size > r.opts.MaxBytes:
			return errTooFar
		case rec.meant(&e):
			if rec.fetched = append(rec.fetched, e); len(rec.fetched) > r.srv.opts.MaxQueueMessages {
				return errTooFar
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	rec.upTo = max(asked, last)
	// Another client may have read further meanwhile: that takes nothing from what memory has.
	l.known = min(l.known, rec.upTo)
	return nil
}

// keptMessage is an event of the journal as the log has its events. It is the log's own.
func keptMessage(ns *Namespace, m *cluster.Message) keptEvent {
	m = m.Clone()
	t := Target{ns: ns, rooms: m.Rooms, except: m.Except, some: len(m.Rooms) > 0}.unmark(m.Node)
	e := keptTarget(t)
	e.position = m.Position
	e.packet = packet.Packet{Type: packet.Event, Namespace: ns.path, Data: m.Data, Attachments: m.Attachments}
	e.cost = e.size()
	return e
}

// enterKept is enter for a client that comes back, with a journal. log.mu is held.
func (rec *recoverable) enterKept() (missed []keptEvent, ok bool) {
	l := rec.log
	if l.since() > rec.upTo || l.r.torn() {
		rec.spent = true
		return nil, false
	}
	rec.restoring, rec.sound = false, l.broke
	for i := range rec.fetched {
		if rec.meant(&rec.fetched[i]) {
			missed = append(missed, rec.fetched[i])
		}
	}
	rec.fetched = nil
	return append(missed, rec.missed(rec.upTo)...), true
}
