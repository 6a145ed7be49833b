// Gorilla/sessions, on net/http.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/gorilla/sessions"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/sessionbridge"
	gorillabridge "github.com/siokit/siokit/sessionbridge/gorilla"
)

func main() {
	store := sessions.NewFilesystemStore(os.TempDir(), []byte("a key of 32 bytes, for this test"))
	bridge := sessionbridge.New(gorillabridge.New(store, "session"), &sessionbridge.Options{RequireSession: true})
	io := sio.NewServer(&sio.Options{OnHandshake: bridge.OnHandshake})
	io.Of("/").On("greet", sio.Reply(greet))

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		s, _ := store.Get(r, "session")
		s.Options.Secure = false
		s.Values["user"] = "ann"
		if err := s.Save(r, w); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
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
