package sessionbridge

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/safelog"
)

// Options configure a Bridge. The zero value of every field means its default.
type Options struct {
	// RequireSession refuses handshakes without a session, and those whose session is
	// gone. Without it (the default) such a client is connected, and From returns
	// false for its sockets. Policies such as Authenticated decide what it may do.
	RequireSession bool
	// UserKey is the key of the session's value that names the logged-in user; "" (the
	// default): none. With it each socket is in the room of its user (UserRoom). When a
	// session gets another user, its connections are dropped, and clients come back in
	// the room of the new user. Sessions in cookies are compared by it.
	UserKey string
	// RevalidateEvery is how often the sessions behind connections are looked up, once for
	// each session, to notice those that have expired or were destroyed without a
	// call of Logout; 30 s. Negative: never.
	RevalidateEvery time.Duration
	// WriteCookieOnPoll lets Session.Update change a session whose values are in its
	// cookie, while the client polls:
	//
	//  1. The held poll is ended.
	//  2. The next poll shows the cookie that the browser has now.
	//  3. Its answer sets the changed cookie.
	//  4. The poll after that shows the changed cookie, and Update returns.
	//
	// What an HTTP handler changes in this round trip is lost. It needs a CookieEncoder,
	// and a browser that keeps cookies of polls: same origin, or credentials allowed.
	// Over a websocket Update still returns ErrReadOnly.
	WriteCookieOnPoll bool
	// Retries is how often Session.Update tries before it returns ErrConflict; 5.
	Retries int
	// LoadTimeout bounds the load at a handshake, that of From, and the deletion of
	// Logout; 5 s.
	LoadTimeout time.Duration
	// Logger receives the errors of the store that no caller gets; slog.Default().
	Logger *slog.Logger
}

// Bridge joins the sessions of one backend to the connections of a server. All methods are
// safe for concurrent use.
type Bridge struct {
	be   Backend
	opts Options

	serving sync.Mutex // held while a server is taken up; taken before mu

	mu       sync.Mutex
	sessions map[string]*Session // that have connections
	byHash   map[string]*Session // the same, by roomHash
	servers  []*sio.Server       // of clusters, that it is used with; never changed in place
	locks    map[string]*lock
	looking  chan struct{} // closed to stop looking; nil when nobody looks

	stuck atomic.Int32 // loads that were given up and have not come back
}

// New returns a bridge for the sessions of a backend; nil options mean defaults. The bridge
// is in use when its OnHandshake is the server's. There is nothing to close: its only
// goroutine revalidates, and ends with the last connection that has a session.
func New(be Backend, o *Options) *Bridge {
	b := &Bridge{be: be, sessions: make(map[string]*Session), byHash: make(map[string]*Session), locks: make(map[string]*lock)}
	if o != nil {
		b.opts = *o
	}
	if b.opts.RevalidateEvery == 0 {
		b.opts.RevalidateEvery = 30 * time.Second
	}
	if b.opts.Retries <= 0 {
		b.opts.Retries = 5
	}
	if b.opts.LoadTimeout <= 0 {
		b.opts.LoadTimeout = 5 * time.Second
	}
	b.opts.Logger = safelog.New(b.opts.Logger)
	return b
}

// look revalidates as long as there are sessions.
func (b *Bridge) look(stop chan struct{}) {
	tick := time.NewTicker(b.opts.RevalidateEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), max(b.opts.RevalidateEvery, b.opts.LoadTimeout))
			b.Revalidate(ctx)
			cancel()
		}
	}
}

// Revalidate looks up every session that has connections, once, drops the connections of
// those that are gone, and returns the number of these sessions. It runs by itself every
// Options.RevalidateEvery. An error or a panic of the backend is logged, the session stays,
// and the next one is looked up.
func (b *Bridge) Revalidate(ctx context.Context) (ended int) {
	b.mu.Lock()
	var list []*Session
	for _, s := range b.sessions {
		list = append(list, s)
	}
	b.mu.Unlock()
	for _, s := range list {
		switch gone, err := s.reloadSafely(ctx); {
		case gone:
			ended++
		case err != nil && ctx.Err() == nil:
			b.opts.Logger.Error("siokit: a session could not be looked up", "error", err)
		}
	}
	return ended
}

// ending is why a session ends, for the bridge.
type ending int

const (
	loggedOut ending = iota // somebody has said so
	vanished                // the store does not have it any more
	changed                 // it belongs to another user now; the store keeps it
)

// end marks a session as gone and drops its connections, whose clients come back with
// the cookie that they have then. It returns the number of connections. Those of a
// session that was never seen alive stay: their visitors have no session.
func (b *Bridge) end(s *Session, why ending) int {
	b.mu.Lock()
	s.mu.Lock()
	again, known := s.ended, s.loaded
	s.ended, s.values = true, nil
	s.destroyed = s.destroyed || why != changed
	s.mu.Unlock()
	if b.sessions[s.id] == s {
		b.forget(s) // the same id may come back, as another session
	}
	var conns []*sio.Conn
	if !again && (known || why != vanished) {
		for c := range s.conns {
			conns = append(conns, c)
		}
	}
	b.tidy(s)
	b.mu.Unlock()
	for _, c := range conns {
		c.CloseTransport()
	}
	return len(conns)
}

// forget takes a session out of the list; b.mu is held.
func (b *Bridge) forget(s *Session) {
	delete(b.sessions, s.id)
	delete(b.byHash, s.hash)
}

// Logout drops the connections of a session and returns their number. In a cluster those on
// other nodes are dropped too, and not counted (see Mix). Call it right after the host has destroyed the session, or has given it a new id: then id is the old one.
// Clients come back at once, with the cookie that they have then. For "", the id of a
// session in a cookie, it does nothing.
//
// Logout deletes the session from the store as well, because a change by a socket that was
// under way may have written the session once more. A change that is still under way finds
// out, and deletes what it has written. An error of that deletion is logged.
//
// The deletion uses the values of ctx, and ends after Options.LoadTimeout. It does not
// end when ctx ends, because a visitor who closes the page during the logout must be
// logged out all the same.
func (b *Bridge) Logout(ctx context.Context, id string) int {
	if id == "" { // that of a session in a cookie
		return 0
	}
	b.mu.Lock()
	s := b.sessions[id]
	if l := b.locks[id]; l != nil {
		l.gone = true
	}
	b.mu.Unlock()
	if _, inCookie := b.be.(CookieBackend); !inCookie {
		if err := b.remove(ctx, id); err != nil {
			b.opts.Logger.Error("siokit: a session that was logged out could not be deleted", "error", err)
		}
	}
	b.tellNodes(id, false)
	n := 0
	if s != nil {
		n = b.end(s, loggedOut)
	}
	// A handshake that came between the look into the list and the deletion has found
	// the session in the store.
	b.mu.Lock()
	late := b.sessions[id]
	b.mu.Unlock()
	if late != nil && late != s {
		n += b.end(late, loggedOut)
	}
	return n
}

// remove deletes a session, though the request that wants it may have ended.
func (b *Bridge) remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.opts.LoadTimeout)
	defer cancel()
	return b.be.Delete(ctx, id)
}

// Session returns the session with this id if it has connections, or nil, whose methods
// can be called too. It is for code that has no socket, such as an HTTP handler that changes
// the session of another visitor.
func (b *Bridge) Session(id string) *Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sessions[id]; s != nil && len(s.conns) > 0 {
		return s
	}
	return nil
}
