// Login-fiberv3 is an application on fiber v3 with its session store whose sockets
// share its sessions: the user who logs in by form chats under that name, the role in
// the session opens the admin namespace, and logging out in one tab ends the sockets of all.
package main

import (
	"context"
	"flag"
	"log"
	"net"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/gofiber/fiber/v3/middleware/session"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/examples/internal/assets"
	"github.com/siokit/siokit/examples/internal/login"
	"github.com/siokit/siokit/sessionbridge"
	fiberv3bridge "github.com/siokit/siokit/sessionbridge/fiberv3"
)

func main() {
	flag.Parse()
	app := fiber.New()
	app.Use(recover.New())

	store := session.NewStore(session.Config{CookieHTTPOnly: true})
	bridge := sessionbridge.New(fiberv3bridge.New(store), nil)
	io := login.NewServer(bridge)
	siofiberv3.Mount(app, "/socket.io", io)

	app.Get("/", func(c fiber.Ctx) error {
		c.Type("html", "utf-8")
		return c.Send(login.Page)
	})
	app.Get("/socket.io.min.js", func(c fiber.Ctx) error {
		c.Type("js")
		return c.Send(assets.Client)
	})
	app.Post("/login", func(c fiber.Ctx) error {
		role, ok := login.Check(c.FormValue("user"), c.FormValue("password"))
		if !ok {
			return c.Status(fiber.StatusForbidden).SendString("wrong user or password")
		}
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		defer s.Release()
		old := s.ID()
		if err := s.Regenerate(); err != nil { // nobody else may know the id of a logged in session
			return err
		}
		s.Set("user", string([]byte(c.FormValue("user")))) // fiber's own string changes with the next request
		s.Set("role", role)
		if err := s.Save(); err != nil {
			return err
		}
		bridge.Logout(context.Background(), old)
		return c.Redirect().Status(fiber.StatusSeeOther).To("/")
	})
	app.Post("/logout", func(c fiber.Ctx) error {
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		defer s.Release()
		id := s.ID()
		if err := s.Destroy(); err != nil {
			return err
		}
		bridge.Logout(context.Background(), id) // after the session is gone
		return c.SendStatus(fiber.StatusNoContent)
	})

	err := login.Run(io, func(ln net.Listener) error { return app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true}) }, app.ShutdownWithContext)
	if err != nil {
		log.Fatal(err)
	}
}
