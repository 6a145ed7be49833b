package sio

import (
	"context"
	"errors"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// A node that is cut off from the bus, or stands still, keeps the sessions of its clients, also of
// those that another node has recovered from the journal meanwhile. Of two such sessions the one that
// was taken from the journal more often is the newer one.

// latest is a session of this node that a client has claimed, or the one of another node that has had
// the client since. Nil: the other node has ended it, or nobody can say whether there is one.
func (r *recovery) latest(ctx context.Context, s *Socket, rec *recoverable) *recoverable {
	asking, cancel := context.WithTimeout(ctx, takeoverTime)
	defer cancel()
	st, err := r.journal.TakeSession(asking, rec.pid)
	copied := rec.copied.Load()
	if !copied && (err != nil || st == nil) { // it never was where another node could take it
		return rec
	}
	if err == nil && st == nil { // its time is over there, or another node has taken it
		if r.askAll(ctx, s, rec.pid) {
			st, err = r.await(ctx, s, rec.pid)
			if st == nil && err == nil && s.client.hasEnded() {
				return rec // who has it saves what is newer
			}
		} else {
			st, err = r.tried(asking, rec)
		}
	}
	if err == nil && st != nil && st.Moves <= rec.moves { // this node has saved it
		rec.copied.Store(false)
		return rec
	}
	r.end(rec)
	rec.release()
	return r.taken(ctx, s, st, err)
}

// tried saves a session and takes it again. Where the journal has had a newer one that has ended, it
// does not keep this one, and nil is returned.
func (r *recovery) tried(ctx context.Context, rec *recoverable) (*cluster.Session, error) {
	st, err := rec.session(r.opts.MaxDisconnection)
	if err != nil {
		return nil, err
	}
	if err := r.journal.SaveSession(ctx, st, r.opts.MaxDisconnection); err != nil {
		return nil, err
	}
	return r.journal.TakeSession(ctx, rec.pid)
}

// keep has the journal keep a session of this node, unless it has a newer one.
func (r *recovery) keep(rec *recoverable, st *cluster.Session, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	err := r.journal.SaveSession(ctx, st, keep)
	if !errors.Is(err, cluster.ErrDown) && !errors.Is(err, cluster.ErrClosed) { // else nothing was sent
		rec.copied.Store(true)
	}
	return err
}
