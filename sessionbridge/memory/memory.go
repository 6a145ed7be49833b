// Package memory is a session store in the memory of one process, and the
// reference for backends of the session bridge. It is meant for tests, examples
// and small applications.
//
//	store := memory.New("session", 0)
//	bridge := sessionbridge.New(store.Backend(), nil)
//
//	// In the login handler:
//	http.SetCookie(w, store.Create(sessionbridge.Values{"user": user}))
//
// HTTP handlers read, save and delete sessions with the methods of Store.Backend.
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

// Store keeps sessions by the id in a cookie. All methods are safe for concurrent use. What
// has expired is forgotten when a session is created or looked up; there is nothing to close.
type Store struct{ b *backend }

// backend is what the bridge sees of a store.
type backend struct {
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
	_ sessionbridge.Backend           = (*backend)(nil)
	_ sessionbridge.CompareAndSwapper = (*backend)(nil)
	_ sessionbridge.Toucher           = (*backend)(nil)
)

// New returns an empty store for sessions whose id is in the cookie of this name
// and that live for so long after their last save or touch; 0 means a day.
func New(cookie string, life time.Duration) *Store {
	if life <= 0 {
		life = 24 * time.Hour
	}
	return &Store{&backend{cookie: cookie, life: life, m: make(map[string]*record)}}
}

// Backend returns the store's backend for sessionbridge.New. It is also a
// sessionbridge.CompareAndSwapper and a sessionbridge.Toucher.
func (s *Store) Backend() sessionbridge.Backend { return s.b }

// Create makes a session with a copy of the values, and returns its cookie: for the whole
// site, HttpOnly, SameSite=Lax, until the browser is closed. Set Secure where the site is
// served by HTTPS alone.
func (s *Store) Create(v sessionbridge.Values) *http.Cookie {
	return &http.Cookie{Name: s.b.cookie, Value: s.b.create(v), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// create makes a session and returns its id.
func (s *backend) create(v sessionbridge.Values) string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.m { // nobody else looks for what has expired
		if time.Now().After(r.until) {
			delete(s.m, id)
		}
	}
	s.m[id] = &record{values: maps.Clone(v), until: time.Now().Add(s.life)}
	return id
}

// live returns a session that has not expired, or nil; s.mu is held.
func (s *backend) live(id string) *record {
	r := s.m[id]
	if r == nil || time.Now().After(r.until) {
		delete(s.m, id)
		return nil
	}
	return r
}

func (s *backend) Identify(r *sio.Request) (string, error) {
	c, err := r.Cookie(s.cookie)
	if err != nil || c.Value == "" {
		return "", sessionbridge.ErrNoSession
	}
	return c.Value, nil
}

func (s *backend) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	v, _, err := s.LoadVersion(ctx, id)
	return v, err
}

func (s *backend) LoadVersion(_ context.Context, id string) (sessionbridge.Values, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.live(id)
	if r == nil {
		return nil, "", sessionbridge.ErrDestroyed
	}
	return maps.Clone(r.values), strconv.FormatUint(r.version, 10), nil
}

func (s *backend) Save(_ context.Context, id string, v sessionbridge.Values) error {
	return s.save(id, v, func(*record) bool { return true })
}

func (s *backend) SaveIf(_ context.Context, id, version string, v sessionbridge.Values) error {
	return s.save(id, v, func(r *record) bool { return strconv.FormatUint(r.version, 10) == version })
}

func (s *backend) save(id string, v sessionbridge.Values, fits func(*record) bool) error {
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

func (s *backend) Touch(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.live(id)
	if r == nil {
		return sessionbridge.ErrDestroyed
	}
	r.until = time.Now().Add(s.life)
	return nil
}

func (s *backend) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
	return nil
}
