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
	copied, found := rec.copied.Load(), false
	if err == nil && st == nil && copied { // its time is over there, or another node has taken it
		if found = r.askAll(ctx, s, rec.pid); found {
			st, err = r.await(ctx, s, rec.pid)
		}
	}
	switch {
	case err != nil && !copied: // it never was where another node could take it
		return rec
	case err != nil:
	case st == nil && (!found || s.client.hasEnded()): // who has it saves what is newer
		return rec
	case st != nil && st.Moves <= rec.moves: // this node has saved it, though it was told otherwise
		rec.copied.Store(false)
		return rec
	}
	r.end(rec)
	rec.release()
	return r.taken(ctx, s, st, err)
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
