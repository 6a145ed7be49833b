package gorillabridge_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

const name = "session"

var secret = bytes.Repeat([]byte("k"), 32)

// wrapped is a store around another one, as gin-contrib has them. It calls a
// function in its next write.
type wrapped struct {
	*sessions.FilesystemStore
	at atomic.Pointer[func()]
}

func (s *wrapped) Save(r *http.Request, w http.ResponseWriter, sess *sessions.Session) error {
	if at := s.at.Swap(nil); at != nil {
		(*at)()
	}
	return s.FilesystemStore.Save(r, w, sess)
}

// held is a store like those over a network: a session is read and written as one
// value under its id, and one that is not there is no error.
type held struct {
	Codecs  []securecookie.Codec
	Options *sessions.Options
	at      atomic.Pointer[func()]
	mu      sync.Mutex
	m       map[string]map[any]any
}

func (s *held) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

func (s *held) New(r *http.Request, name string) (*sessions.Session, error) {
	sess := sessions.NewSession(s, name)
	opts := *s.Options
	sess.Options, sess.IsNew = &opts, true
	if c, err := r.Cookie(name); err == nil && securecookie.DecodeMulti(name, c.Value, &sess.ID, s.Codecs...) == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if v, ok := s.m[sess.ID]; ok {
			sess.Values, sess.IsNew = maps.Clone(v), false
		}
	}
	return sess, nil
}

func (s *held) Save(_ *http.Request, w http.ResponseWriter, sess *sessions.Session) error {
	if at := s.at.Swap(nil); at != nil {
		(*at)()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.Options.MaxAge < 0 {
		delete(s.m, sess.ID)
		http.SetCookie(w, sessions.NewCookie(sess.Name(), "", sess.Options))
		return nil
	}
	if sess.ID == "" {
		sess.ID = rand.Text()
	}
	s.m[sess.ID] = maps.Clone(sess.Values)
	value, err := securecookie.EncodeMulti(sess.Name(), sess.ID, s.Codecs...)
	http.SetCookie(w, sessions.NewCookie(sess.Name(), value, sess.Options))
	return err
}

// slow has a store call a function in its next write.
func slow(store sessions.Store) func(t testing.TB, at func()) {
	return func(_ testing.TB, at func()) {
		switch s := store.(type) {
		case *wrapped:
			s.at.Store(&at)
		case *held:
			s.at.Store(&at)
		}
	}
}

func TestBackend(t *testing.T) {
	for what, mk := range map[string]func(t testing.TB) sessions.Store{
		"filesystem": func(t testing.TB) sessions.Store {
			return &wrapped{FilesystemStore: sessions.NewFilesystemStore(t.TempDir(), secret)}
		},
		"network": func(testing.TB) sessions.Store {
			return &held{Codecs: securecookie.CodecsFromPairs(secret), Options: &sessions.Options{MaxAge: 3600}, m: map[string]map[any]any{}}
		},
	} {
		t.Run(what, func(t *testing.T) {
			conformance.RunBackend(t, func(t testing.TB) conformance.BackendUnderTest {
				store := mk(t)
				return conformance.BackendUnderTest{
					Backend: gorillabridge.New(store, name),
					Slow:    slow(store),
					Create: func(t testing.TB, v sessionbridge.Values) http.Header {
						return handle(t, store, http.Header{}, func(s *sessions.Session) {
							for k, value := range v {
								s.Values[k] = value
							}
						})
					},
					Read: func(t testing.TB, h http.Header) (v sessionbridge.Values) {
						r := &http.Request{Header: h}
						if s, err := store.New(r, name); err == nil && !s.IsNew {
							v = sessionbridge.Values{}
							for k, value := range s.Values {
								v[k.(string)] = value
							}
						}
						return v
					},
					Destroy: func(t testing.TB, h http.Header) {
						handle(t, store, h, func(s *sessions.Session) { s.Options.MaxAge = -1 })
					},
				}
			})
		})
	}
}

// handle is an HTTP handler that saves the session; the header carries its cookie.
func handle(t testing.TB, store sessions.Store, h http.Header, f func(s *sessions.Session)) http.Header {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = h
	s, err := store.Get(r, name)
	if err != nil {
		t.Fatal(err)
	}
	f(s)
	w := httptest.NewRecorder()
	if err := s.Save(r, w); err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return http.Header{"Cookie": {cookie}}
}

// TestOldCookie: the cookie of a handshake may be older than the store allows,
// while HTTP answers have renewed the browser's. The session is loaded by its id.
func TestOldCookie(t *testing.T) {
	store := sessions.NewFilesystemStore(t.TempDir(), secret)
	h := handle(t, store, http.Header{}, func(s *sessions.Session) { s.Values["user"] = "ann" })
	b := gorillabridge.New(store, name)
	id, err := b.Identify(&sio.Request{Header: h})
	if err != nil {
		t.Fatal(err)
	}
	codec := securecookie.New(secret, nil)
	codec.MaxAge(3600)
	store.Codecs = []securecookie.Codec{codec}
	b = gorillabridge.New(store, name)
	if v, err := b.Load(context.Background(), id); err != nil || v["user"] != "ann" {
		t.Errorf("%v %v", v, err)
	}
	if _, err := b.Identify(&sio.Request{Header: http.Header{"Cookie": {name + "=forged"}}}); !errors.Is(err, sessionbridge.ErrNoSession) {
		t.Errorf("forged: %v", err)
	}
}

// TestOtherKeys: values under keys that are not strings are not for sockets, and stay.
func TestOtherKeys(t *testing.T) {
	store := sessions.NewFilesystemStore(t.TempDir(), secret)
	h := handle(t, store, http.Header{}, func(s *sessions.Session) { s.Values[1], s.Values["a"] = "one", "x" })
	b := gorillabridge.New(store, name)
	id, _ := b.Identify(&sio.Request{Header: h})
	if v, err := b.Load(context.Background(), id); err != nil || len(v) != 1 {
		t.Errorf("%v %v", v, err)
	}
	if err := b.Save(context.Background(), id, sessionbridge.Values{"b": "y"}); err != nil {
		t.Fatal(err)
	}
	s, err := store.New(&http.Request{Header: h}, name)
	if err != nil || s.Values[1] != "one" || s.Values["b"] != "y" || len(s.Values) != 2 {
		t.Errorf("%v %v", s.Values, err)
	}
}

// TestCookieStore is read-only.
func TestCookieStore(t *testing.T) {
	store := sessions.NewCookieStore(secret)
	h := handle(t, store, http.Header{}, func(s *sessions.Session) { s.Values["user"] = "ann" })
	b, ok := gorillabridge.New(struct{ *sessions.CookieStore }{store}, name).(sessionbridge.CookieBackend)
	if !ok {
		t.Fatal("not taken for a cookie store")
	}
	if v, _, err := b.Decode(&sio.Request{Header: h}); err != nil || v["user"] != "ann" {
		t.Errorf("%v %v", v, err)
	}
	if _, _, err := b.Decode(&sio.Request{Header: http.Header{}}); !errors.Is(err, sessionbridge.ErrNoSession) {
		t.Errorf("no cookie: %v", err)
	}
}

type noCodecs struct{ sessions.Store }

// TestNoCodecs is a mistake to be seen at start-up.
func TestNoCodecs(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	gorillabridge.New(noCodecs{}, name)
}
