//go:build linux

// Cluster measures what a cluster costs, as ratios within one run: rounds are interleaved, and
// medians are printed. Linux only: it reads the CPU clocks of other processes.
//
//	cluster [-rounds 7] emit|receive|growth|node
//
//	emit     an emit with a cluster, against one without
//	receive  an event of another node to 500 clients, against one of the own node
//	growth   what one node receives when the cluster grows
//	node     two processes of siokit against two of Node, on one Redis; needs node, and
//	         "npm ci" in interop/cluster
//
// They start a redis-server and a NATS server of their own, as far as -wires needs them. The
// script run has all of it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// settings are the flags.
type settings struct {
	rounds int
	wires  []string
	script string // of Node
	peer   string // the program
	load   string
}

var commands = map[string]func(*settings) error{"emit": emitCost, "receive": receiveCost, "growth": growth, "node": againstNode}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var s settings
	f := flag.NewFlagSet("cluster", flag.ContinueOnError)
	f.IntVar(&s.rounds, "rounds", 7, "how often each measurement is made")
	wires := f.String("wires", "memory,classic,sharded,streams,nats", "the buses: memory is one in memory, classic, sharded and streams are those of Redis")
	f.StringVar(&s.load, "load", "", "node: only the loads whose name has this in it")
	f.StringVar(&s.peer, "peer", "", "the program bench/cluster/peer; it is built when this is empty")
	f.StringVar(&s.script, "script", "interop/cluster/load.mjs", "node: the server for Node")
	if err := f.Parse(args); err != nil {
		return err
	}
	s.wires = strings.Split(*wires, ",")
	if f.NArg() != 1 || commands[f.Arg(0)] == nil {
		return errors.New("usage: cluster [-rounds N] [-wires LIST] emit|receive|growth|node")
	}
	defer cleanUp(0)
	return commands[f.Arg(0)](&s)
}

// cleanups end what was started, the last first.
var cleanups []func()

func atEnd(f func()) { cleanups = append(cleanups, f) }

// cleanUp ends all but the first n.
func cleanUp(n int) {
	for len(cleanups) > n {
		last := len(cleanups) - 1
		f := cleanups[last]
		cleanups = cleanups[:last]
		f()
	}
}
