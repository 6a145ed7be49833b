package memory_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	"github.com/siokit/siokit/sessionbridge/memory"
)

func TestBackend(t *testing.T) {
	conformance.RunBackend(t, func(testing.TB) conformance.BackendUnderTest {
		s := memory.New("sid", 0)
		id := func(h http.Header) string {
			c, _ := (&http.Request{Header: h}).Cookie("sid")
			return c.Value
		}
		return conformance.BackendUnderTest{
			Backend: s.Backend(),
			Create: func(_ testing.TB, v sessionbridge.Values) http.Header {
				return http.Header{"Cookie": {s.Create(v).String()}}
			},
			Read: func(_ testing.TB, h http.Header) sessionbridge.Values {
				v, err := s.Backend().Load(context.Background(), id(h))
				if err != nil {
					return nil
				}
				return v
			},
			Destroy: func(_ testing.TB, h http.Header) { _ = s.Backend().Delete(context.Background(), id(h)) },
		}
	})
}

// TestExpiry: sessions live as long as they are used.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := memory.New("sid", time.Hour)
		b := s.Backend()
		c := s.Create(sessionbridge.Values{"n": 1})
		id, err := b.Identify(&sio.Request{Header: http.Header{"Cookie": {c.String()}}})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(50 * time.Minute) // the virtual clock
			if err := b.(sessionbridge.Toucher).Touch(ctx, id); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(61 * time.Minute)
		if _, err := b.Load(ctx, id); !errors.Is(err, sessionbridge.ErrDestroyed) {
			t.Error(err)
		}
	})
}
