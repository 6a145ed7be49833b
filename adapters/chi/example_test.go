package siochi_test

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	siochi "github.com/siokit/siokit/adapters/chi"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

func say(_ context.Context, s *sio.Socket, text string) error {
	return s.Broadcast().Emit("said", text)
}

func Example() {
	r := chi.NewRouter()

	io := sio.NewServer(nil)
	io.Of("/chat").On("say", sio.Handle(say))
	siochi.Mount(r, "/socket.io", io)

	_ = http.ListenAndServe("127.0.0.1:3000", r)
}

func ExampleHandler() {
	r := chi.NewRouter()
	io := sio.NewServer(nil)
	r.Handle("/socket.io/*", siochi.Handler(io))
}

func ExampleContext() {
	sio.NewServer(&sio.Options{OnHandshake: func(_ context.Context, _ *sio.Request, x host.Exchange) error {
		if r := siochi.Context(x); chi.URLParam(r, "tenant") == "" { // chi's own, alive only here
			return sio.Errorf("unauthorized", "no tenant")
		}
		return nil
	}})
}
