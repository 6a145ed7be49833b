// Scs, on net/http.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/alexedwards/scs/v2"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	scsbridge "github.com/siokit/siokit/sessionbridge/scs"
)

func main() {
	manager := scs.New()
	bridge := sessionbridge.New(scsbridge.New(manager), &sessionbridge.Options{RequireSession: true})
	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
	io.Of("/").On("greet", sio.Reply(greet))

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.Handle("/login", manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		manager.Put(r.Context(), "user", "ann")
	})))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	log.Fatal(http.Serve(ln, mux))
}

// greet says hello to the user of the session.
func greet(ctx context.Context, s *sio.Socket, _ string) (string, error) {
	sess, _ := sessionbridge.From(ctx, s)
	return fmt.Sprint("hello ", sess.Get("user")), nil
}
