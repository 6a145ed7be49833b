package hosts

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/extractors"
	"github.com/gofiber/fiber/v3/middleware/session"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/core/host"
	fiberv3bridge "github.com/siokit/siokit/sessionbridge/fiberv3"
	"github.com/siokit/siokit/sessionbridge/memory"
)

func overFiberV3(library string) (*Host, error) {
	app := fiber.New(fiber.Config{BodyLimit: 16 << 20})
	h := &Host{
		Mount: func(path string, h host.Handler) { siofiberv3.Mount(app, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			app.Get(path, func(c fiber.Ctx) error {
				ct, body := f()
				c.Set("Content-Type", ct)
				return c.Send(body)
			})
		},
		Serve: func(ln net.Listener) error {
			return app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true})
		},
		Stop: app.ShutdownWithContext,
	}
	var open func(c fiber.Ctx) (s Session, release func(), err error)
	switch library {
	case "none":
		return h, nil
	case "fiber":
		store := session.NewStore(session.Config{Extractor: extractors.FromCookie(SessionCookie)})
		h.Backend = fiberv3bridge.New(store)
		open = func(c fiber.Ctx) (Session, func(), error) {
			s, err := store.Get(c)
			return &fiberV3Session{s}, s.Release, err
		}
	case "memory":
		store := memory.New(SessionCookie, 0)
		h.Backend = store.Backend()
		open = func(c fiber.Ctx) (Session, func(), error) {
			return &memorySession{store: store, ctx: context.Background(), id: strings.Clone(c.Cookies(SessionCookie)), cookie: func(hc *http.Cookie) {
				c.Cookie(&fiber.Cookie{Name: hc.Name, Value: hc.Value, Path: hc.Path, MaxAge: hc.MaxAge, HTTPOnly: true})
			}}, func() {}, nil
		}
	default:
		return nil, fmt.Errorf("there is no session library %q for this host", library)
	}
	h.Route = func(method, path string, f func(ctx context.Context, c Call) (int, string)) {
		app.Add([]string{method}, path, func(c fiber.Ctx) error {
			s, release, err := open(c)
			if err != nil {
				return err
			}
			defer release()
			form := func(key string) string {
				if v := c.FormValue(key); v != "" {
					return strings.Clone(v)
				}
				return strings.Clone(c.Query(key))
			}
			status, text := f(c.Context(), Call{Form: form, Session: s})
			return c.Status(status).SendString(text)
		})
	}
	return h, nil
}

// fiberV3Session is a session of the middleware of fiber v3.
type fiberV3Session struct{ s *session.Session }

func (s *fiberV3Session) ID() string { return s.s.ID() }

func (s *fiberV3Session) Get(key string) (string, bool) {
	v, ok := s.s.Get(key).(string)
	return v, ok
}

func (s *fiberV3Session) Set(key, value string) error {
	s.s.Set(key, value)
	return s.s.Save()
}

func (s *fiberV3Session) Destroy() error { return s.s.Destroy() }

// Rotate gives the session another id. Fiber v3 keeps its values.
func (s *fiberV3Session) Rotate() error {
	if err := s.s.Regenerate(); err != nil {
		return err
	}
	return s.s.Save()
}
