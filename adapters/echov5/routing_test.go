package sioechov5_test

import (
	"testing"

	"github.com/labstack/echo/v5"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func TestGroup(t *testing.T) {
	live := func(x host.Exchange) bool { return sioechov5.Context(x) != nil }
	hosttest.Group(t, live, func(srv *sio.Server) *conformance.Host {
		e := echo.New()
		g := e.Group("/t/:tenant", func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				c.Set("user", "ann")
				return next(c)
			}
		})
		sioechov5.Mount(g, "/socket.io", srv, sioechov5.Keep(func(c *echo.Context) map[string]any {
			return map[string]any{"user": c.Get("user")}
		}))
		e.Any("/own/*", sioechov5.Handler(srv))
		return conformance.ServeHTTP(t, e, conformance.Config{})
	})
}
