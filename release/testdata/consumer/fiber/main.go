// Fiber 2.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	io := sio.NewServer(nil)
	io.Of("/").On("greet", sio.Reply(greet))

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	siofiber.Mount(app, "/socket.io", io)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(app.Listener(ln))
}

// greet says hello to a client.
func greet(_ context.Context, _ *sio.Socket, name string) (string, error) {
	return "hello " + name, nil
}
