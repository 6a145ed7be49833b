// Net/http, without a framework.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	io := sio.NewServer(nil)
	io.Of("/").On("greet", sio.Reply(greet))

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, mux))
}

// greet says hello to a client.
func greet(_ context.Context, _ *sio.Socket, name string) (string, error) {
	return "hello " + name, nil
}
