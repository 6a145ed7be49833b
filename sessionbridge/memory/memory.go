// Package memory is a session store in the memory of one process, and the
// reference for backends of the session bridge. It is meant for tests, examples
// and small applications.
package memory

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// Store keeps sessions by the id in a cookie. All methods are safe for
// concurrent use.
type Store struct {
	cookie string
	life   time.Duration

	mu sync.Mutex
	m  map[string]*record
}

type record struct {
	values  sessionbridge.Values
	version uint64
	until   time.Time
}

var (
	_ sessionbridge.Backend           = (*Store)(nil)
	_ sessionbridge.CompareAndSwapper = (*Store)(nil)
	_ sessionbridge.Toucher           = (*Store)(nil)
)

// New returns an empty store for sessions whose id is in the cookie of this name
// and that live for so long after their last save or touch; 0 means a day.
func New(cookie string, life time.Duration) *Store {
	if life <= 0 {
		life = 24 * time.Hour
	}
	return &Store{cookie: cookie, life: life, m: make(map[string]*record)}
}

// Create makes a session and returns its cookie.
func (s *Store) Create(v sessionbridge.Values) *http.Cookie {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.m { // nobody else looks for what has expired
		if time.Now().After(r.until) {
			delete(s.m, id)
		}
	}
	s.m[id] = &record{values: maps.Clone(v), until: time.Now().Add(s.life)}
	return &http.Cookie{Name: s.cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// live returns a session that has not expired, or nil; s.mu is held.
func (s *Store) live(id string) *record {
	r := s.m[id]
	if r == nil || time.Now().After(r.until) {
		delete(s.m, id)
		return nil
	}
	return r
}

func (s *Store) Identify(r *sio.Request) (string, error) {
	c, err := r.Cookie(s.cookie)
	if err != nil || c.Value == "" {
		return "", sessionbridge.ErrNoSession
	}
	return c.Value, nil
}

func (s *Store) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	v, _, err := s.LoadVersion(ctx, id)
	return v, err
}

func (s *Store) LoadVersion(_ context.Context, id string) (sessionbridge.Values, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.live(id)
	if r == nil {
		return nil, "", sessionbridge.ErrDestroyed
	}
	return maps.Clone(r.values), strconv.FormatUint(r.version, 10), nil
}

func (s *Store) Save(_ context.Context, id string, v sessionbridge.Values) error {
	return s.save(id, v, func(*record) bool { return true })
}

func (s *Store) SaveIf(_ context.Context, id, version string, v sessionbridge.Values) error {
	return s.save(id, v, func(r *record) bool { return strconv.FormatUint(r.version, 10) == version })
}

func (s *Store) save(id string, v sessionbridge.Values, fits func(*record) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.live(id)
	switch {
	case r == nil:
		return sessionbridge.ErrDestroyed
	case !fits(r):
		return sessionbridge.ErrConflict
	}
	r.values, r.until = maps.Clone(v), time.Now().Add(s.life)
	r.version++
	return nil
}

func (s *Store) Touch(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.live(id)
	if r == nil {
		return sessionbridge.ErrDestroyed
	}
	r.until = time.Now().Add(s.life)
	return nil
}

func (s *Store) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
	return nil
}
