package siofiberv3_test

import (
	"testing"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

func TestKeepPanics(t *testing.T) {
	hosttest.KeepPanics(t, func(srv *sio.Server) *conformance.Host {
		app := fiber.New()
		app.Get("/plain", func(c fiber.Ctx) error { return c.SendString("ok") })
		siofiberv3.Mount(app, "/socket.io", srv, siofiberv3.Keep(func(c fiber.Ctx) map[string]any {
			return map[string]any{"user": c.Locals("user").(string)}
		}))
		return serve(t, app, conformance.Config{Path: "/socket.io"})
	})
}
