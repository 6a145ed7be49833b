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

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"

	siochi "github.com/siokit/siokit/adapters/chi"
	sioecho "github.com/siokit/siokit/adapters/echo"
	siofiber "github.com/siokit/siokit/adapters/fiber"
	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/host"
)

// Host is one framework with its routes.
type Host struct {
	// Mount mounts a Socket.IO server at a path.
	Mount func(path string, h host.Handler)
	// Get registers a plain route.
	Get func(path string, f func() (contentType string, body []byte))
	// Serve serves until Stop and returns nil then.
	Serve func(ln net.Listener) error
	// Stop stops gracefully.
	Stop func(ctx context.Context) error
}

var makers = map[string]func() *Host{
	"nethttp": overHTTP, "gin": overGin, "echo": overEcho, "chi": overChi, "fiber": overFiber,
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

// New returns the host of a framework.
func New(name string) (*Host, error) {
	mk := makers[name]
	if mk == nil {
		return nil, fmt.Errorf("unknown adapter %q; there are %s", name, Names())
	}
	return mk(), nil
}

// finish fills in what all net/http frameworks share.
func finish(h *Host, handler http.Handler) *Host {
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	h.Serve = func(ln net.Listener) error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	h.Stop = srv.Shutdown
	return h
}

func overHTTP() *Host {
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
	}, mux)
}

func overGin() *Host {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	return finish(&Host{
		Mount: func(path string, h host.Handler) { siogin.Mount(r, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			r.GET(path, func(c *gin.Context) {
				ct, body := f()
				c.Data(http.StatusOK, ct, body)
			})
		},
	}, r)
}

func overEcho() *Host {
	e := echo.New()
	return finish(&Host{
		Mount: func(path string, h host.Handler) { sioecho.Mount(e, path, h) },
		Get: func(path string, f func() (string, []byte)) {
			e.GET(path, func(c echo.Context) error {
				ct, body := f()
				return c.Blob(http.StatusOK, ct, body)
			})
		},
	}, e)
}

func overChi() *Host {
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
	}, r)
}

func overFiber() *Host {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, BodyLimit: 16 << 20})
	return &Host{
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
}
