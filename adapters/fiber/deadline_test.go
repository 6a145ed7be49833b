package siofiber_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/core/host"
)

func TestDeadlines(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	mount := func(path string, h host.Handler) { siofiber.Mount(app, path, h) }
	hosttest.Deadlines(t, mount, app.Listener, app.Shutdown)
}
