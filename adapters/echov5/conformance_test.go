package sioechov5_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestConformance(t *testing.T) { conformance.Run(t, factory) }

// TestConformanceClustered: three servers are one for their clients, whichever of them each
// request comes to.
func TestConformanceClustered(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run with one server")
	}
	conformance.Run(t, factory, conformance.Clustered(nil))
}

func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	e := echo.New()
	e.Use(middleware.Recover(), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			c.Response().Header().Set("Set-Cookie", "host=1")
			return next(c)
		}
	})
	e.GET("/plain", func(c *echo.Context) error { return c.String(http.StatusOK, "ok") })
	sioechov5.Mount(e, cfg.Path, srv)
	return conformance.ServeHTTP(t, e, cfg)
}
