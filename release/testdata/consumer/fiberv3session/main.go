// Fiber 3 with its session store.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	fiberv3bridge "github.com/siokit/siokit/sessionbridge/fiberv3"
)

func main() {
	store := session.NewStore()
	bridge := sessionbridge.New(fiberv3bridge.New(store), &sessionbridge.Options{RequireSession: true})
	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
	io.Of("/").On("greet", sio.Reply(greet))

	app := fiber.New()
	siofiberv3.Mount(app, "/socket.io", io)
	app.Get("/login", func(c fiber.Ctx) error {
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		defer s.Release()
		s.Set("user", "ann")
		return s.Save()
	})

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true}))
}

// greet says hello to the user of the session.
func greet(ctx context.Context, s *sio.Socket, _ string) (string, error) {
	sess, _ := sessionbridge.From(ctx, s)
	return fmt.Sprint("hello ", sess.Get("user")), nil
}
