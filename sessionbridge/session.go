package sessionbridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// Session is one web session behind one or more connections: the tabs of a browser
// share it. All methods are safe for concurrent use. They can also be called on a nil
// *Session, which stands for a visitor without a session: it holds nothing, and
// changing it fails with ErrNoSession.
//
// Do not keep a Session longer than its sockets. When the session ends, the Session
// holds nothing any more, and its connections are dropped, which ends the contexts of
// the sockets.
type Session struct {
	b      *Bridge
	id     string
	hash   string // roomHash of it
	cookie bool   // the values live in the cookie
	ferry  *ferry // for those: how they change; nil: not at all

	// Bridge.mu guards these; it is taken before mu.
	conns   map[*sio.Conn]struct{}
	opening int // handshakes that load it

	mu        sync.Mutex
	values    Values // as they were last loaded; never changed in place
	loaded    bool   // it was seen alive
	ended     bool
	destroyed bool // and the store must not have it any more
	touched   time.Time
}

// ID is the session's id. It is a secret: whoever has it is the visitor. A session
// in a cookie has none: "".
func (s *Session) ID() string {
	if s == nil {
		return ""
	}
	return s.id
}

// Get returns a value as it was last loaded. It never asks the store: From has loaded the
// session, and Reload loads it again. It is nil when there is no such value, and when
// nothing was loaded.
func (s *Session) Get(key string) any { return s.snapshot()[key] }

// Snapshot returns a copy of all values as they were last loaded, like Get: they are of one
// load. What the values point to is not copied, and must not be changed. nil when there is
// nothing.
func (s *Session) Snapshot() Values { return maps.Clone(s.snapshot()) }

func (s *Session) snapshot() Values {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values
}

// loadInTime is load, for at most Options.LoadTimeout.
func (s *Session) loadInTime(ctx context.Context) (Values, error) {
	ctx, cancel := context.WithTimeout(ctx, s.b.opts.LoadTimeout)
	defer cancel()
	return s.load(ctx)
}

// exists reports whether the session is there, as far as is known. The store is asked
// only when it could not be asked at the handshake.
func (s *Session) exists(ctx context.Context) bool {
	s.mu.Lock()
	loaded, ended := s.loaded, s.ended
	s.mu.Unlock()
	if !loaded && !ended {
		_, err := s.loadInTime(ctx)
		return err == nil
	}
	return !ended
}

func (s *Session) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// passedOn reports whether the session is over because it has another user now: the
// store still has it.
func (s *Session) passedOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended && !s.destroyed
}

// Reload loads the values again. ErrDestroyed says that the session is gone, and drops its
// connections. Any other error is that of the store or of ctx, and the values stay as they
// were. Values in a cookie are not loaded again.
func (s *Session) Reload(ctx context.Context) error {
	if s == nil {
		return ErrNoSession
	}
	_, err := s.load(ctx)
	return err
}

// reloadSafely is Reload where nobody else recovers. Whether the error says that the
// session is gone is asked here too: its methods may be the application's.
func (s *Session) reloadSafely(ctx context.Context) (gone bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("sessionbridge: panic: %v\n\n%s", p, debug.Stack())
		}
	}()
	err = s.Reload(ctx)
	return errors.Is(err, ErrDestroyed), err
}

// load asks the store and keeps the answer.
func (s *Session) load(ctx context.Context) (Values, error) {
	s.mu.Lock()
	values, ended := s.values, s.ended
	s.mu.Unlock()
	switch {
	case ended:
		return nil, ErrDestroyed
	case s.cookie:
		return values, nil
	}
	v, err := s.b.loadUntil(ctx, s.id)
	if err != nil {
		return nil, s.gone(err)
	}
	return v, s.seen(v)
}

// keep keeps what was loaded, unless the session has ended meanwhile. It reports
// whether the session is another user's than before.
func (s *Session) keep(v Values) (other bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	user := s.b.opts.UserKey
	other = user != "" && s.loaded && !s.cookie && !reflect.DeepEqual(s.values[user], v[user])
	s.values, s.loaded = v, true
	return other
}

// seen keeps what the store has. A session that belongs to another user now is over
// for its connections.
func (s *Session) seen(v Values) error {
	if s.keep(v) {
		s.b.end(s, changed)
	}
	if s.hasEnded() {
		return ErrDestroyed
	}
	return nil
}

// gone ends the session when err says that it is gone.
func (s *Session) gone(err error) error {
	if errors.Is(err, ErrDestroyed) {
		s.b.end(s, vanished)
	}
	return err
}

// Update changes the session: f gets the values as they are now and changes them in place;
// they are saved when f returns nil, unless it has changed nothing. When the session was
// changed elsewhere meanwhile, f runs again with the new values. f's own error is returned,
// and nothing saved. f must not update the same session, and must not change in place what
// the values point to.
//
// The error is that of f, of the store or of ctx, or one of these:
//
//   - ErrDestroyed: the session is gone, or has another user now. When the bridge is told
//     of the end while the change is saved (Bridge.Logout, Session.Destroy), the change is
//     deleted again.
//   - ErrConflict: the session was changed elsewhere in each of Options.Retries tries.
//   - ErrReadOnly: the values are in a cookie; see Options.WriteCookieOnPoll.
//
// Updates of one session run one after the other in this process, and wait for
// Bridge.Lock. With several processes see CompareAndSwapper.
func (s *Session) Update(ctx context.Context, f func(v Values) error) error {
	switch {
	case s == nil:
		return ErrNoSession
	case s.ferry != nil:
		return s.ferry.update(ctx, f)
	case s.cookie:
		return ErrReadOnly
	}
	l, unlock, err := s.b.lock(ctx, s.id)
	if err != nil {
		return err
	}
	defer unlock()
	for range s.b.opts.Retries {
		if s.hasEnded() || s.b.over(l) {
			return ErrDestroyed
		}
		err := s.try(ctx, l, f)
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ErrConflict
}

// try is one attempt of Update.
func (s *Session) try(ctx context.Context, l *lock, f func(v Values) error) error {
	before, version, err := s.read(ctx)
	if err != nil {
		return s.gone(err)
	}
	if err := s.seen(before); err != nil {
		return err
	}
	after := maps.Clone(before)
	if after == nil {
		after = Values{}
	}
	if err := f(after); err != nil {
		return err
	}
	if reflect.DeepEqual(before, after) {
		return nil
	}
	if cas, can := s.b.be.(CompareAndSwapper); can {
		err = cas.SaveIf(ctx, s.id, version, after)
	} else {
		err = s.saveUnchanged(ctx, before, after)
	}
	if undone := s.undo(ctx, l); undone != nil {
		return undone
	}
	if err != nil {
		return s.gone(err)
	}
	if s.keep(maps.Clone(after)) {
		s.b.end(s, changed) // f has logged somebody in, or out
		s.b.tellNodes(s.id, true)
	}
	return nil
}

// read loads for a change.
func (s *Session) read(ctx context.Context) (v Values, version string, err error) {
	if cas, can := s.b.be.(CompareAndSwapper); can {
		return cas.LoadVersion(ctx, s.id)
	}
	v, err = s.b.be.Load(ctx, s.id)
	return v, "", err
}

// undo looks again after a save, which a store that cannot compare may have done
// after the session was destroyed: then what was saved must not stay. It runs before
// the lock is given back, and Logout marks the lock before it deletes, so that one of
// the two deletes last.
func (s *Session) undo(ctx context.Context, l *lock) error {
	s.mu.Lock()
	destroyed := s.destroyed
	s.mu.Unlock()
	if !destroyed && !s.b.over(l) {
		return nil
	}
	s.b.Logout(ctx, s.id) // also whoever came back with it meanwhile
	return ErrDestroyed
}

// saveUnchanged saves in a store that cannot compare. What it cannot see is a
// change between its look and its save.
func (s *Session) saveUnchanged(ctx context.Context, before, after Values) error {
	now, err := s.b.be.Load(ctx, s.id)
	if err != nil {
		return err
	}
	if len(now) != len(before) || len(now) > 0 && !reflect.DeepEqual(now, before) {
		return ErrConflict
	}
	return s.b.be.Save(ctx, s.id, after)
}

// Destroy destroys the session in the store, as a logout does, and drops its connections,
// also that of the socket whose handler calls it. An error is that of the store: then
// nothing has ended. ErrReadOnly for sessions in cookies.
func (s *Session) Destroy(ctx context.Context) error {
	if s == nil {
		return ErrNoSession
	}
	if s.cookie {
		return ErrReadOnly
	}
	if err := s.b.be.Delete(ctx, s.id); err != nil {
		return err
	}
	s.b.Logout(ctx, s.id)
	return nil
}

// touch puts off the expiry, at most once in an interval.
func (s *Session) touch(ctx context.Context, every time.Duration) {
	t, ok := s.b.be.(Toucher)
	if !ok {
		return
	}
	s.mu.Lock()
	now := time.Now()
	due := now.Sub(s.touched) >= every
	if due {
		s.touched = now
	}
	s.mu.Unlock()
	if due {
		_ = s.gone(t.Touch(ctx, s.id))
	}
}

// known reports whether the session was seen alive.
func (s *Session) known() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded
}
