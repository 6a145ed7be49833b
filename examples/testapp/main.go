// Command testapp is the server that checks from outside run against: official
// clients, protocol suites, load generators. It uses the public API only.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/examples/internal/hosts"
	"github.com/siokit/siokit/sessionbridge"
)

type config struct {
	adapter, addr, mount, profile, transports, origins, session string

	patience time.Duration
}

func main() {
	var c config
	flag.StringVar(&c.adapter, "adapter", "nethttp", "the host: "+hosts.Names())
	flag.StringVar(&c.addr, "addr", "127.0.0.1:3000", "where to listen")
	flag.StringVar(&c.mount, "mount", "/socket.io", "the mount point")
	flag.StringVar(&c.profile, "profile", "matrix", "which contract: matrix, protocol, load")
	flag.StringVar(&c.transports, "transports", "all", "enabled transports, comma-separated, or all")
	flag.StringVar(&c.origins, "origins", "*", `allowed origins, comma-separated, beside the server's own; "*" reflects any`)
	flag.StringVar(&c.session, "session", "none", "session routes and bridge: memory, gorilla, scs, fiber, none")
	flag.DurationVar(&c.patience, "patience", 0, "how much longer than the contract matrix says clients may be silent, where the machine has other work")
	flag.Parse()
	if err := run(c); err != nil {
		log.Fatal(err)
	}
}

func run(c config) error {
	h, err := hosts.New(c.adapter, c.session)
	if err != nil {
		return err
	}
	var bridge *sessionbridge.Bridge
	if h.Backend != nil {
		bridge = sessionbridge.New(h.Backend, nil)
		h.Routes(bridge)
	}
	app, err := newApp(c, bridge)
	if err != nil {
		return err
	}
	for path, handler := range app.mounts {
		h.Mount(path, handler)
	}
	h.Get("/healthz", func() (string, []byte) { return "text/plain", []byte("ok") })
	h.Get("/debug/counts", func() (string, []byte) {
		st := app.io.Stats()
		heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(heap)
		b, _ := json.Marshal(map[string]int{"sockets": st.Sockets, "sessions": st.Sessions, "goroutines": runtime.NumGoroutine(),
			"heap": int(heap[0].Value.Uint64())})
		return "application/json", b
	})

	ln, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, os.Interrupt)
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR2)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()
	fmt.Printf("listening on http://%s\n", ln.Addr())

	select {
	case err := <-served:
		return err
	case <-term:
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := app.shutdown(ctx); err != nil {
		return err
	}
	return h.Stop(ctx)
}

// options are what all profiles share.
func (c config) options() (*sio.Options, error) {
	// Handlers that fail are part of the contract: only what is worse is shown.
	o := &sio.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1}))}
	all := []string{"polling", "websocket", "jsonp", "htmlfile", "xhr-multipart", "flashsocket"}
	o.Transports = all
	o.Dialects = []string{"eio4", "eio3", "sio1", "sio06"}
	if c.transports != "all" {
		o.Transports = strings.Split(c.transports, ",")
		for _, t := range o.Transports {
			if !slices.Contains(all, t) {
				return nil, fmt.Errorf("-transports: unknown transport %q", t)
			}
		}
	}
	switch c.origins {
	case "": // the server's own pages alone
	case "*":
		o.AllowOrigin = func(string) bool { return true }
	default:
		o.Origins = strings.Split(c.origins, ",")
	}
	return o, nil
}
