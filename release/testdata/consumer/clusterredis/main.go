// Net/http, with a backend of a cluster that is made and left.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/redis/rueidis"

	"github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	bus := redisbus.New(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, redisbus.Options{})
	if err := bus.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	srv := sio.NewServer(nil)
	srv.Of("/").On("greet", sio.Reply(func(_ context.Context, _ *sio.Socket, name string) (string, error) {
		return "hello " + name, nil
	}))
	mux.Handle("/socket.io/", srv)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, mux))
}
