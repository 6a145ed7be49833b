package hosts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
	"github.com/siokit/siokit/sessionbridge/memory"
	scsbridge "github.com/siokit/siokit/sessionbridge/scs"
)

// SessionCookie is the name of the session's cookie.
const SessionCookie = "sid"

// Session is what an HTTP handler does with its session, whatever the library.
// What changes it also saves it.
type Session interface {
	ID() string // "" when there is none yet
	Get(key string) (string, bool)
	Set(key, value string) error
	Destroy() error
	Rotate() error
}

// Call is a request of a plain route.
type Call struct {
	Form    func(key string) string
	Session Session
}

// Routes registers the plain routes that log in and out and read and write the
// session, and tell the bridge what it must know.
func (h *Host) Routes(b *sessionbridge.Bridge) {
	reply := func(f func(ctx context.Context, c Call) error) func(ctx context.Context, c Call) (int, string) {
		return func(ctx context.Context, c Call) (int, string) {
			if err := f(ctx, c); err != nil {
				return http.StatusInternalServerError, err.Error()
			}
			return http.StatusOK, "ok"
		}
	}
	h.Route(http.MethodPost, "/login", reply(func(_ context.Context, c Call) error { return c.Session.Set("user", c.Form("user")) }))
	h.Route(http.MethodPost, "/set", reply(func(_ context.Context, c Call) error { return c.Session.Set(c.Form("key"), c.Form("value")) }))
	h.Route(http.MethodPost, "/logout", reply(func(ctx context.Context, c Call) error {
		id := c.Session.ID()
		if err := c.Session.Destroy(); err != nil {
			return err
		}
		if c.Form("quiet") == "" {
			b.Logout(ctx, id)
		}
		return nil
	}))
	h.Route(http.MethodPost, "/rotate", reply(func(ctx context.Context, c Call) error {
		id := c.Session.ID()
		if err := c.Session.Rotate(); err != nil {
			return err
		}
		b.Logout(ctx, id)
		return nil
	}))
	h.Route(http.MethodGet, "/get", func(_ context.Context, c Call) (int, string) {
		if v, ok := c.Session.Get(c.Form("key")); ok {
			return http.StatusOK, v
		}
		return http.StatusNotFound, "nothing"
	})
	h.Route(http.MethodGet, "/who", func(_ context.Context, c Call) (int, string) {
		if user, ok := c.Session.Get("user"); ok {
			return http.StatusOK, user
		}
		return http.StatusOK, "anonymous"
	})
}

// library is a session library over net/http.
type library struct {
	backend sessionbridge.Backend
	open    func(w http.ResponseWriter, r *http.Request) (Session, error)
	wrap    func(next http.Handler) http.Handler // around the plain routes; nil: nothing
	gorilla sessions.Store                       // for the frameworks' own packages
	close   func()
}

// newLibrary starts a session library, nil for "none".
func newLibrary(name string) (*library, error) {
	switch name {
	case "none":
		return nil, nil
	case "memory":
		store := memory.New(SessionCookie, 0)
		return &library{backend: store.Backend(), open: func(w http.ResponseWriter, r *http.Request) (Session, error) {
			s := &memorySession{store: store, ctx: r.Context(), cookie: func(c *http.Cookie) { http.SetCookie(w, c) }}
			if c, err := r.Cookie(SessionCookie); err == nil {
				s.id = c.Value
			}
			return s, nil
		}}, nil
	case "gorilla":
		dir, err := os.MkdirTemp("", "sessions")
		if err != nil {
			return nil, err
		}
		l := overGorilla(sessions.NewFilesystemStore(dir, secret()))
		l.close = func() { _ = os.RemoveAll(dir) }
		return l, nil
	case "cookie":
		return overGorilla(sessions.NewCookieStore(secret())), nil
	case "scs":
		sm := scs.New()
		sm.Cookie.Name = SessionCookie
		sm.IdleTimeout = time.Hour
		return &library{
			backend: scsbridge.New(sm),
			open: func(_ http.ResponseWriter, r *http.Request) (Session, error) {
				return &scsSession{sm, r.Context()}, nil
			},
			wrap: sm.LoadAndSave,
		}, nil
	}
	return nil, fmt.Errorf("there is no session library %q for this host", name)
}

// CookieAge sets how old cookies may be by their own date. It reports false when
// the library's have none.
func (h *Host) CookieAge(d time.Duration) bool {
	if h.lib == nil || h.lib.gorilla == nil {
		return false
	}
	store, ok := h.lib.gorilla.(*sessions.FilesystemStore)
	if ok {
		for _, c := range store.Codecs {
			c.(*securecookie.SecureCookie).MaxAge(int(d / time.Second))
		}
	}
	return ok
}

func secret() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

// overGorilla is gorilla/sessions with a store.
func overGorilla(store sessions.Store) *library {
	return &library{
		backend: gorillabridge.New(store, SessionCookie),
		open: func(w http.ResponseWriter, r *http.Request) (Session, error) {
			s, _ := store.Get(r, SessionCookie) // a session that is gone is a new one, with an error
			return &gorillaSession{s, w, r}, nil
		},
		gorilla: store,
	}
}

// handler is a plain route over net/http.
func (l *library) handler(f func(ctx context.Context, c Call) (int, string)) http.Handler {
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := l.open(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, r, s, f)
	})
	if l.wrap != nil {
		h = l.wrap(h)
	}
	return h
}

func answer(w http.ResponseWriter, r *http.Request, s Session, f func(ctx context.Context, c Call) (int, string)) {
	status, text := f(r.Context(), Call{Form: r.FormValue, Session: s})
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// memorySession is a session of the memory backend.
type memorySession struct {
	store  *memory.Store
	ctx    context.Context
	id     string
	cookie func(c *http.Cookie)
}

func (s *memorySession) ID() string { return s.id }

func (s *memorySession) Get(key string) (string, bool) {
	v, _ := s.store.Backend().Load(s.ctx, s.id)
	text, ok := v[key].(string)
	return text, ok
}

func (s *memorySession) Set(key, value string) error {
	v, err := s.store.Backend().Load(s.ctx, s.id)
	if errors.Is(err, sessionbridge.ErrDestroyed) {
		s.create(sessionbridge.Values{key: value})
		return nil
	} else if err != nil {
		return err
	}
	v[key] = value
	return s.store.Backend().Save(s.ctx, s.id, v)
}

func (s *memorySession) create(v sessionbridge.Values) {
	c := s.store.Create(v)
	s.id = c.Value
	s.cookie(c)
}

func (s *memorySession) Destroy() error {
	s.cookie(&http.Cookie{Name: SessionCookie, Path: "/", MaxAge: -1})
	return s.store.Backend().Delete(s.ctx, s.id)
}

func (s *memorySession) Rotate() error {
	v, err := s.store.Backend().Load(s.ctx, s.id)
	if err != nil {
		return err
	}
	old := s.id
	s.create(v)
	return s.store.Backend().Delete(s.ctx, old)
}

// gorillaSession is a session of gorilla/sessions.
type gorillaSession struct {
	s *sessions.Session
	w http.ResponseWriter
	r *http.Request
}

func (s *gorillaSession) ID() string { return s.s.ID }

func (s *gorillaSession) Get(key string) (string, bool) {
	v, ok := s.s.Values[key].(string)
	return v, ok
}

func (s *gorillaSession) Set(key, value string) error {
	if s.s.IsNew { // an id whose session is gone is not used again
		s.s.ID = ""
	}
	s.s.Values[key] = value
	return s.s.Save(s.r, s.w)
}

func (s *gorillaSession) Destroy() error {
	s.s.Options.MaxAge = -1
	return s.s.Save(s.r, s.w)
}

func (s *gorillaSession) Rotate() error {
	age := s.s.Options.MaxAge
	if err := s.Destroy(); err != nil {
		return err
	}
	s.w.Header().Del("Set-Cookie")
	s.s.Options.MaxAge, s.s.ID = age, ""
	return s.s.Save(s.r, s.w)
}

// scsSession is a session of scs, inside of LoadAndSave.
type scsSession struct {
	sm  *scs.SessionManager
	ctx context.Context
}

func (s *scsSession) ID() string { return s.sm.Token(s.ctx) }

func (s *scsSession) Get(key string) (string, bool) {
	return s.sm.GetString(s.ctx, key), s.sm.Exists(s.ctx, key)
}

func (s *scsSession) Set(key, value string) error {
	s.sm.Put(s.ctx, key, value)
	return nil
}

func (s *scsSession) Destroy() error { return s.sm.Destroy(s.ctx) }
func (s *scsSession) Rotate() error  { return s.sm.RenewToken(s.ctx) }
