// Echo 5.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/labstack/echo/v5"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	io := sio.NewServer(nil)
	io.Of("/").On("greet", sio.Reply(greet))

	router := echo.New()
	sioechov5.Mount(router, "/socket.io", io)

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
