// Package backendtest holds the tests that the backends for fiber v2 and fiber v3 share.
package backendtest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// Storage is a fiber.Storage of either version. It calls a function in its next write.
type Storage struct {
	at atomic.Pointer[func()]
	mu sync.Mutex
	m  map[string][]byte
}

// NewStorage returns an empty storage.
func NewStorage() *Storage { return &Storage{m: map[string][]byte{}} }

// Get returns a copy of what is there, or nil.
func (s *Storage) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.m[key]), nil
}

// Set keeps copies, for ever.
func (s *Storage) Set(key string, val []byte, _ time.Duration) error {
	if at := s.at.Swap(nil); at != nil {
		(*at)()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[strings.Clone(key)] = bytes.Clone(val)
	return nil
}

// Delete deletes.
func (s *Storage) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, key)
	return nil
}

// Reset does nothing.
func (s *Storage) Reset() error { return nil }

// Close does nothing.
func (s *Storage) Close() error { return nil }

// GetWithContext is Get.
func (s *Storage) GetWithContext(_ context.Context, key string) ([]byte, error) { return s.Get(key) }

// SetWithContext is Set.
func (s *Storage) SetWithContext(_ context.Context, key string, val []byte, exp time.Duration) error {
	return s.Set(key, val, exp)
}

// DeleteWithContext is Delete.
func (s *Storage) DeleteWithContext(_ context.Context, key string) error { return s.Delete(key) }

// ResetWithContext does nothing.
func (s *Storage) ResetWithContext(context.Context) error { return nil }

// Session is a session of fiber in an HTTP handler. K is the type of its keys.
type Session[K any] interface {
	Fresh() bool
	Keys() []K
	Get(key K) any
	Set(key K, value any)
	Save() error
	Destroy() error
}

// Serve has f handle a request, inside of fiber, with the session that the request carries.
type Serve[K any] func(r *http.Request, f func(s Session[K]) error) (*http.Response, error)

// Fiber is conformance.RunBackend for a backend that open opens over a storage.
func Fiber[K any](t *testing.T, open func(storage *Storage) (sessionbridge.Backend, Serve[K])) {
	conformance.RunBackend(t, func(testing.TB) conformance.BackendUnderTest {
		storage := NewStorage()
		backend, serve := open(storage)
		return conformance.BackendUnderTest{
			Backend: backend,
			Slow:    func(_ testing.TB, at func()) { storage.at.Store(&at) },
			Create: func(t testing.TB, v sessionbridge.Values) http.Header {
				return serve.handle(t, http.Header{}, func(s Session[K]) error {
					for k, value := range v {
						s.Set(any(k).(K), value)
					}
					return s.Save()
				})
			},
			Read: func(t testing.TB, h http.Header) (v sessionbridge.Values) {
				serve.handle(t, h, func(s Session[K]) error {
					if s.Fresh() {
						return nil
					}
					v = sessionbridge.Values{}
					for _, k := range s.Keys() {
						v[any(k).(string)] = s.Get(k)
					}
					return nil
				})
				return v
			},
			Destroy: func(t testing.TB, h http.Header) {
				serve.handle(t, h, func(s Session[K]) error { return s.Destroy() })
			},
		}
	})
}

// handle has f handle a request with a header. The result carries the cookie that was set.
func (serve Serve[K]) handle(t testing.TB, h http.Header, f func(s Session[K]) error) http.Header {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = h
	resp, err := serve(r, f)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	for _, c := range resp.Cookies() {
		return http.Header{"Cookie": {c.Name + "=" + c.Value}}
	}
	return http.Header{}
}

// Place is where a request carries a session id.
type Place string

// The places that Sources knows: the cookie "sid", the header X-Sid, the Authorization
// header with the scheme Bearer, the query's and the route's parameter "sid".
const (
	Cookie Place = "cookie"
	Header Place = "header"
	Bearer Place = "bearer"
	Query  Place = "query"
	Param  Place = "param"
)

// requests carry the id "x".
var requests = map[Place]*sio.Request{
	Cookie: {Header: http.Header{"Cookie": {"sid=x"}}},
	Header: {Header: http.Header{"X-Sid": {"x"}}},
	Bearer: {Header: http.Header{"Authorization": {"bearer x"}}},
	Query:  {Header: http.Header{}, RawQuery: "EIO=4&sid=x"},
	Param:  {Header: http.Header{}, Params: map[string]string{"sid": "x"}},
}

// Sources checks that the backend of a store that looks in places finds the id in each of
// them, and no id in a request that carries none.
func Sources(t *testing.T, b sessionbridge.Backend, places ...Place) {
	t.Helper()
	for _, place := range places {
		if id, err := b.Identify(requests[place]); id != "x" || err != nil {
			t.Errorf("%s: %q %v", place, id, err)
		}
	}
	if id, err := b.Identify(&sio.Request{Header: http.Header{"Authorization": {"Basic x"}}}); !errors.Is(err, sessionbridge.ErrNoSession) {
		t.Errorf("%v, and none of them: %q %v", places, id, err)
	}
}
