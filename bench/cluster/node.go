//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/siokit/siokit/bench/cluster/internal/orders"
	"github.com/siokit/siokit/bench/internal/clock"
)

// load is what the sender of againstNode does.
type load struct {
	name    string
	clients int    // of the receiver
	room    string // nobody is in any other room than orders.Room
	ticks   int
	per     int
	every   int // microseconds
}

var loads = []load{
	{"500 clients, 50 a second", 500, orders.Room, 100, 1, 20_000},
	{"500 clients, 50 a second, 10 at once", 500, orders.Room, 10, 10, 200_000},
	{"1 client, 2000 a second", 1, orders.Room, 200, 20, 10_000},
	{"1 client, 20000 a second", 1, orders.Room, 200, 200, 10_000},
	{"a room that nobody is in, 20000 a second", 1, "nobody", 200, 200, 10_000},
}

// side are two processes of one kind, and what they cost.
type side struct {
	name string
	pair pair
}

// againstNode compares two processes of siokit with two of Node: one emits, the other has the
// clients. Both pairs are there all the time, and take turns.
func againstNode(s *settings) error {
	if _, err := os.Stat(s.script); err != nil {
		return err
	}
	fmt.Println("Two processes of siokit against two of Node, on one Redis: CPU seconds, user and system, of the\n" +
		"sender for a million emits, of the receiver for a million deliveries to clients (or, where nobody\n" +
		"is in the room, emits), of Redis for a million emits. In bold: siokit / Node, round by round.")
	for _, w := range s.wires {
		if w != "classic" && w != "sharded" && w != "streams" {
			continue
		}
		fmt.Printf("\n### %s\n\n", w)
		head("load", "sender: Node", "siokit", "receiver: Node", "siokit", "Redis: Node", "siokit")
		for _, l := range loads {
			if !strings.Contains(l.name, s.load) {
				continue
			}
			started := len(cleanups)
			if err := l.compare(s, w); err != nil {
				return fmt.Errorf("%s, %s: %w", w, l.name, err)
			}
			cleanUp(started)
		}
	}
	return nil
}

func (l *load) compare(s *settings, wire string) error {
	addr, redis, err := startRedis()
	if err != nil {
		return err
	}
	sides := []side{{name: "Node"}, {name: "siokit"}}
	for i := range sides {
		start := func() (*peer, error) { return s.startSiokit(wire, addr) }
		if i == 0 {
			start = func() (*peer, error) { return startPeer("Node", "node", s.script, wire, addr) }
		}
		p := &sides[i].pair
		if p.far, err = start(); err != nil {
			return err
		}
		if p.near, err = start(); err != nil {
			return err
		}
		if err := p.near.crowd.join(p.near.addr, l.clients); err != nil {
			return err
		}
		if err := p.far.crowd.join(p.far.addr, 1); err != nil {
			return err
		}
		if err := p.meet(); err != nil {
			return err
		}
		p.far.crowd.close() // the sender has no clients of its own
		p.far.crowd = crowd{}
	}
	for i := range sides { // Node compiles what runs often
		warm := load{clients: l.clients, room: orders.Room, ticks: 100, per: max(1, 40/l.clients), every: 10_000}
		for range 3 {
			if _, err := warm.run(&sides[i].pair, redis); err != nil {
				return err
			}
		}
	}
	cost := series{}
	for round := -1; round < s.rounds; round++ {
		for i := range sides {
			used, err := l.run(&sides[i].pair, redis)
			if err != nil {
				return fmt.Errorf("%s: %w", sides[i].name, err)
			}
			for k, v := range used {
				if round >= 0 {
					cost.add(fmt.Sprint(k, sides[i].name), v)
				}
			}
		}
	}
	cells := []string{l.name}
	for k := range 3 {
		node, ours := fmt.Sprint(k, "Node"), fmt.Sprint(k, "siokit")
		cells = append(cells, fmt.Sprintf("%.3g", median(cost[node])), cost.cell(ours, node))
	}
	row(cells...)
	return nil
}

// run has the far one emit, and returns the CPU seconds of sender, receiver and Redis.
func (l *load) run(p *pair, redis int) (used [3]float64, err error) {
	pids := [3]int{p.far.pid(), p.near.pid(), redis}
	for i, pid := range pids {
		used[i] = -clock.Process(pid).Seconds()
	}
	emits := float64(l.ticks * l.per)
	deliveries := emits
	if l.room == orders.Room {
		p.near.crowd.expects(l.ticks * l.per)
		deliveries *= float64(l.clients)
	}
	if _, err := p.far.do(orders.Order{Do: "emit", Room: l.room, Ticks: l.ticks, Per: l.per, Every: l.every}); err != nil {
		return used, err
	}
	if err := p.near.crowd.wait(); err != nil {
		return used, err
	}
	time.Sleep(50 * time.Millisecond) // for those that have nothing to deliver
	for i, pid := range pids {
		n := emits
		if i == 1 {
			n = deliveries
		}
		used[i] = (used[i] + clock.Process(pid).Seconds()) / n * 1e6
	}
	return used, nil
}
