package fiberbridge_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	fiberbridge "github.com/siokit/siokit/sessionbridge/fiber"
)

// slow is a storage that calls a function in its next write.
type slow struct {
	at atomic.Pointer[func()]
	mu sync.Mutex
	m  map[string][]byte
}

func (s *slow) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.m[key]), nil
}

func (s *slow) Set(key string, val []byte, _ time.Duration) error {
	if at := s.at.Swap(nil); at != nil {
		(*at)()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[strings.Clone(key)] = bytes.Clone(val)
	return nil
}

func (s *slow) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, key)
	return nil
}

func (s *slow) Reset() error { return nil }
func (s *slow) Close() error { return nil }

func TestBackend(t *testing.T) {
	conformance.RunBackend(t, func(testing.TB) conformance.BackendUnderTest {
		storage := &slow{m: map[string][]byte{}}
		store := session.New(session.Config{Storage: storage})
		return conformance.BackendUnderTest{
			Backend: fiberbridge.New(store),
			Slow:    func(_ testing.TB, at func()) { storage.at.Store(&at) },
			Create: func(t testing.TB, v sessionbridge.Values) http.Header {
				return handle(t, store, http.Header{}, func(s *session.Session) error {
					for k, value := range v {
						s.Set(k, value)
					}
					return s.Save()
				})
			},
			Read: func(t testing.TB, h http.Header) (v sessionbridge.Values) {
				handle(t, store, h, func(s *session.Session) error {
					if s.Fresh() {
						return nil
					}
					v = sessionbridge.Values{}
					for _, k := range s.Keys() {
						v[k] = s.Get(k)
					}
					return nil
				})
				return v
			},
			Destroy: func(t testing.TB, h http.Header) {
				handle(t, store, h, func(s *session.Session) error { return s.Destroy() })
			},
		}
	})
}

// handle is a fiber handler; the header carries the cookie that it has set.
func handle(t testing.TB, store *session.Store, h http.Header, f func(s *session.Session) error) http.Header {
	t.Helper()
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error {
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		return f(s)
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = h
	resp, err := app.Test(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	for _, c := range resp.Cookies() {
		return http.Header{"Cookie": {c.Name + "=" + c.Value}}
	}
	return http.Header{}
}

// TestSources: the id is where the store looks for it.
func TestSources(t *testing.T) {
	for lookup, r := range map[string]*sio.Request{
		"cookie:sid":   {Header: http.Header{"Cookie": {"sid=x"}}},
		"header:X-Sid": {Header: http.Header{"X-Sid": {"x"}}},
		"query:sid":    {Header: http.Header{}, RawQuery: "EIO=4&sid=x"},
	} {
		b := fiberbridge.New(session.New(session.Config{KeyLookup: lookup}))
		if id, err := b.Identify(r); id != "x" || err != nil {
			t.Errorf("%s: %q %v", lookup, id, err)
		}
		if _, err := b.Identify(&sio.Request{Header: http.Header{}}); !errors.Is(err, sessionbridge.ErrNoSession) {
			t.Errorf("%s: %v", lookup, err)
		}
	}
}
