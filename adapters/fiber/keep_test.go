package siofiber_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

func TestKeepPanics(t *testing.T) {
	hosttest.KeepPanics(t, func(srv *sio.Server) *conformance.Host {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("ok") })
		siofiber.Mount(app, "/socket.io", srv, siofiber.Keep(func(c *fiber.Ctx) map[string]any {
			return map[string]any{"user": c.Locals("user").(string)}
		}))
		return serve(t, app, conformance.Config{Path: "/socket.io"})
	})
}
