package siofiberv3_test

import (
	"context"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
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
	siofiberv3.Mount(app, "/socket.io", io)

	_ = app.Listen("127.0.0.1:3000")
}

func ExampleHandler() {
	app := fiber.New()
	io := sio.NewServer(nil)
	app.All("/socket.io/*", siofiberv3.Handler(io))
}

func ExampleContext() {
	sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if c := siofiberv3.Context(x); c.Locals("user") == nil { // fiber's own, alive only here
			return sio.Errorf("unauthorized", "log in first")
		}
		return nil
	}})
}
