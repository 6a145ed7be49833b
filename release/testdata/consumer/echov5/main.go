// Echo 5.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/labstack/echo/v5"

	sioechov5 "github.com/siokit/siokit/adapters/echov5"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	router := echo.New()
	sioechov5.Mount(router, "/socket.io", sio.NewServer(nil))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, router))
}
