// Net/http, without a framework.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", sio.NewServer(nil))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, mux))
}
