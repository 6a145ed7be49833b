package sioechov5_test

import (
	"context"

	"github.com/labstack/echo/v5"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func say(_ context.Context, s *sio.Socket, text string) error {
	return s.Broadcast().Emit("said", text)
}

func Example() {
	e := echo.New()

	io := sio.NewServer(nil)
	io.Of("/chat").On("say", sio.Handle(say))
	sioechov5.Mount(e, "/socket.io", io)

	_ = e.Start("127.0.0.1:3000")
}

func ExampleHandler() {
	e := echo.New()
	io := sio.NewServer(nil)
	e.Any("/socket.io/*", sioechov5.Handler(io))
}

func ExampleContext() {
	sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if c := sioechov5.Context(x); c.Get("user") == nil { // echo's own, alive only here
			return sio.Errorf("unauthorized", "log in first")
		}
		return nil
	}})
}
