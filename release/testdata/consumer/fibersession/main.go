// Fiber 2 with its session middleware.
package main

import (
	"fmt"
	"log"
	"net"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	fiberbridge "github.com/siokit/siokit/sessionbridge/fiber"
)

func main() {
	store := session.New()
	bridge := sessionbridge.New(fiberbridge.New(store), &sessionbridge.Options{RequireSession: true})

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	siofiber.Mount(app, "/socket.io", sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake}))
	app.Get("/login", func(c *fiber.Ctx) error {
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		s.Set("user", "ann")
		return s.Save()
	})

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(app.Listener(ln))
}
