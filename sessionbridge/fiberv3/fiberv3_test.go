package fiberv3bridge_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/extractors"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/valyala/fasthttp"

	"github.com/siokit/siokit/sessionbridge"
	fiberv3bridge "github.com/siokit/siokit/sessionbridge/fiberv3"
	"github.com/siokit/siokit/sessionbridge/internal/backendtest"
)

func TestBackend(t *testing.T) {
	backendtest.Fiber(t, func(storage *backendtest.Storage) (sessionbridge.Backend, backendtest.Serve[any]) {
		store := session.NewStore(session.Config{Storage: storage})
		return fiberv3bridge.New(store), func(r *http.Request, f func(s backendtest.Session[any]) error) (*http.Response, error) {
			app := fiber.New()
			app.Get("/", func(c fiber.Ctx) error {
				s, err := store.Get(c)
				if err != nil {
					return err
				}
				defer s.Release()
				return f(s)
			})
			return app.Test(r)
		}
	})
}

// TestSources: the id is where the store looks for it.
func TestSources(t *testing.T) {
	for _, row := range []struct {
		looks  extractors.Extractor
		places []backendtest.Place
	}{
		{extractors.FromCookie("sid"), []backendtest.Place{backendtest.Cookie}},
		{extractors.FromHeader("X-Sid"), []backendtest.Place{backendtest.Header}},
		{extractors.FromAuthHeader("Bearer"), []backendtest.Place{backendtest.Bearer}},
		{extractors.FromQuery("sid"), []backendtest.Place{backendtest.Query}},
		{extractors.FromParam("sid"), []backendtest.Place{backendtest.Param}},
		{
			extractors.Chain(extractors.FromForm("sid"), extractors.FromCookie("sid"), extractors.FromHeader("X-Sid")),
			[]backendtest.Place{backendtest.Cookie, backendtest.Header},
		},
	} {
		backendtest.Sources(t, fiberv3bridge.New(session.NewStore(session.Config{Extractor: row.looks})), row.places...)
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
		store := session.NewStore(session.Config{Storage: backendtest.NewStorage(), IdleTimeout: time.Minute, AbsoluteTimeout: time.Minute})
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
