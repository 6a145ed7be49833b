package siofiber_test

import (
	"context"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func say(_ context.Context, s *sio.Socket, text string) error {
	return s.Broadcast().Emit("said", text)
}

func Example() {
	app := fiber.New()

	io := sio.NewServer(nil)
	io.Of("/chat").On("say", sio.Handle(say))
	siofiber.Mount(app, "/socket.io", io)

	_ = app.Listen("127.0.0.1:3000")
}

func ExampleHandler() {
	app := fiber.New()
	io := sio.NewServer(nil)
	app.All("/socket.io/*", siofiber.Handler(io))
}

func ExampleContext() {
	sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if c := siofiber.Context(x); c.Locals("user") == nil { // fiber's own, alive only here
			return sio.Errorf("unauthorized", "log in first")
		}
		return nil
	}})
}
