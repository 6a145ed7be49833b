package sioecho_test

import (
	"testing"

	"github.com/labstack/echo/v4"

	sioecho "github.com/siokit/siokit/adapters/echo"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

func TestValues(t *testing.T) {
	hosttest.Values(t, false, func(srv *sio.Server, all bool) *conformance.Host {
		e := echo.New()
		var opts []sioecho.Option
		if all {
			opts = append(opts, sioecho.Keep(func(c echo.Context) map[string]any {
				return map[string]any{"user": c.Request().Header.Get("X-User"), "n": 7, "live": c, "deep": map[string]any{"a": &struct{ any }{c.Response()}},
					"behind": hosttest.Behind(c), "func": hosttest.Func(func() string { return c.Request().Header.Get("X-User") }), "elements": hosttest.Elements(c)}
			}))
		}
		sioecho.Mount(e, "/socket.io", srv, opts...)
		return conformance.ServeHTTP(t, e, conformance.Config{})
	})
}

func TestClientIP(t *testing.T) {
	hosttest.ClientIP(t, "IPExtractor", func(srv *sio.Server, believes bool) *conformance.Host {
		e := echo.New()
		if !believes {
			e.IPExtractor = echo.ExtractIPDirect()
		}
		sioecho.Mount(e, "/socket.io", srv)
		return conformance.ServeHTTP(t, e, conformance.Config{})
	})
}
