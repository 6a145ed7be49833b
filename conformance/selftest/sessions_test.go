package selftest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	"github.com/siokit/siokit/sessionbridge/memory"
)

// sessionFault is what is wrong with a host's sessions. The zero value is sound.
type sessionFault struct {
	life     time.Duration                                                // of a session
	identify func(s *store, r *sio.Request) (string, error)               // instead of the store's
	load     func(id string, v sessionbridge.Values) sessionbridge.Values // what is loaded instead
	lost     bool                                                         // saves go nowhere
	blind    bool                                                         // saves compare no version
	revives  bool                                                         // what is gone is there again, empty, and can be saved
	keeps    bool                                                         // a logout destroys nothing
	silent   bool                                                         // a logout is not told
	still    bool                                                         // a rotation does nothing
	deaf     bool                                                         // HTTP writes nothing
	chatty   bool                                                         // every answer carries the cookie of the latest login
}

// memoryBackend is what the memory store can do.
type memoryBackend interface {
	sessionbridge.Backend
	sessionbridge.CompareAndSwapper
	sessionbridge.Toucher
}

// store is the memory backend with a fault.
type store struct {
	memoryBackend
	sessions *memory.Store
	f        sessionFault

	mu    sync.Mutex
	first string // the id of the first session
	last  *http.Cookie
}

func (s *store) Identify(r *sio.Request) (string, error) {
	if s.f.identify != nil {
		return s.f.identify(s, r)
	}
	return s.memoryBackend.Identify(r)
}

func (s *store) Load(ctx context.Context, id string) (sessionbridge.Values, error) {
	v, _, err := s.LoadVersion(ctx, id)
	return v, err
}

func (s *store) LoadVersion(ctx context.Context, id string) (sessionbridge.Values, string, error) {
	v, version, err := s.memoryBackend.LoadVersion(ctx, id)
	if s.f.revives && errors.Is(err, sessionbridge.ErrDestroyed) {
		return sessionbridge.Values{}, "", nil
	}
	if s.f.load != nil && err == nil {
		v = s.f.load(id, v)
	}
	return v, version, err
}

func (s *store) Save(ctx context.Context, id string, v sessionbridge.Values) error {
	if s.f.lost {
		return nil
	}
	if err := s.memoryBackend.Save(ctx, id, v); !s.f.revives {
		return err
	}
	return nil
}

func (s *store) SaveIf(ctx context.Context, id, version string, v sessionbridge.Values) error {
	if s.f.lost || s.f.blind || s.f.revives {
		return s.Save(ctx, id, v)
	}
	return s.memoryBackend.SaveIf(ctx, id, version, v)
}

// factory is a host over net/http with the routes that Sessions asks for.
func (f sessionFault) factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	if cfg.CookieAge != 0 && f.life == 0 {
		t.Skip("the cookies of the memory backend have no date")
	}
	sessions := memory.New("session", f.life)
	h := &sessionHost{f: f, store: &store{memoryBackend: sessions.Backend().(memoryBackend), sessions: sessions, f: f}}
	h.bridge = cfg.Bridge(h.store)
	mux := http.NewServeMux()
	mux.Handle(cfg.Path, srv)
	mux.Handle(cfg.Path+"/", srv)
	h.values(mux)
	h.ends(mux)
	return conformance.ServeHTTP(t, mux, cfg)
}

// sessionHost is a host with the routes that Sessions asks for.
type sessionHost struct {
	f      sessionFault
	store  *store
	bridge *sessionbridge.Bridge
}

// session returns the session of a request; "" when there is none.
func (h *sessionHost) session(r *http.Request) (string, sessionbridge.Values) {
	c, err := r.Cookie("session")
	if err != nil {
		return "", nil
	}
	v, err := h.store.memoryBackend.Load(r.Context(), c.Value)
	if err != nil {
		return "", nil
	}
	return c.Value, v
}

// create makes a session and its cookie.
func (h *sessionHost) create(w http.ResponseWriter, v sessionbridge.Values) {
	c := h.store.sessions.Create(v)
	h.store.mu.Lock()
	if h.store.last = c; h.store.first == "" {
		h.store.first = c.Value
	}
	h.store.mu.Unlock()
	http.SetCookie(w, c)
}

func ok(w http.ResponseWriter) { _, _ = w.Write([]byte("ok")) }

// values registers the routes that read and write a session.
func (h *sessionHost) values(mux *http.ServeMux) {
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		h.create(w, sessionbridge.Values{"user": r.FormValue("user")})
		ok(w)
	})
	mux.HandleFunc("POST /set", func(w http.ResponseWriter, r *http.Request) {
		if id, v := h.session(r); id != "" && !h.f.deaf {
			v[r.FormValue("key")] = r.FormValue("value")
			_ = h.store.memoryBackend.Save(r.Context(), id, v)
		}
		ok(w)
	})
	mux.HandleFunc("GET /get", func(w http.ResponseWriter, r *http.Request) {
		_, v := h.session(r)
		if text, is := v[r.FormValue("key")].(string); is {
			_, _ = w.Write([]byte(text))
			return
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		_, v := h.session(r)
		user, is := v["user"].(string)
		if !is {
			user = "anonymous"
		}
		h.store.mu.Lock()
		if h.f.chatty && h.store.last != nil {
			http.SetCookie(w, h.store.last)
		}
		h.store.mu.Unlock()
		_, _ = w.Write([]byte(user))
	})
}

// ends registers the routes that end a session or give it a new id.
func (h *sessionHost) ends(mux *http.ServeMux) {
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if id, _ := h.session(r); id != "" && !h.f.keeps {
			_ = h.store.Delete(r.Context(), id)
			if !h.f.silent && r.FormValue("quiet") == "" {
				h.bridge.Logout(r.Context(), id)
			}
		}
		http.SetCookie(w, &http.Cookie{Name: "session", MaxAge: -1, Path: "/"})
		ok(w)
	})
	mux.HandleFunc("POST /rotate", func(w http.ResponseWriter, r *http.Request) {
		if id, v := h.session(r); id != "" && !h.f.still {
			_ = h.store.Delete(r.Context(), id)
			h.create(w, maps.Clone(v))
			h.bridge.Logout(r.Context(), id)
		}
		ok(w)
	})
}

type sessionBreaker struct {
	name    string
	cookies bool // for the cases of CookieSessions
	catches []string
	sessionFault
}

func sessionBreakers() []sessionBreaker {
	everybody := func(s *store, _ *sio.Request) (string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.first, nil
	}
	memories := map[string]sessionbridge.Values{}
	var mu sync.Mutex
	return []sessionBreaker{
		{"takes everybody for the first visitor", false, []string{"logout-disconnects-all-tabs", "poll-with-foreign-session-refused", "concurrent-updates-two-tabs", "change-of-session-refused"},
			sessionFault{identify: everybody, lost: true}},
		{"gives those without a session one", false, []string{"none-at-handshake"}, sessionFault{identify: func(s *store, _ *sio.Request) (string, error) {
			return s.sessions.Create(sessionbridge.Values{"user": "mallory"}).Value, nil
		}}},
		{"loads nothing", false, []string{"loaded-at-handshake"}, sessionFault{load: func(string, sessionbridge.Values) sessionbridge.Values { return sessionbridge.Values{} }}},
		{"remembers what it has loaded", false, []string{"http-write-seen-after-reload"}, sessionFault{load: func(id string, v sessionbridge.Values) sessionbridge.Values {
			mu.Lock()
			defer mu.Unlock()
			if memories[id] == nil {
				memories[id] = v
			}
			return memories[id]
		}}},
		{"saves nothing", false, []string{"socket-write-seen-by-http", "concurrent-updates-two-tabs", "http-write-during-update-survives", "logout-not-resurrected-by-update"}, sessionFault{lost: true, revives: true}},
		{"saves without looking", false, []string{"http-write-during-update-survives"}, sessionFault{blind: true}},
		{"brings back what is gone", false, []string{"update-after-logout-fails", "logout-not-resurrected-by-update", "revalidate-notices-silent-expiry", "cookie-of-before-is-a-strangers", "cookie-made-up"}, sessionFault{revives: true, silent: true}},
		{"logs nobody out", false, []string{"update-after-logout-fails", "logout-not-resurrected-by-update", "logout-not-resurrected-by-socket-end", "logout-not-resurrected-by-held-poll", "logout-disconnects-all-tabs", "revalidate-notices-silent-expiry"}, sessionFault{keeps: true}},
		{"keeps the logout to itself", false, []string{"logout-disconnects-all-tabs", "logout-beside-handshake"}, sessionFault{silent: true}},
		{"keeps its ids", false, []string{"rotation-disconnects-old-id"}, sessionFault{still: true}},
		{"loses what HTTP writes", false, []string{"http-write-during-held-poll-survives", "http-write-seen-after-reload"}, sessionFault{deaf: true}},
		{"hands out the cookies of others", false, []string{"other-users-response-never-carries-cookie"}, sessionFault{chatty: true}},
		{"forgets sessions too soon", false, []string{"update-in-long-handler-with-short-cookie-age"}, sessionFault{life: time.Second}},
		{"has no cookies but ids", true, []string{"cookie-store-readonly-error"}, sessionFault{}},
		{"takes all visitors for one", true, []string{"cookie-store-visitors-apart", "cookie-store-foreign-refused", "cookie-store-change-of-user", "cookie-store-made-up"}, sessionFault{identify: everybody}},
		{"loses what visitors change", true, []string{"cookie-store-own-changes"}, sessionFault{deaf: true}},
		{"goes on after the logout", true, []string{"cookie-store-logout-refuses-polls"}, sessionFault{keeps: true, identify: everybody}},
	}
}

func TestSoundSessions(t *testing.T) {
	conformance.Run(t, sessionFault{}.factory, conformance.Sessions())
}

// TestSessionBreakers is TestBreakers for the cases about sessions.
func TestSessionBreakers(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: most of the time something is waited for in vain")
	}
	cases := map[bool]conformance.Option{false: conformance.Sessions(), true: conformance.CookieSessions()}
	caught := map[string]bool{}
	for _, b := range sessionBreakers() {
		t.Run(b.name, func(t *testing.T) {
			results, err := conformance.Check(b.factory, cases[b.cookies], conformance.Only(b.catches...),
				conformance.Patience(2*patience))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				name, _, _ := strings.Cut(r.Name, "/")
				if r.Status == "failed" {
					caught[r.Name] = true
				} else if slices.Contains(b.catches, name) {
					t.Errorf("%s: %s", r.Name, r.Status)
				}
			}
		})
	}
	for _, chosen := range cases {
		for _, name := range conformance.Cases(chosen) {
			if !caught[name] {
				t.Errorf("no breaker is caught by %s", name)
			}
		}
	}
}
