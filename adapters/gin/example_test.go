package siogin_test

import (
	"context"

	"github.com/gin-gonic/gin"

	siogin "github.com/siokit/siokit/adapters/gin"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func say(_ context.Context, s *sio.Socket, text string) error {
	return s.Broadcast().Emit("said", text)
}

func Example() {
	router := gin.Default()

	io := sio.NewServer(nil)
	io.Of("/chat").On("say", sio.Handle(say))
	siogin.Mount(router, "/socket.io", io)

	_ = router.Run("127.0.0.1:3000")
}

func ExampleHandler() {
	router := gin.New()
	io := sio.NewServer(nil)
	router.Any("/socket.io/*any", siogin.Handler(io))
}

func ExampleContext() {
	sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, r *sio.Request, x host.Exchange) error {
		if c := siogin.Context(x); c.GetString("user") == "" { // gin's own, alive only here
			return sio.Errorf("unauthorized", "log in first")
		}
		return nil
	}})
}
