package sioechov5_test

import (
	"testing"

	"github.com/labstack/echo/v5"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

func TestValues(t *testing.T) {
	hosttest.Values(t, false, func(srv *sio.Server, all bool) *conformance.Host {
		e := echo.New()
		var opts []sioechov5.Option
		if all {
			opts = append(opts, sioechov5.Keep(func(c *echo.Context) map[string]any {
				return map[string]any{"user": c.Request().Header.Get("X-User"), "n": 7, "live": c, "deep": map[string]any{"a": &struct{ any }{c.Response()}},
					"behind": hosttest.Behind(c), "func": hosttest.Func(func() string { return c.Request().Header.Get("X-User") }), "elements": hosttest.Elements(c)}
			}))
		}
		sioechov5.Mount(e, "/socket.io", srv, opts...)
		return conformance.ServeHTTP(t, e, conformance.Config{})
	})
}

func TestClientIP(t *testing.T) {
	hosttest.ClientIP(t, "IPExtractor", func(srv *sio.Server, believes bool) *conformance.Host {
		e := echo.New()
		if believes { // v5 believes nobody by default
			e.IPExtractor = echo.LegacyIPExtractor()
		}
		sioechov5.Mount(e, "/socket.io", srv)
		return conformance.ServeHTTP(t, e, conformance.Config{})
	})
}
