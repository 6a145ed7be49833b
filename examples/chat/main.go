// Command chat is a chat page on any of the frameworks: rooms, nicknames, who is
// typing, and the last messages for those who join. Page and browser client are
// embedded; it needs no network.
//
//	go run ./examples/chat
//
// With -cluster several processes of one machine are one chat, each on a port of its own.
// Nothing has to be installed: one of the processes is the NATS server of all, and when it
// ends another takes over.
//
//	go run ./examples/chat -cluster
//	go run ./examples/chat -cluster -addr 127.0.0.1:3001
//
// A client may come to either port, with each of its requests: what comes for a session of
// another process is passed on. So any load balancer in front will do, with no sticky
// sessions. Rooms and lists of members are those of all processes. The last messages that a
// client gets when it joins are those that were said by way of its process, and the page says
// so. Two who join at the same moment on two processes may have the same nickname.
//
// Whoever knows the -secret can take part as a process: set one where others use the machine.
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
	var cluster clusterFlags
	flag.BoolVar(&cluster.on, "cluster", false, "be one chat with the other processes of this machine that have -cluster")
	flag.IntVar(&cluster.port, "bus", 0, "with -cluster: the port by which the processes find each other; 0 is that of natsembed")
	flag.StringVar(&cluster.secret, "secret", "siokit chat, on a machine of mine", "with -cluster: what all processes know and nobody else does; 16 bytes or more")
	flag.Parse()
	if err := run(*adapter, *addr, cluster); err != nil {
		log.Fatal(err)
	}
}

func run(adapter, addr string, cluster clusterFlags) error {
	h, err := hosts.New(adapter, "none")
	if err != nil {
		return err
	}
	if cluster.on && len(cluster.secret) < minSecret {
		return fmt.Errorf("-secret has less than %d bytes", minSecret)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	io := sio.NewServer(cluster.options())
	c := newChat()
	io.Of("/chat").Mix(c)
	h.Mount("/socket.io", io)
	h.Get("/", func() (string, []byte) { return "text/html; charset=utf-8", page })
	h.Get("/socket.io.min.js", func() (string, []byte) { return "text/javascript; charset=utf-8", assets.Client })

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()
	go c.keepTelling(stop)
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
