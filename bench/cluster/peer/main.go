//go:build linux

// Peer is a server that ../ measures: it is told what to emit by its standard input.
//
//	peer WIRE ADDRESS
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/redis/rueidis"

	"github.com/siokit/siokit/bench/cluster/internal/orders"
	"github.com/siokit/siokit/bench/internal/clock"
	natsbus "github.com/siokit/siokit/cluster/nats"
	redisbus "github.com/siokit/siokit/cluster/redis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

// maxLen is how many entries a stream keeps: on a busy machine a reader may be far behind.
const maxLen = 1_000_000

// backend makes the bus of a peer.
func backend(wire, address string) (cluster.Backend, error) {
	redis := func(w redisbus.Wire) (cluster.Backend, error) {
		return redisbus.New(rueidis.ClientOption{InitAddress: []string{address}, ForceSingleClient: true}, redisbus.Options{Wire: w, Prefix: wire, MaxLen: maxLen}), nil
	}
	switch wire {
	case "none":
		return nil, nil
	case "memory": // with another Server in the same process
		bus := cluster.NewBus()
		sio.NewServer(&sio.Options{Cluster: bus.Backend(), Logger: slog.New(slog.DiscardHandler)}).Of("/")
		return bus.Backend(), nil
	case "classic":
		return redis(redisbus.Classic)
	case "sharded":
		return redis(redisbus.Sharded)
	case "streams":
		return redis(redisbus.Streams)
	case "nats":
		return natsbus.New(address, nil), nil
	}
	return nil, fmt.Errorf("there is no wire %q", wire)
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: peer WIRE ADDRESS")
	}
	wire := args[0]
	bus, err := backend(wire, args[1])
	if err != nil {
		return err
	}
	io := sio.NewServer(&sio.Options{
		Cluster: bus, Logger: slog.New(slog.DiscardHandler),
		MaxQueueMessages: 1 << 20, MaxQueueBytes: 64 << 20, // on a busy machine the clients are slow; Node has no bound
	})
	root := io.Of("/")
	root.OnConnected(func(_ context.Context, s *sio.Socket) { s.Join(orders.Room) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	go func() { _ = http.Serve(ln, mux) }()
	return obey(root, ln.Addr().String())
}

// obey carries out orders until the input ends.
func obey(root *sio.Namespace, address string) error {
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(orders.Report{Addr: address}); err != nil {
		return err
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o orders.Order
		if err := in.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		r, err := carryOut(o, root)
		if err != nil {
			r.Error = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

func carryOut(o orders.Order, root *sio.Namespace) (r orders.Report, err error) {
	if o.Do == "memory" {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return orders.Report{Mallocs: m.Mallocs}, nil
	}
	target := root.All()
	if o.Room != "" {
		target = root.To(o.Room)
	}
	if o.Local {
		target = target.Local()
	}
	next := time.Now()
	for range o.Ticks {
		if o.Every > 0 {
			next = next.Add(time.Duration(o.Every) * time.Microsecond)
			time.Sleep(time.Until(next))
		}
		if o.Do == "idle" {
			continue
		}
		if r.Caller, err = emit(o, target, r.Caller); err != nil {
			return r, err
		}
	}
	return r, nil
}

// emit emits what is to be emitted at once, and adds the time of the caller.
func emit(o orders.Order, target sio.Target, caller int64) (total int64, _ error) {
	total = caller
	if o.Time {
		// The CPU time of this goroutine is that of its thread, which it has for itself
		// while it emits.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		from := clock.Thread()
		defer func() { total += int64(clock.Thread() - from) }()
	}
	for range o.Per {
		if err := target.Emit("hello", orders.Text); err != nil {
			return total, err
		}
	}
	return total, nil
}
