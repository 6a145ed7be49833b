// Zishang520 is a server on a port of socket.io to Go, with its defaults. It does what
// bench/README.md wants of a server.
//
//	zishang520 -addr 127.0.0.1:3000
package main

import (
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/zishang520/socket.io/servers/socket/v3"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:3000", "where to listen")
	flag.Parse()
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR2)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	io := socket.NewServer(nil, nil)
	err := io.On("connection", func(clients ...any) { serve(io, clients[0].(*socket.Socket)) })
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*addr, io.ServeHandler(nil)))
}

// serve registers the events of one client.
func serve(io *socket.Server, client *socket.Socket) {
	const room = socket.Room("room")
	for name, handler := range map[string]func(args ...any){
		"echo": func(args ...any) {
			if n := len(args); n > 0 {
				if ack, ok := args[n-1].(socket.Ack); ok {
					ack(args[:n-1], nil)
					return
				}
			}
			_ = client.Emit("echo", args...)
		},
		"broadcast": func(args ...any) { _ = io.Sockets().Emit("b", args...) },
		"join": func(args ...any) {
			client.Join(room)
			args[len(args)-1].(socket.Ack)(nil, nil)
		},
		"room": func(args ...any) { _ = io.Sockets().To(room).Emit("b", args...) },
	} {
		if err := client.On(name, handler); err != nil {
			log.Print(err)
		}
	}
}
