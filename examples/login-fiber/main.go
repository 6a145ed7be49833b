// Login-fiber is a fiber application with fiber's session middleware whose sockets
// share its sessions: the user who logs in by form chats under that name, the role in
// the session opens the admin namespace, and logging out in one tab ends the sockets of all.
package main

import (
	"context"
	"flag"
	"log"
	"net"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/session"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/examples/internal/assets"
	"github.com/siokit/siokit/examples/internal/login"
	"github.com/siokit/siokit/sessionbridge"
	fiberbridge "github.com/siokit/siokit/sessionbridge/fiber"
)

func main() {
	flag.Parse()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(recover.New())

	store := session.New(session.Config{CookieHTTPOnly: true})
	bridge := sessionbridge.New(fiberbridge.New(store), nil)
	io := login.NewServer(bridge)
	siofiber.Mount(app, "/socket.io", io)

	app.Get("/", func(c *fiber.Ctx) error {
		c.Type("html", "utf-8")
		return c.Send(login.Page)
	})
	app.Get("/socket.io.min.js", func(c *fiber.Ctx) error {
		c.Type("js")
		return c.Send(assets.Client)
	})
	app.Post("/login", func(c *fiber.Ctx) error {
		role, ok := login.Check(c.FormValue("user"), c.FormValue("password"))
		if !ok {
			return c.Status(fiber.StatusForbidden).SendString("wrong user or password")
		}
		s, err := store.Get(c)
		if err != nil {
			return err
		}
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
		return c.Redirect("/", fiber.StatusSeeOther)
	})
	app.Post("/logout", func(c *fiber.Ctx) error {
		s, err := store.Get(c)
		if err != nil {
			return err
		}
		id := s.ID()
		if err := s.Destroy(); err != nil {
			return err
		}
		bridge.Logout(context.Background(), id) // after the session is gone
		return c.SendStatus(fiber.StatusNoContent)
	})

	err := login.Run(io, func(ln net.Listener) error { return app.Listener(ln) }, app.ShutdownWithContext)
	if err != nil {
		log.Fatal(err)
	}
}
