// Fiber 2.
package main

import (
	"fmt"
	"log"
	"net"

	"github.com/gofiber/fiber/v2"

	siofiber "github.com/siokit/siokit/adapters/fiber"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	siofiber.Mount(app, "/socket.io", sio.NewServer(nil))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(app.Listener(ln))
}
