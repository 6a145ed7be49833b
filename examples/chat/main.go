// Command chat is a chat page on any of the frameworks: rooms, nicknames, who is
// typing, and the last messages for those who join. Page and browser client are
// embedded; it needs no network.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/examples/internal/assets"
	"github.com/siokit/siokit/examples/internal/hosts"
)

//go:embed static/index.html
var page []byte

func main() {
	adapter := flag.String("adapter", "gin", "the web framework: "+hosts.Names())
	addr := flag.String("addr", "127.0.0.1:3000", "where to listen")
	flag.Parse()
	if err := run(*adapter, *addr); err != nil {
		log.Fatal(err)
	}
}

func run(adapter, addr string) error {
	h, err := hosts.New(adapter, "none")
	if err != nil {
		return err
	}
	io := sio.NewServer(nil)
	io.Of("/chat").Mix(newChat())
	h.Mount("/socket.io", io)
	h.Get("/", func() (string, []byte) { return "text/html; charset=utf-8", page })
	h.Get("/socket.io.min.js", func() (string, []byte) { return "text/javascript; charset=utf-8", assets.Client })

	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()
	fmt.Printf("chat on http://%s (%s)\n", ln.Addr(), adapter)
	select {
	case err := <-served:
		return err
	case <-stop.Done():
	}
	ctx, end := context.WithTimeout(context.Background(), 5*time.Second)
	defer end()
	if err := io.Shutdown(ctx); err != nil {
		return err
	}
	return h.Stop(ctx)
}
