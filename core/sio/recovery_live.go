package sio

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// Recovery.StoreLive: the sessions of connected clients are stored, too, and found when the
// process that has written them does not answer any more.

// liveStore writes sessions of connected clients, in a goroutine of its own.
type liveStore struct {
	wake  chan struct{}
	over  chan struct{} // closed by close
	done  chan struct{} // closed when the goroutine has ended
	once  sync.Once
	dirty map[*recoverable]bool // with true the values have to be encoded; recovery.mu guards it
}

// startLive begins to store the sessions of connected clients, if the option says so.
func (r *recovery) startLive() {
	if r.journal == nil || !r.opts.StoreLive {
		return
	}
	r.live = &liveStore{wake: make(chan struct{}, 1), over: make(chan struct{}), done: make(chan struct{}), dirty: make(map[*recoverable]bool)}
	go r.storeLive()
}

// close ends the goroutine, and returns what is closed when it has ended.
func (l *liveStore) close() <-chan struct{} {
	if l == nil {
		done := make(chan struct{})
		close(done)
		return done
	}
	l.once.Do(func() { close(l.over) })
	return l.done
}

// changed notes that a session of a connected client is not stored as it is. It may be called with
// the lock of the log held.
func (r *recovery) changed(rec *recoverable) { r.store(rec, true) }

// store has a session stored that is not as it is stored; encode: after its values were encoded.
func (r *recovery) store(rec *recoverable, encode bool) {
	if r.live == nil {
		return
	}
	r.mu.Lock()
	r.live.dirty[rec] = r.live.dirty[rec] || encode
	r.mu.Unlock()
	select {
	case r.live.wake <- struct{}{}:
	default:
	}
}

// storeLive stores what has changed, and all of it now and then: it is not kept for longer than the
// client may be away.
func (r *recovery) storeLive() {
	l := r.live
	defer close(l.done)
	again := time.NewTicker(r.srv.opts.PingInterval)
	defer again.Stop()
	for {
		select {
		case <-l.over:
			return
		case <-l.wake:
		case <-again.C:
			r.mu.Lock()
			for _, rec := range r.byPID {
				l.dirty[rec] = true
			}
			r.mu.Unlock()
		}
		r.mu.Lock()
		dirty := l.dirty
		l.dirty = make(map[*recoverable]bool)
		r.mu.Unlock()
		for rec, encode := range dirty {
			select {
			case <-l.over:
				return
			default:
				r.storeOne(rec, encode)
			}
		}
	}
}

// storeOne stores the session of a client that is connected, with its rooms and with its values as
// they were encoded last. encode has them encoded, in the turn of its socket, and when they have
// changed it is stored once more. So a handler that takes long does not keep its rooms from being
// stored.
func (r *recovery) storeOne(rec *recoverable, encode bool) {
	rec.storing.Lock()
	defer rec.storing.Unlock()
	r.mu.Lock()
	s := rec.socket
	r.mu.Unlock()
	if s == nil || r.torn() {
		return // it is stored as that of one who is away, or comes again
	}
	values := len(s.values.restorable()) > 0
	rec.log.mu.Lock()
	connected := !rec.restoring && s.state.Load() == stateConnected
	if connected && !values {
		rec.frozen = frozen{known: true}
	}
	known := rec.frozen.known
	rec.log.mu.Unlock()
	if !connected {
		return
	}
	if values && encode {
		r.askValues(rec, s)
	}
	if !known {
		return // it is stored when its values were encoded
	}
	keep := r.opts.MaxDisconnection + 2*r.srv.opts.PingInterval
	st, err := rec.liveSession(s, keep)
	if err != nil {
		return // the same error is told when the client is away
	}
	_ = r.keep(rec, st, keep) // else the next time
}

// askValues has the values of a socket encoded in its turn, if they are not about to be.
func (r *recovery) askValues(rec *recoverable, s *Socket) {
	r.mu.Lock()
	asked := rec.asks == s
	rec.asks = s
	r.mu.Unlock()
	if !asked {
		s.client.inbox.Push(s.ns.path, task{end: s, freeze: true})
	}
}

// freeze does what askValues asks for.
func (c *client) freeze(s *Socket) {
	rec := s.recovery
	r := rec.log.r
	r.mu.Lock()
	if rec.asks == s {
		rec.asks = nil
	}
	r.mu.Unlock()
	if s.over { // they were encoded behind its OnDisconnect
		return
	}
	if rec.encode(s) {
		r.store(rec, false)
	}
}

// encode has the values of a socket encoded, and reports whether they are others than before. It is
// called in a task of the socket's namespace.
func (rec *recoverable) encode(s *Socket) (changed bool) {
	f := s.freeze(s.values.restorable())
	rec.log.mu.Lock()
	defer rec.log.mu.Unlock()
	changed = !rec.frozen.same(f)
	rec.frozen = f
	return changed
}

// welcoming is called before a client is told that it is connected, in the turn of its socket: from
// then on its session can be stored, with what OnConnect has set, however long OnConnected and the
// handlers take.
func (rec *recoverable) welcoming(s *Socket) {
	if rec != nil && rec.log.r.live != nil {
		rec.encode(s)
	}
}

// liveSession is the session of a connected client. What the client has had is not known.
func (rec *recoverable) liveSession(s *Socket, keep time.Duration) (*cluster.Session, error) {
	s.mu.Lock()
	var ends time.Time
	if s.expiry != nil {
		ends = s.expiry.at
	}
	s.mu.Unlock()
	return rec.sessionOf(ends, keep, func(saved *savedSession) {
		saved.Last, saved.Since, saved.Live = never, 0, rec.log.r.srv.node.Name()
	})
}

// unstore forgets a session that is stored, and has ended for good.
func (r *recovery) unstore(rec *recoverable) {
	if r.live == nil {
		return
	}
	r.saves.Add()
	go func() {
		defer r.saves.Done()
		rec.storing.Lock()
		defer rec.storing.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), saveTime)
		defer cancel()
		st, _ := r.journal.TakeSession(ctx, rec.pid) // else its time ends
		if st != nil && st.Moves > rec.moves {       // the client was at another node since
			r.putBack(st)
		}
	}()
}

// settle is a session that the journal had, when that is the last word. When the process that has
// stored it while its client was connected is there, that one has the last word.
func (r *recovery) settle(ctx context.Context, s *Socket, st *cluster.Session) (*cluster.Session, error) {
	var saved savedSession
	if st == nil || json.Unmarshal(st.Extra, &saved) != nil || saved.Live == "" {
		return st, nil
	}
	if saved.Live == r.srv.node.Name() { // it has ended here for good
		return nil, nil
	}
	has, answered := r.askOne(ctx, s, st.PID, saved.Live)
	switch {
	case !answered:
		return st, nil
	case !has && r.isTheirs(s, &saved):
		return nil, nil
	case !has:
		return st, nil // it is refused as that of somebody else
	}
	return r.await(ctx, s, st.PID)
}

// isTheirs reports whether a session is for the client of a socket.
func (r *recovery) isTheirs(s *Socket, saved *savedSession) bool {
	return saved.Namespace == s.ns.path && equal(saved.Bound, hashed(s.client.boundTo()))
}
