// Echo 4.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"

	sioecho "github.com/siokit/siokit/adapters/echo"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	io := sio.NewServer(nil)
	io.Of("/").On("greet", sio.Reply(greet))

	router := echo.New()
	sioecho.Mount(router, "/socket.io", io)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, router))
}

// greet says hello to a client.
func greet(_ context.Context, _ *sio.Socket, name string) (string, error) {
	return "hello " + name, nil
}
