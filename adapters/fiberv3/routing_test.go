package siofiberv3_test

import (
	"testing"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func TestGroup(t *testing.T) {
	live := func(x host.Exchange) bool { return siofiberv3.Context(x) != nil }
	hosttest.Group(t, live, func(srv *sio.Server) *conformance.Host {
		app := fiber.New()
		g := app.Group("/t/:tenant", func(c fiber.Ctx) error {
			c.Locals("user", "ann")
			return c.Next()
		})
		siofiberv3.Mount(g, "/socket.io", srv)
		app.All("/own/*", siofiberv3.Handler(srv))
		return serve(t, app, conformance.Config{})
	})
}
