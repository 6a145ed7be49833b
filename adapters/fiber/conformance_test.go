package siofiber_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestConformance(t *testing.T) { conformance.Run(t, factory, hosttest.FasthttpLacks...) }

// TestConformanceTLS: with TLS a hijacked connection stays in fasthttp's handler.
func TestConformanceTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run without TLS")
	}
	conformance.Run(t, factory, append(hosttest.FasthttpLacks, conformance.OverTLS())...)
}

func factory(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	return mounted(t, fiber.New(fiber.Config{DisableStartupMessage: true}), srv, cfg)
}

// mounted serves srv as the suite demands of a host.
func mounted(t testing.TB, app *fiber.App, srv *sio.Server, cfg conformance.Config) *conformance.Host {
	app.Use(func(c *fiber.Ctx) error {
		c.Set("Set-Cookie", "host=1")
		return c.Next()
	})
	app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("ok") })
	siofiber.Mount(app, cfg.Path, srv)
	return serve(t, app, cfg)
}

// serve starts an app for a case.
func serve(t testing.TB, app *fiber.App, cfg conformance.Config) *conformance.Host {
	return hosttest.Fasthttp(t, cfg, app.Listener, app.Server().GetOpenConnectionsCount, app.ShutdownWithTimeout)
}

// TestConformanceClustered: three servers are one for their clients, whichever of them each
// request comes to. fasthttp answers behind the exchange, also one that another server makes.
func TestConformanceClustered(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite has run with one server")
	}
	conformance.Run(t, factory, append(hosttest.FasthttpLacks, conformance.Clustered(nil))...)
}
