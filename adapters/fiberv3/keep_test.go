package siofiberv3_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// TestKeepPanics: fasthttp recovers from nothing, so a Keep that panics must end no
// more than the one handshake.
func TestKeepPanics(t *testing.T) {
	srv := sio.NewServer(&sio.Options{Logger: slog.New(slog.DiscardHandler)})
	app := fiber.New()
	app.Get("/plain", func(c fiber.Ctx) error { return c.SendString("ok") })
	siofiberv3.Mount(app, "/socket.io", srv, siofiberv3.Keep(func(c fiber.Ctx) map[string]any {
		return map[string]any{"user": c.Locals("user").(string)}
	}))
	host := serve(t, app, conformance.Config{Path: "/socket.io"})
	defer host.Stop()
	for path, want := range map[string]int{"/socket.io/?EIO=4&transport=polling": 500, "/plain": 200} {
		resp, err := http.Get(host.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d instead of %d", path, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
