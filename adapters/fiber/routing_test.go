package siofiber_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func TestGroup(t *testing.T) {
	live := func(x host.Exchange) bool { return siofiber.Context(x) != nil }
	hosttest.Group(t, live, func(srv *sio.Server) *conformance.Host {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		g := app.Group("/t/:tenant", func(c *fiber.Ctx) error {
			c.Locals("user", "ann")
			return c.Next()
		})
		siofiber.Mount(g, "/socket.io", srv)
		app.All("/own/*", siofiber.Handler(srv))
		return serve(t, app, conformance.Config{})
	})
}
