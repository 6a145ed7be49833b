// Fiber 2 with its session middleware.
package main

import (
	"context"
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
	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
	io.Of("/").On("greet", sio.Reply(greet))

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	siofiber.Mount(app, "/socket.io", io)
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

// greet says hello to the user of the session.
func greet(ctx context.Context, s *sio.Socket, _ string) (string, error) {
	sess, _ := sessionbridge.From(ctx, s)
	return fmt.Sprint("hello ", sess.Get("user")), nil
}
