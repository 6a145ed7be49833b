//go:build linux

// Peers are servers to compare with: bare websocket libraries, and TCP alone.
//
//	peers -lib gws -addr 127.0.0.1:3000             a websocket library: echo and broadcast
//	peers -lib gorilla, -lib coder                  the same with two others
//	peers -lib tcp -addr 127.0.0.1:3000             TCP on one event loop: echo
//	peers -lib tcp -broadcast -addr 127.0.0.1:3000  the same: what one sends, all get
//
// Linux only: the event loop is epoll.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	lib := flag.String("lib", "gws", "gws, gorilla, coder or tcp")
	addr := flag.String("addr", "127.0.0.1:3000", "where to listen")
	all := flag.Bool("broadcast", false, "tcp: send all input to all connections")
	flag.Parse()
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR2)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	var err error
	switch *lib {
	case "gws":
		err = serveGWS(*addr)
	case "gorilla":
		err = serveGorilla(*addr)
	case "coder":
		err = serveCoder(*addr)
	case "tcp":
		err = serveTCP(*addr, *all)
	default:
		err = fmt.Errorf("-lib: there is no %q", *lib)
	}
	log.Fatal(err)
}
