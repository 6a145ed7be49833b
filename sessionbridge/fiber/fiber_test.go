package fiberbridge_test

import (
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/siokit/siokit/sessionbridge"
	fiberbridge "github.com/siokit/siokit/sessionbridge/fiber"
	"github.com/siokit/siokit/sessionbridge/internal/backendtest"
)

func TestBackend(t *testing.T) {
	backendtest.Fiber(t, func(storage *backendtest.Storage) (sessionbridge.Backend, backendtest.Serve[string]) {
		store := session.New(session.Config{Storage: storage})
		return fiberbridge.New(store), func(r *http.Request, f func(s backendtest.Session[string]) error) (*http.Response, error) {
			app := fiber.New()
			app.Get("/", func(c *fiber.Ctx) error {
				s, err := store.Get(c)
				if err != nil {
					return err
				}
				return f(s)
			})
			return app.Test(r)
		}
	})
}

// TestSources: the id is where the store looks for it. Like the middleware, the backend looks
// at the cookie first.
func TestSources(t *testing.T) {
	for lookup, places := range map[string][]backendtest.Place{
		"cookie:sid":   {backendtest.Cookie},
		"header:X-Sid": {backendtest.Header},
		"query:sid":    {backendtest.Query, backendtest.Cookie},
	} {
		backendtest.Sources(t, fiberbridge.New(session.New(session.Config{KeyLookup: lookup})), places...)
	}
}
