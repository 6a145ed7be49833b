package sessionbridge

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/siokit/siokit/core/acl"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// Options configure a Bridge. The zero value of every field means its default.
type Options struct {
	// Require refuses handshakes without a session, and those whose session is
	// gone. Without it such a client is a stranger: From has nothing for it.
	Require bool
	// User is the key of the value that says who is logged in. With it sessions are
	// loaded at the handshake, and their sockets are in the room of their user; see
	// Bridge.ToUser. "": there are no such rooms.
	User string
	// Every is how often the sessions behind connections are looked up, once for
	// each session, to notice those that have expired or were destroyed without a
	// call of Logout; 30 s. Negative: never.
	Every time.Duration
	// Touch puts off a session's expiry when a socket sends an event, at most once
	// in this time, if the backend can (Toucher) and ReloadBeforeEvent or Touch is in use;
	// 0: never. Polls do not count: they would keep a session alive for ever.
	Touch time.Duration
	// CookieFerry lets Update change sessions in cookies while the client polls: the
	// poll that is held is ended, the next one shows the cookie as it is now, and its
	// answer carries the changed one, which the poll after that confirms. What an HTTP
	// handler changes in that one round trip is lost. It needs a CookieEncoder, and a
	// browser that keeps cookies of polls: same origin, or credentials allowed. Over a
	// websocket Update returns ErrReadOnly all the same.
	CookieFerry bool
	// Retries is how often Update tries; 5.
	Retries int
	// LoadTimeout bounds the loads that have no context of the caller's; 5 s.
	LoadTimeout time.Duration
	// Logger receives what goes wrong; slog.Default().
	Logger *slog.Logger
}

// Bridge joins the sessions of one backend to the connections of a server.
type Bridge struct {
	be   Backend
	opts Options

	mu       sync.Mutex
	sessions map[string]*Session // that have connections
	locks    map[string]*lock
	looking  chan struct{} // closed to stop looking; nil when nobody looks
}

// lock is the lock of one session id, there while it is used.
type lock struct {
	ch    chan struct{} // holds one value when free
	users int
}

// New returns a bridge; nil options mean defaults. There is nothing to close.
func New(be Backend, o *Options) *Bridge {
	b := &Bridge{be: be, sessions: make(map[string]*Session), locks: make(map[string]*lock)}
	if o != nil {
		b.opts = *o
	}
	if b.opts.Every == 0 {
		b.opts.Every = 30 * time.Second
	}
	if b.opts.Retries <= 0 {
		b.opts.Retries = 5
	}
	if b.opts.LoadTimeout <= 0 {
		b.opts.LoadTimeout = 5 * time.Second
	}
	if b.opts.Logger == nil {
		b.opts.Logger = slog.Default()
	}
	return b
}

// OnHandshake is for sio.Options.OnHandshake: it joins the connection to the
// session that the request carries. With another such function, call it from there.
func (b *Bridge) OnHandshake(ctx context.Context, r *sio.Request, x host.Exchange) error {
	conn := sio.Opening(ctx)
	if conn == nil {
		return errors.New("sessionbridge: OnHandshake with a context that is not that of sio.Options.OnHandshake")
	}
	if i, ok := b.be.(Inspector); ok {
		if err := i.Inspect(x); err != nil {
			return err
		}
	}
	id, err := b.identify(r)
	if err != nil {
		return err
	}
	if id == "" {
		if b.opts.Require {
			return &sio.Error{Message: "no session"}
		}
	} else if err := b.attach(ctx, conn, r, id); err != nil {
		return err
	}
	conn.OnExchange(func(x host.Exchange) error {
		now, err := b.identify(sio.NewRequest(x))
		if err == nil && now != id {
			err = &sio.Error{Message: "another session"}
		}
		return err
	})
	return nil
}

// identify is the id that a request carries, "" for none.
func (b *Bridge) identify(r *sio.Request) (string, error) {
	id, err := b.be.Identify(r)
	if errors.Is(err, ErrNoSession) {
		return "", nil
	}
	return id, err
}

// attach joins a connection to a session.
func (b *Bridge) attach(ctx context.Context, conn *sio.Conn, r *sio.Request, id string) error {
	var values Values
	loaded := false
	cookie, inCookie := b.be.(CookieBackend)
	var err error
	switch {
	case inCookie:
		values, err = cookie.Decode(r)
	case b.opts.Require, b.opts.User != "":
		values, err = b.be.Load(ctx, id)
		loaded = err == nil
	}
	switch gone := errors.Is(err, ErrDestroyed) || errors.Is(err, ErrNoSession); {
	case gone && b.opts.Require:
		return &sio.Error{Message: "no session"}
	case err != nil && !gone:
		return err
	}
	if user := values[b.opts.User]; b.opts.User != "" && user != nil {
		conn.Join(UserRoom(user))
	}

	if inCookie { // nothing that its connections could share
		s := &Session{b: b, cookie: true, done: make(chan struct{})}
		s.keep(values)
		key.Set(conn, s)
		if enc, ok := b.be.(CookieEncoder); ok && b.opts.CookieFerry {
			s.ferry = &ferry{s: s, conn: conn, dec: cookie, enc: enc}
			conn.OnExchange(s.ferry.visit)
		}
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[id]
	if s == nil {
		s = &Session{b: b, id: id, done: make(chan struct{}), conns: make(map[*sio.Conn]struct{})}
		b.sessions[id] = s
	}
	if loaded {
		s.keep(values)
	}
	s.conns[conn] = struct{}{}
	key.Set(conn, s)
	conn.Join(Room(id))
	context.AfterFunc(conn.Context(), func() { b.leave(s, conn) })
	if b.looking == nil && b.opts.Every > 0 {
		b.looking = make(chan struct{})
		go b.look(b.looking)
	}
	return nil
}

// leave forgets a connection that has ended, and a session without any.
func (b *Bridge) leave(s *Session, conn *sio.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(s.conns, conn)
	if len(s.conns) > 0 {
		return
	}
	if b.sessions[s.id] == s {
		delete(b.sessions, s.id)
	}
	if len(b.sessions) == 0 && b.looking != nil {
		close(b.looking)
		b.looking = nil
	}
}

// look revalidates as long as there are sessions.
func (b *Bridge) look(stop chan struct{}) {
	tick := time.NewTicker(b.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), max(b.opts.Every, b.opts.LoadTimeout))
			b.Revalidate(ctx)
			cancel()
		}
	}
}

// Revalidate looks up every session that has connections, once, ends those that
// are gone and returns their number. It runs by itself every Options.Every.
func (b *Bridge) Revalidate(ctx context.Context) (ended int) {
	b.mu.Lock()
	var list []*Session
	for _, s := range b.sessions {
		list = append(list, s)
	}
	b.mu.Unlock()
	for _, s := range list {
		switch err := s.Reload(ctx); {
		case errors.Is(err, ErrDestroyed):
			ended++
		case err != nil && ctx.Err() == nil:
			b.opts.Logger.Error("siokit: a session could not be looked up", "error", err)
		}
	}
	return ended
}

// end marks a session as gone and drops its connections, whose clients come back
// with what cookie they have then. It returns the number of connections.
func (b *Bridge) end(s *Session) int {
	s.mu.Lock()
	again := s.ended
	s.ended, s.values = true, nil
	s.mu.Unlock()
	if again {
		return 0
	}
	close(s.done)
	b.mu.Lock()
	if b.sessions[s.id] == s {
		delete(b.sessions, s.id) // the same id may come back, as another session
	}
	conns := make([]*sio.Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	for _, c := range conns {
		c.Drop()
	}
	return len(conns)
}

// Logout ends the connections of a session and returns their number. Call it
// right after the host has destroyed the session: clients come back at once.
func (b *Bridge) Logout(_ context.Context, id string) int {
	b.mu.Lock()
	s := b.sessions[id]
	b.mu.Unlock()
	if s == nil {
		return 0
	}
	return b.end(s)
}

// Rotated is for hosts that give a session a new id, as they should at login: it
// ends the connections of the old one, as Logout does. They are not taken over to
// the new one, because whoever planted the old id in the victim's browser would be
// logged in with them.
func (b *Bridge) Rotated(ctx context.Context, oldID string) int { return b.Logout(ctx, oldID) }

// Session returns the session with this id if it has connections, or nil: for
// HTTP handlers.
func (b *Bridge) Session(id string) *Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[id]
}

// To addresses the sockets of one session in a namespace: all tabs of a browser.
func (b *Bridge) To(n *sio.Namespace, id string) sio.Target { return n.To(Room(id)) }

// ToUser addresses the sockets of one user in a namespace, in all browsers, as
// Options.User says.
func (b *Bridge) ToUser(n *sio.Namespace, user any) sio.Target { return n.To(UserRoom(user)) }

// Lock takes the lock that Update takes, for HTTP handlers that load, change and
// save the session themselves. It must be held for as long as that takes, and the
// handler must not wait for a socket's handler that updates the same session.
func (b *Bridge) Lock(ctx context.Context, id string) (unlock func(), err error) {
	b.mu.Lock()
	l := b.locks[id]
	if l == nil {
		l = &lock{ch: make(chan struct{}, 1)}
		l.ch <- struct{}{}
		b.locks[id] = l
	}
	l.users++
	b.mu.Unlock()
	release := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(b.locks, id)
		}
	}
	select {
	case <-l.ch:
	case <-ctx.Done():
		release()
		return nil, ctx.Err()
	}
	return func() {
		l.ch <- struct{}{}
		release()
	}, nil
}

// Guard is Lock around an http.Handler, by the session that the request carries.
// It must not be around the route of the socket.
func (b *Bridge) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := b.identify(&sio.Request{Method: r.Method, Host: r.Host, RawQuery: r.URL.RawQuery, Header: r.Header})
		if err == nil && id != "" {
			unlock, err := b.Lock(r.Context(), id)
			if err != nil {
				http.Error(w, "the session is busy", http.StatusServiceUnavailable)
				return
			}
			defer unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// ReloadBeforeEvent is a middleware that loads the session before every event, and refuses
// the event with the code "session" when it is gone. It costs a load for each event.
func (b *Bridge) ReloadBeforeEvent() sio.Middleware {
	return func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			if s, ok := From(ev.Socket); ok {
				if err := s.Reload(ctx); errors.Is(err, ErrDestroyed) {
					return sio.Errorf("session", "the session has ended")
				} else if err != nil {
					return err
				}
				b.touch(ctx, s)
			}
			return next.ServeEvent(ctx, ev)
		})
	}
}

// Touch is a middleware that puts off the session's expiry by what clients send,
// as Options.Touch says.
func (b *Bridge) Touch() sio.Middleware {
	return func(next sio.Handler) sio.Handler {
		return sio.HandlerFunc(func(ctx context.Context, ev *sio.Event) error {
			if s, ok := From(ev.Socket); ok {
				b.touch(ctx, s)
			}
			return next.ServeEvent(ctx, ev)
		})
	}
}

func (b *Bridge) touch(ctx context.Context, s *Session) {
	if b.opts.Touch > 0 {
		s.touch(ctx, b.opts.Touch)
	}
}

// Authenticated is a policy for sockets whose session has a value under a key,
// such as the user. It looks at the values as they were last loaded.
func Authenticated(name string) acl.Policy {
	return acl.Authenticated(func(_ context.Context, s acl.Subject) bool {
		socket, ok := s.(*sio.Socket)
		if !ok {
			return false
		}
		sess, ok := From(socket)
		return ok && sess.Get(name) != nil
	})
}
