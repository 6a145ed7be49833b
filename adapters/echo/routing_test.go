package sioecho_test

import (
	"testing"

	"github.com/labstack/echo/v4"

	sioecho "github.com/siokit/siokit/adapters/echo"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func TestGroup(t *testing.T) {
	live := func(x host.Exchange) bool { return sioecho.Context(x) != nil }
	hosttest.Group(t, live, func(srv *sio.Server) *conformance.Host {
		e := echo.New()
		g := e.Group("/t/:tenant", func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				c.Set("user", "ann")
				return next(c)
			}
		})
		sioecho.Mount(g, "/socket.io", srv, sioecho.Keep(func(c echo.Context) map[string]any {
			return map[string]any{"user": c.Get("user")}
		}))
		e.Any("/own/*", sioecho.Handler(srv))
		return conformance.ServeHTTP(t, e, conformance.Config{})
	})
}
