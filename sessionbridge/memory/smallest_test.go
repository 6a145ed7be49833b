package memory_test

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"sync"
	"testing"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
)

// table is the smallest session backend: a map, and the id in a cookie.
type table struct {
	mu sync.Mutex
	m  map[string]sessionbridge.Values
}

var _ sessionbridge.Backend = (*table)(nil)

func (*table) Identify(r *sio.Request) (string, error) {
	c, err := r.Cookie("id")
	if err != nil || c.Value == "" {
		return "", sessionbridge.ErrNoSession
	}
	return c.Value, nil
}

func (b *table) Load(_ context.Context, id string) (sessionbridge.Values, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.m[id]
	if !ok {
		return nil, sessionbridge.ErrDestroyed
	}
	return maps.Clone(v), nil
}

func (b *table) Save(_ context.Context, id string, v sessionbridge.Values) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.m[id]; !ok {
		return sessionbridge.ErrDestroyed // a save never makes a session
	}
	b.m[id] = maps.Clone(v)
	return nil
}

func (b *table) Delete(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, id)
	return nil
}

func TestSmallestBackend(t *testing.T) {
	id := func(h http.Header) string {
		c, _ := (&http.Request{Header: h}).Cookie("id")
		return c.Value
	}
	conformance.RunBackend(t, func(testing.TB) conformance.BackendUnderTest {
		b := &table{m: map[string]sessionbridge.Values{}}
		return conformance.BackendUnderTest{
			Backend: b,
			Create: func(_ testing.TB, v sessionbridge.Values) http.Header {
				id := rand.Text()
				b.mu.Lock()
				defer b.mu.Unlock()
				b.m[id] = maps.Clone(v)
				return http.Header{"Cookie": {"id=" + id}}
			},
			Read: func(_ testing.TB, h http.Header) sessionbridge.Values {
				v, _ := b.Load(context.Background(), id(h))
				return v
			},
			Destroy: func(_ testing.TB, h http.Header) { _ = b.Delete(context.Background(), id(h)) },
		}
	})
}
