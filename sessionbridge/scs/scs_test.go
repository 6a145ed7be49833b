package scsbridge_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	scsbridge "github.com/siokit/siokit/sessionbridge/scs"
)

// slow is a store that calls a function in its next write.
type slow struct {
	*memstore.MemStore
	at atomic.Pointer[func()]
}

func (s *slow) Commit(token string, b []byte, expiry time.Time) error {
	if at := s.at.Swap(nil); at != nil {
		(*at)()
	}
	return s.MemStore.Commit(token, b, expiry)
}

func TestBackend(t *testing.T) {
	for what, configure := range map[string]func(sm *scs.SessionManager){
		"plain":  func(*scs.SessionManager) {},
		"idle":   func(sm *scs.SessionManager) { sm.IdleTimeout = time.Hour },
		"hashed": func(sm *scs.SessionManager) { sm.HashTokenInStore = true },
	} {
		t.Run(what, func(t *testing.T) {
			conformance.RunBackend(t, func(testing.TB) conformance.BackendUnderTest {
				sm := scs.New()
				configure(sm)
				store := &slow{MemStore: memstore.NewWithCleanupInterval(0)}
				sm.Store = store
				return conformance.BackendUnderTest{
					Slow:    func(_ testing.TB, at func()) { store.at.Store(&at) },
					Backend: scsbridge.New(sm),
					Create: func(t testing.TB, v sessionbridge.Values) http.Header {
						return handle(t, sm, http.Header{}, func(ctx context.Context) {
							for k, value := range v {
								sm.Put(ctx, k, value)
							}
						})
					},
					Read: func(t testing.TB, h http.Header) (v sessionbridge.Values) {
						handle(t, sm, h, func(ctx context.Context) {
							if sm.Token(ctx) == "" {
								return
							}
							v = sessionbridge.Values{}
							for _, k := range sm.Keys(ctx) {
								v[k] = sm.Get(ctx, k)
							}
						})
						return v
					},
					Destroy: func(t testing.TB, h http.Header) {
						handle(t, sm, h, func(ctx context.Context) { _ = sm.Destroy(ctx) })
					},
				}
			})
		})
	}
}

// handle is an HTTP handler inside of LoadAndSave; the header carries the cookie
// that it has set, if any.
func handle(t testing.TB, sm *scs.SessionManager, h http.Header, f func(ctx context.Context)) http.Header {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = h
	w := httptest.NewRecorder()
	sm.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r.Context()) })).ServeHTTP(w, r)
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return http.Header{"Cookie": {cookie}}
}

// TestInside: a socket inside of LoadAndSave would undo logouts, so its
// handshakes are refused; the log names the middleware.
func TestInside(t *testing.T) {
	sm := scs.New()
	b := scsbridge.New(sm)
	var got error
	h := host.HandlerFunc(func(x host.Exchange) {
		got = b.(sessionbridge.Inspector).Inspect(x)
		_ = x.Reply(200, nil)
	})
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { host.ServeHTTP(h, w, r, host.HTTPConfig{Native: r}) })
	sm.LoadAndSave(serve).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if got == nil || !strings.Contains(got.Error(), "LoadAndSave") {
		t.Errorf("inside: %v", got)
	}
	serve.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if got != nil {
		t.Errorf("outside: %v", got)
	}
}

// TestStaleContext: what was loaded into a context is not asked again.
func TestStaleContext(t *testing.T) {
	sm := scs.New()
	h := handle(t, sm, http.Header{}, func(ctx context.Context) { sm.Put(ctx, "n", 1) })
	b := scsbridge.New(sm)
	id, err := b.Identify(&sio.Request{Header: h})
	if err != nil {
		t.Fatal(err)
	}
	handle(t, sm, h, func(ctx context.Context) {
		handle(t, sm, h, func(ctx context.Context) { sm.Put(ctx, "n", 2) })
		if v, err := b.Load(ctx, id); err != nil || v["n"] != 2 {
			t.Errorf("%v %v", v, err)
		}
	})
}
