package sessionbridge

import (
	"context"
	"errors"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// errNone is what a client is told that needs a session and has none.
var errNone = &sio.Error{Message: "no session"}

// OnHandshake is for sio.Options.OnHandshake: it joins the connection to the session that
// the request carries, which it loads once. An application with an OnHandshake of its own
// calls this one from there, with the same arguments.
//
// A request without a session, or with one that the store does not have any more, is
// refused with Options.RequireSession: the client's error has the message "no session".
// Without that option the client is connected without a session.
//
// A request is also refused when the Backend is an Inspector and finds a fault. When
// the store fails, it is refused with Options.RequireSession or Options.UserKey.
func (b *Bridge) OnHandshake(ctx context.Context, r *sio.Request, x host.Exchange) error {
	conn := sio.ConnFromContext(ctx)
	if conn == nil {
		return errors.New("sessionbridge: OnHandshake with a context that is not that of sio.Options.OnHandshake")
	}
	b.serve(conn.Server())
	if i, ok := b.be.(Inspector); ok {
		if err := i.Inspect(x); err != nil {
			return err
		}
	}
	id, err := b.identify(r)
	if err != nil {
		return err
	}
	if id == "" && b.opts.RequireSession {
		return errNone
	}
	same := func(r *sio.Request) error {
		now, err := b.identify(r)
		if err == nil && now != id {
			err = errAnother
		}
		return err
	}
	cookie, inCookie := b.be.(CookieBackend)
	if !inCookie {
		conn.OnExchange(func(x host.Exchange) error { return same(sio.NewRequest(x)) })
		if id == "" {
			return nil
		}
		return b.attach(ctx, conn, id)
	}
	v := &visitor{dec: cookie, user: b.opts.UserKey}
	conn.OnExchange(func(x host.Exchange) error {
		r := sio.NewRequest(x)
		if err := same(r); err != nil || id == "" {
			return err
		}
		return v.check(r)
	})
	if id == "" {
		return nil
	}
	return b.attachCookie(conn, r, v)
}

// errAnother refuses a request that is not of the visitor who opened the connection.
var errAnother = &sio.Error{Message: "another session"}

// identify is the id that a request carries, "" for none.
func (b *Bridge) identify(r *sio.Request) (string, error) {
	id, err := b.be.Identify(r)
	if errors.Is(err, ErrNoSession) {
		return "", nil
	}
	return id, err
}

// attachCookie gives a connection the session in its cookie. Its connections share
// nothing, so the bridge keeps no list of them.
func (b *Bridge) attachCookie(conn *sio.Conn, r *sio.Request, v *visitor) error {
	values, err := v.start(r)
	switch {
	case gone(err) && b.opts.RequireSession:
		return errNone
	case gone(err):
		return nil
	case err != nil:
		return err
	}
	b.joinUser(conn, values)
	b.bind(conn, values, "")
	s := &Session{b: b, cookie: true}
	s.keep(values)
	key.Set(conn, s)
	if enc, ok := b.be.(CookieEncoder); ok && b.opts.WriteCookieOnPoll {
		s.ferry = &ferry{s: s, conn: conn, enc: enc, visitor: v}
		conn.OnExchange(s.ferry.visit)
	}
	return nil
}

// gone reports whether an error says that there is no such session.
func gone(err error) bool { return errors.Is(err, ErrDestroyed) || errors.Is(err, ErrNoSession) }

func (b *Bridge) joinUser(conn *sio.Conn, v Values) {
	if user := v[b.opts.UserKey]; b.opts.UserKey != "" && user != nil {
		conn.Join(UserRoom(user))
	}
}

// bind has what a connection leaves behind recovered by the same user alone, or else with the
// same session. A session in a cookie has nothing but its user.
func (b *Bridge) bind(conn *sio.Conn, v Values, hash string) {
	if user := v[b.opts.UserKey]; b.opts.UserKey != "" && user != nil {
		conn.BindRecovery(UserRoom(user))
		return
	}
	conn.BindRecovery(roomPrefix + hash)
}

// attach joins a connection to a session. The session is in the list before it is
// loaded: a Logout that the load does not see any more finds it there.
func (b *Bridge) attach(ctx context.Context, conn *sio.Conn, id string) error {
	for {
		s := b.open(id)
		values, err := b.first(ctx, s)
		if err == nil || !gone(err) && !b.opts.RequireSession && b.opts.UserKey == "" {
			if err != nil {
				b.opts.Logger.Error("siokit: a session could not be loaded at the handshake", "error", err)
			}
			if b.admit(s, conn) {
				b.joinUser(conn, values)
				b.bind(conn, values, s.hash)
				return nil
			}
			err = ErrDestroyed // meanwhile
		} else {
			b.close(s)
		}
		switch {
		case s.passedOn():
			continue // the other tabs are on their way, and this one is the new user's
		case !gone(err):
			return err
		case b.opts.RequireSession:
			return errNone
		}
		return nil // a visitor without a session
	}
}

// first loads a session at a handshake.
func (b *Bridge) first(ctx context.Context, s *Session) (Values, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.LoadTimeout)
	defer cancel()
	return s.load(ctx)
}

// open returns the session with an id, put into the list for a handshake that is
// under way: admit or close ends that.
func (b *Bridge) open(id string) *Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[id]
	if s == nil {
		s = &Session{b: b, id: id, hash: roomHash(id), conns: make(map[*sio.Conn]struct{})}
		b.sessions[id], b.byHash[s.hash] = s, s
	}
	s.opening++
	return s
}

// close is for a handshake that comes to nothing.
func (b *Bridge) close(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.opening--
	b.tidy(s)
}

// admit gives a session a connection, unless the session has ended meanwhile.
func (b *Bridge) admit(s *Session, conn *sio.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.opening--
	if s.hasEnded() {
		return false // its connections were dropped, which does not concern this one
	}
	s.conns[conn] = struct{}{}
	key.Set(conn, s)
	conn.Join(roomPrefix + s.hash)
	context.AfterFunc(conn.Context(), func() { b.leave(s, conn) })
	if b.looking == nil && b.opts.RevalidateEvery > 0 {
		b.looking = make(chan struct{})
		go b.look(b.looking)
	}
	return true
}

// leave forgets a connection that has ended.
func (b *Bridge) leave(s *Session, conn *sio.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(s.conns, conn)
	b.tidy(s)
}

// tidy forgets a session without connections, and stops looking when there is no
// other; b.mu is held.
func (b *Bridge) tidy(s *Session) {
	if len(s.conns) == 0 && s.opening == 0 && b.sessions[s.id] == s {
		b.forget(s)
	}
	if len(b.sessions) == 0 && b.looking != nil {
		close(b.looking)
		b.looking = nil
	}
}
