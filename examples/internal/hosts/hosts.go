// Package hosts starts the same application on any of the frameworks.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/gorilla/sessions"
	echosession "github.com/labstack/echo-contrib/session"
	"github.com/labstack/echo/v4"

	siochi "github.com/siokit/siokit/adapters/chi"
	sioecho "github.com/siokit/siokit/adapters/echo"
	siofiber "github.com/siokit/siokit/adapters/fiber"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/sessionbridge"
	fiberbridge "github.com/siokit/siokit/sessionbridge/fiber"
	"github.com/siokit/siokit/sessionbridge/memory"
)

// Host is one framework with its routes.
type Host struct {
	// Mount mounts a Socket.IO server at a path.
	Mount func(path string, h host.Handler)
	// Get registers a plain route.
	Get func(path string, f func() (contentType string, body []byte))
	// Route registers a plain route with a session; nil without a library.
	Route func(method, path string, f func(ctx context.Context, c Call) (status int, text string))
	// Backend is that of the session library, nil without one.
	Backend sessionbridge.Backend
	// Serve serves until Stop and returns nil then.
	Serve func(ln net.Listener) error
	// Stop stops gracefully.
	Stop func(ctx context.Context) error

	lib *library
}

var makers = map[string]func(library string) (*Host, error){
	"nethttp": overHTTP, "gin": overGin, "echo": overEcho, "chi": overChi, "fiber": overFiber,
	"echov5": overEchoV5, "fiberv3": overFiberV3,
}

// Names lists the frameworks.
func Names() string {
	var names []string
	for n := range makers {
		names = append(names, n)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

// New returns the host of a framework with a session library: "memory",
// "gorilla", "cookie" (gorilla with values in the cookie), "scs", "fiber", as far as
// they fit, or "none".
func New(name, library string) (*Host, error) {
	mk := makers[name]
	if mk == nil {
		return nil, fmt.Errorf("unknown adapter %q; there are %s", name, Names())
	}
	return mk(library)
}

// finish fills in what all net/http frameworks share. route registers a handler.
func finish(h *Host, handler http.Handler, lib *library, route func(method, path string, h http.Handler)) (*Host, error) {
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	h.lib = lib
	if lib != nil {
		h.Backend = lib.backend
		if h.Route == nil {
			h.Route = func(method, path string, f func(ctx context.Context, c Call) (int, string)) {
				route(method, path, lib.handler(f))
			}
		}
	}
	h.Serve = func(ln net.Listener) error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	h.Stop = func(ctx context.Context) error {
		if lib != nil && lib.close != nil {
			defer lib.close()
		}
		return srv.Shutdown(ctx)
	}
	return h, nil
}

func overHTTP(library string) (*Host, error) {
	lib, err := newLibrary(library)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	return finish(&Host{
		Mount: func(path string, h host.Handler) {
			serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				host.ServeHTTP(h, w, r, host.HTTPConfig{Path: strings.TrimPrefix(r.URL.Path, path)})
			})
			mux.Handle(path, serve)
			mux.Handle(path+"/", serve)
		},
		Get: func(path string, f func() (string, []byte)) {
			if path == "/" {
				path = "/{$}"
			}
			mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
				ct, body := f()
				w.Header().Set("Content-Type", ct)
				_, _ = w.Write(body)
			})
		},
	}, mux, lib, func(method, path string, h http.Handler) { mux.Handle(method+" "+path, h) })
}

func overGin(library string) (*Host, error) {
	lib, err := newLibrary(library)
	if err != nil {
		return nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	h := &Host{
		Mount: func(path string, h host.Handler) { siogin.Mount(r, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			r.GET(path, func(c *gin.Context) {
				ct, body := f()
				c.Data(http.StatusOK, ct, body)
			})
		},
	}
	if lib != nil && lib.gorilla != nil {
		with := ginsessions.Sessions(SessionCookie, &ginStore{lib.gorilla})
		h.Route = func(method, path string, f func(ctx context.Context, c Call) (int, string)) {
			r.Handle(method, path, with, func(c *gin.Context) {
				inner := ginsessions.Default(c).(interface{ Session() *sessions.Session }).Session()
				answer(c.Writer, c.Request, &ginSession{ginsessions.Default(c), &gorillaSession{inner, c.Writer, c.Request}}, f)
			})
		}
	}
	return finish(h, r, lib, func(method, path string, h http.Handler) { r.Handle(method, path, gin.WrapH(h)) })
}

// ginStore is a gorilla store for gin-contrib/sessions.
type ginStore struct{ sessions.Store }

// Options implements the store of gin-contrib/sessions. The stores have theirs.
func (*ginStore) Options(ginsessions.Options) {}

// ginSession is a session of gin-contrib/sessions. What that has no way for is
// done on the session inside.
type ginSession struct {
	s ginsessions.Session
	*gorillaSession
}

func (s *ginSession) ID() string { return s.s.ID() }

func (s *ginSession) Get(key string) (string, bool) {
	v, ok := s.s.Get(key).(string)
	return v, ok
}

func (s *ginSession) Set(key, value string) error {
	if s.gorillaSession.s.IsNew {
		s.gorillaSession.s.ID = ""
	}
	s.s.Set(key, value)
	return s.s.Save()
}

func (s *ginSession) Destroy() error {
	s.s.Clear()
	s.s.Options(ginsessions.Options{Path: "/", MaxAge: -1})
	return s.s.Save()
}

func overEcho(library string) (*Host, error) {
	lib, err := newLibrary(library)
	if err != nil {
		return nil, err
	}
	e := echo.New()
	h := &Host{
		Mount: func(path string, h host.Handler) { sioecho.Mount(e, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			e.GET(path, func(c echo.Context) error {
				ct, body := f()
				return c.Blob(http.StatusOK, ct, body)
			})
		},
	}
	if lib != nil && lib.gorilla != nil {
		with := echosession.Middleware(lib.gorilla)
		h.Route = func(method, path string, f func(ctx context.Context, c Call) (int, string)) {
			e.Add(method, path, func(c echo.Context) error {
				s, _ := echosession.Get(SessionCookie, c) // a session that is gone is a new one, with an error
				answer(c.Response(), c.Request(), &gorillaSession{s, c.Response(), c.Request()}, f)
				return nil
			}, with)
		}
	}
	return finish(h, e, lib, func(method, path string, h http.Handler) { e.Add(method, path, echo.WrapHandler(h)) })
}

func overChi(library string) (*Host, error) {
	lib, err := newLibrary(library)
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	return finish(&Host{
		Mount: func(path string, h host.Handler) { siochi.Mount(r, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			r.Get(path, func(w http.ResponseWriter, _ *http.Request) {
				ct, body := f()
				w.Header().Set("Content-Type", ct)
				_, _ = w.Write(body)
			})
		},
	}, r, lib, r.Method)
}

func overFiber(library string) (*Host, error) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, BodyLimit: 16 << 20})
	h := &Host{
		Mount: func(path string, h host.Handler) { siofiber.Mount(app, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			app.Get(path, func(c *fiber.Ctx) error {
				ct, body := f()
				c.Set("Content-Type", ct)
				return c.Send(body)
			})
		},
		Serve: func(ln net.Listener) error { return app.Listener(ln) },
		Stop:  app.ShutdownWithContext,
	}
	var open func(c *fiber.Ctx) (Session, error)
	switch library {
	case "none":
		return h, nil
	case "fiber":
		store := session.New(session.Config{KeyLookup: "cookie:" + SessionCookie})
		h.Backend = fiberbridge.New(store)
		open = func(c *fiber.Ctx) (Session, error) {
			s, err := store.Get(c)
			return &fiberSession{s}, err
		}
	case "memory":
		store := memory.New(SessionCookie, 0)
		h.Backend = store.Backend()
		open = func(c *fiber.Ctx) (Session, error) {
			return &memorySession{store: store, ctx: context.Background(), id: utils.CopyString(c.Cookies(SessionCookie)), cookie: func(hc *http.Cookie) {
				c.Cookie(&fiber.Cookie{Name: hc.Name, Value: hc.Value, Path: hc.Path, MaxAge: hc.MaxAge, HTTPOnly: true})
			}}, nil
		}
	default:
		return nil, fmt.Errorf("there is no session library %q for this host", library)
	}
	h.Route = func(method, path string, f func(ctx context.Context, c Call) (int, string)) {
		app.Add(method, path, func(c *fiber.Ctx) error {
			s, err := open(c)
			if err != nil {
				return err
			}
			form := func(key string) string {
				if v := c.FormValue(key); v != "" {
					return utils.CopyString(v)
				}
				return utils.CopyString(c.Query(key))
			}
			status, text := f(c.Context(), Call{Form: form, Session: s})
			return c.Status(status).SendString(text)
		})
	}
	return h, nil
}

// fiberSession is a session of fiber's middleware. Saving gives it back to a pool:
// nothing may follow.
type fiberSession struct{ s *session.Session }

func (s *fiberSession) ID() string { return s.s.ID() }

func (s *fiberSession) Get(key string) (string, bool) {
	v, ok := s.s.Get(key).(string)
	return v, ok
}

func (s *fiberSession) Set(key, value string) error {
	s.s.Set(key, value)
	return s.s.Save()
}

func (s *fiberSession) Destroy() error { return s.s.Destroy() }

func (s *fiberSession) Rotate() error {
	values := map[string]any{}
	for _, k := range s.s.Keys() {
		values[k] = s.s.Get(k)
	}
	if err := s.s.Regenerate(); err != nil {
		return err
	}
	for k, v := range values {
		s.s.Set(k, v)
	}
	return s.s.Save()
}
