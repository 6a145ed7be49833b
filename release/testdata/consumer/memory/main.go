// Sessions in memory, on net/http.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	"github.com/siokit/siokit/sessionbridge/memory"
)

func main() {
	store := memory.New("session", time.Hour)
	bridge := sessionbridge.New(store.Backend(), &sessionbridge.Options{RequireSession: true})
	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
	io.Of("/").On("greet", sio.Reply(greet))

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, store.Create(sessionbridge.Values{"user": "ann"}))
	})

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
