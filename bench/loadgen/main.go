//go:build linux

// Loadgen loads a Socket.IO server over its wire and says what that costs the server. It
// shares no code with the server. Linux only: it reads /proc.
//
//	loadgen COMMAND -addr 127.0.0.1:3000 [-pid PID] [flags]
//
// bench/README.md lists the commands, and what a server has to do.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

// options are the flags that the measuring commands share.
type options struct {
	addr, proto, mode      string
	pid, n, depth          int
	size, rate, from       int
	ack, room, gc          bool
	counts, term           bool
	time, warm, hold, wait time.Duration
}

// result is the line that a command prints.
type result struct {
	Cmd      string             `json:"cmd"`
	Proto    string             `json:"proto"`
	N        int                `json:"n"`
	Count    int64              `json:"count"`
	PerS     float64            `json:"per_s,omitempty"`
	CPU      float64            `json:"cpu_s_1m,omitempty"` // the server's CPU seconds for a million
	Lat      map[string]float64 `json:"lat,omitempty"`
	HeapKiB  float64            `json:"heap_kib_per_conn,omitempty"`
	Routines float64            `json:"goroutines_per_conn,omitempty"`
	*held
	Goodbye   float64  `json:"goodbye_s,omitempty"`
	EndCPU    *float64 `json:"shutdown_cpu_s,omitempty"`
	Shutdown  float64  `json:"shutdown_s,omitempty"`
	Late      float64  `json:"late_ms,omitempty"`
	Refused   int64    `json:"refused"`  // of the errors
	Timeouts  int64    `json:"timeouts"` // of the errors
	Errors    int64    `json:"errors"`
	Reordered int64    `json:"reordered"`
	First     string   `json:"first_error,omitempty"`
}

// held is what idle reads while it holds the connections. Each may be 0.
type held struct {
	KiB     float64 `json:"kib_per_conn"`
	HoldCPU float64 `json:"hold_cpu_us_conn_s"`
	Pings   float64 `json:"pings_per_conn"`
}

var commands = map[string]func(*options) (*result, error){
	"echo": echo, "broadcast": broadcast, "idle": idle, "connect": connect, "poll": poll, "check": check,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: loadgen echo|broadcast|idle|connect|poll|check|matrix|report [flags]")
	}
	switch args[0] {
	case "matrix":
		return runMatrix(args[1:])
	case "report":
		return report(args[1:])
	}
	command := commands[args[0]]
	if command == nil {
		return fmt.Errorf("there is no command %q", args[0])
	}
	o := &options{}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&o.addr, "addr", "127.0.0.1:3000", "the server, on this machine")
	f.StringVar(&o.proto, "proto", protoSIO5, "sio5, raw or tcp")
	f.StringVar(&o.mode, "mode", "ws", "connect: ws, poll or upgrade")
	f.IntVar(&o.pid, "pid", 0, "the server's process, whose CPU time and memory are read")
	f.IntVar(&o.n, "n", 10, "connections")
	f.IntVar(&o.depth, "d", 1, "echo: messages in flight on each connection")
	f.IntVar(&o.depth, "w", 1, "broadcast: broadcasts in flight")
	f.IntVar(&o.size, "size", 16, "bytes of payload")
	f.BoolVar(&o.ack, "ack", false, "echo: ask for an ack instead of an event")
	f.BoolVar(&o.room, "room", false, "broadcast: to a room that all have joined; raw and tcp have no rooms, and send to all")
	f.BoolVar(&o.gc, "gc", false, "idle: let the server collect garbage first (SIGUSR2)")
	f.BoolVar(&o.counts, "counts", false, "idle: ask the server for its heap and goroutines (GET /debug/counts)")
	f.BoolVar(&o.term, "term", false, "idle: have the server shut down at the end (SIGTERM), and wait for its goodbyes")
	f.IntVar(&o.rate, "rate", 0, "connect: clients that come each second, whether or not others are done; 0: n clients, one connection after the other. echo: messages a second in all, whether or not there are answers; 0: -d in flight on each connection")
	f.IntVar(&o.from, "from", 1, "idle, and connect with -rate: how many addresses of this machine the clients have, from 127.0.0.1 on")
	f.DurationVar(&o.wait, "wait", patience, "how long one connection may take to be there, as with official clients")
	f.DurationVar(&o.time, "t", 3*time.Second, "how long to measure")
	f.DurationVar(&o.warm, "warm", time.Second, "how long to run before")
	f.DurationVar(&o.hold, "hold", 10*time.Second, "idle: how long the connections are held")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if err := loopback(o.addr); err != nil {
		return err
	}
	if o.from < 1 || o.from > 250 {
		return fmt.Errorf("-from: %d is not between 1 and 250", o.from)
	}
	res, err := command(o)
	if err != nil {
		return err
	}
	res.Cmd, res.Proto, res.N = args[0], o.proto, o.n
	line, err := json.Marshal(res)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if res.Errors > 0 {
		return fmt.Errorf("%d errors, the first: %s", res.Errors, res.First)
	}
	return nil
}
