package siofiberv3_test

import (
	"net"
	"testing"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/core/host"
)

func TestDeadlines(t *testing.T) {
	app := fiber.New()
	mount := func(path string, h host.Handler) { siofiberv3.Mount(app, path, h) }
	hosttest.Deadlines(t, mount, func(ln net.Listener) error {
		return app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true})
	}, app.Shutdown)
}
