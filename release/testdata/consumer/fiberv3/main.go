// Fiber 3.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/gofiber/fiber/v3"

	siofiberv3 "github.com/siokit/siokit/adapters/fiberv3"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	io := sio.NewServer(nil)
	io.Of("/").On("greet", sio.Reply(greet))

	app := fiber.New()
	siofiberv3.Mount(app, "/socket.io", io)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true}))
}

// greet says hello to a client.
func greet(_ context.Context, _ *sio.Socket, name string) (string, error) {
	return "hello " + name, nil
}
