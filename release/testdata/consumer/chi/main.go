// Chi.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/go-chi/chi/v5"

	siochi "github.com/siokit/siokit/adapters/chi"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	router := chi.NewRouter()
	siochi.Mount(router, "/socket.io", sio.NewServer(nil))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, router))
}
