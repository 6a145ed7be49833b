// Echo 4.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"

	sioecho "github.com/siokit/siokit/adapters/echo"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	router := echo.New()
	sioecho.Mount(router, "/socket.io", sio.NewServer(nil))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, router))
}
