package fiberv3bridge_test

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
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/extractors"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/valyala/fasthttp"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	fiberv3bridge "github.com/siokit/siokit/sessionbridge/fiberv3"
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

func (s *slow) GetWithContext(_ context.Context, key string) ([]byte, error) { return s.Get(key) }

func (s *slow) SetWithContext(_ context.Context, key string, val []byte, exp time.Duration) error {
	return s.Set(key, val, exp)
}

func (s *slow) DeleteWithContext(_ context.Context, key string) error { return s.Delete(key) }

func (s *slow) ResetWithContext(context.Context) error { return nil }

func (s *slow) Reset() error { return nil }
func (s *slow) Close() error { return nil }

func TestBackend(t *testing.T) {
	conformance.RunBackend(t, func(testing.TB) conformance.BackendUnderTest {
		storage := &slow{m: map[string][]byte{}}
		store := session.NewStore(session.Config{Storage: storage})
		return conformance.BackendUnderTest{
			Backend: fiberv3bridge.New(store),
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
						v[k.(string)] = s.Get(k)
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
	app.Get("/", func(c fiber.Ctx) error {
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		defer s.Release()
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
	header := func(name, value string) *sio.Request { return &sio.Request{Header: http.Header{name: {value}}} }
	for name, row := range map[string]struct {
		place extractors.Extractor
		r     *sio.Request
	}{
		"cookie": {extractors.FromCookie("sid"), header("Cookie", "sid=x")},
		"header": {extractors.FromHeader("X-Sid"), header("X-Sid", "x")},
		"bearer": {extractors.FromAuthHeader("Bearer"), header("Authorization", "bearer x")},
		"query":  {extractors.FromQuery("sid"), &sio.Request{Header: http.Header{}, RawQuery: "EIO=4&sid=x"}},
		"param":  {extractors.FromParam("sid"), &sio.Request{Header: http.Header{}, Params: map[string]string{"sid": "x"}}},
		"chain":  {extractors.Chain(extractors.FromForm("sid"), extractors.FromCookie("sid"), extractors.FromHeader("X-Sid")), header("X-Sid", "x")},
	} {
		b := fiberv3bridge.New(session.NewStore(session.Config{Extractor: row.place}))
		if id, err := b.Identify(row.r); id != "x" || err != nil {
			t.Errorf("%s: %q %v", name, id, err)
		}
		if _, err := b.Identify(&sio.Request{Header: http.Header{"Authorization": {"Basic x"}}}); !errors.Is(err, sessionbridge.ErrNoSession) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoSource: a store that looks where the bridge cannot is refused at start-up.
func TestNoSource(t *testing.T) {
	defer func() {
		if p := recover(); p == nil {
			t.Error("New does not panic")
		}
	}()
	fiberv3bridge.New(session.NewStore(session.Config{Extractor: extractors.FromForm("sid")}))
}

// TestAbsoluteTimeout: what fiber keeps in a session under keys of its own outlives a
// save, so the session still ends when it should; and an ended one is destroyed.
func TestAbsoluteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		store := session.NewStore(session.Config{Storage: &slow{m: map[string][]byte{}}, IdleTimeout: time.Minute, AbsoluteTimeout: time.Minute})
		b := fiberv3bridge.New(store)
		app := fiber.New() // not served: fasthttp's clock would outlive the bubble
		s, err := store.Get(app.AcquireCtx(&fasthttp.RequestCtx{}))
		if err != nil {
			t.Fatal(err)
		}
		id := s.ID()
		s.Set("n", 1)
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
		s.Release()
		time.Sleep(40 * time.Second)
		if err := b.Save(ctx, id, sessionbridge.Values{"n": 2}); err != nil {
			t.Fatal(err)
		}
		if v, err := b.Load(ctx, id); err != nil || len(v) != 1 || v["n"] != 2 {
			t.Errorf("%v %v", v, err)
		}
		time.Sleep(40 * time.Second)
		if v, err := b.Load(ctx, id); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Errorf("behind its absolute timeout: %v %v", v, err)
		}
		if err := b.Save(ctx, id, sessionbridge.Values{"n": 3}); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Errorf("behind its absolute timeout: %v", err)
		}
	})
}
