package sessionbridge

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// Session is one web session behind one or more connections: the tabs of a
// browser share it. All methods are safe for concurrent use. It must not be kept
// beyond its sockets.
type Session struct {
	b      *Bridge
	id     string
	cookie bool   // the values live in the cookie
	ferry  *ferry // for those: how they change; nil: not at all
	done   chan struct{}

	mu      sync.Mutex
	values  Values // as they were last loaded; never changed in place
	loaded  bool
	ended   bool
	touched time.Time
	conns   map[*sio.Conn]struct{} // guarded by Bridge.mu
}

// ID is the session's id. It is a secret: whoever has it is the visitor. A session
// in a cookie has none: "".
func (s *Session) ID() string { return s.id }

// Done is closed when the session is known to be gone.
func (s *Session) Done() <-chan struct{} { return s.done }

// Get returns a value as it was last loaded, without asking the store again; the
// first Get loads. It is nil when there is none, and when loading fails: Reload
// says why.
func (s *Session) Get(key string) any { return s.snapshot()[key] }

// Snapshot returns a copy of the values as they were last loaded, like Get.
func (s *Session) Snapshot() Values { return maps.Clone(s.snapshot()) }

func (s *Session) snapshot() Values {
	s.mu.Lock()
	values, loaded, ended := s.values, s.loaded, s.ended
	s.mu.Unlock()
	if !loaded && !ended {
		ctx, cancel := context.WithTimeout(context.Background(), s.b.opts.LoadTimeout)
		defer cancel()
		values, _ = s.load(ctx)
	}
	return values
}

// Reload loads the values again, or returns ErrDestroyed, which also ends the
// session's connections. Values in a cookie stay as they are.
func (s *Session) Reload(ctx context.Context) error {
	_, err := s.load(ctx)
	return err
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
	v, err := s.b.be.Load(ctx, s.id)
	if err != nil {
		return nil, s.gone(err)
	}
	s.keep(v)
	return v, nil
}

func (s *Session) keep(v Values) {
	s.mu.Lock()
	s.values, s.loaded = v, true
	s.mu.Unlock()
}

// gone ends the session when err says that it is gone.
func (s *Session) gone(err error) error {
	if errors.Is(err, ErrDestroyed) {
		s.b.end(s)
	}
	return err
}

// Update changes the session: f gets the values as they are now and changes them
// in place; they are saved when f returns nil, unless it has changed nothing. When
// the session was changed elsewhere meanwhile, f runs again with the new values, up
// to Options.Retries times: then the error is ErrConflict. It is ErrDestroyed when
// the session is gone, and ErrReadOnly for sessions in cookies. f's own error is
// returned, and nothing saved.
//
// Updates of one session run one after the other in this process. f must not
// update the same session, and what the values point to must not be changed in place.
func (s *Session) Update(ctx context.Context, f func(v Values) error) error {
	switch {
	case s.ferry != nil:
		return s.ferry.update(ctx, f)
	case s.cookie:
		return ErrReadOnly
	}
	unlock, err := s.b.Lock(ctx, s.id)
	if err != nil {
		return err
	}
	defer unlock()
	for range s.b.opts.Retries {
		s.mu.Lock()
		ended := s.ended
		s.mu.Unlock()
		if ended {
			return ErrDestroyed
		}
		err := s.try(ctx, f)
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ErrConflict
}

// try is one attempt of Update.
func (s *Session) try(ctx context.Context, f func(v Values) error) error {
	cas, can := s.b.be.(CompareAndSwapper)
	var before Values
	var version string
	var err error
	if can {
		before, version, err = cas.LoadVersion(ctx, s.id)
	} else {
		before, err = s.b.be.Load(ctx, s.id)
	}
	if err != nil {
		return s.gone(err)
	}
	after := maps.Clone(before)
	if after == nil {
		after = Values{}
	}
	if err := f(after); err != nil {
		return err
	}
	if reflect.DeepEqual(before, after) {
		s.keep(after)
		return nil
	}
	if can {
		err = cas.SaveIf(ctx, s.id, version, after)
	} else {
		err = s.saveUnchanged(ctx, before, after)
	}
	if err != nil {
		return s.gone(err)
	}
	s.keep(maps.Clone(after))
	return nil
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

// Destroy destroys the session in the store and ends its connections.
func (s *Session) Destroy(ctx context.Context) error {
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
