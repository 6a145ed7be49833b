//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/siokit/siokit/bench/cluster/internal/orders"
	"github.com/siokit/siokit/bench/internal/clock"
)

// base is the name of the server without a cluster.
const base = "none"

// pair is a node with clients, and another one of its cluster with one client: what the first
// emits really travels.
type pair struct{ near, far *peer }

// startPair starts two nodes; without a cluster, or with the bus in memory, the second one is
// none of its own.
func (s *settings) startPair(wire, address string, clients int) (pair, error) {
	var p pair
	var err error
	if p.near, err = s.startSiokit(wire, address); err != nil {
		return p, err
	}
	if wire != base && wire != "memory" {
		if p.far, err = s.startSiokit(wire, address); err != nil {
			return p, err
		}
		if err := p.far.crowd.join(p.far.addr, 1); err != nil {
			return p, err
		}
	}
	if err := p.near.crowd.join(p.near.addr, clients); err != nil {
		return p, err
	}
	return p, p.meet()
}

// meet returns when the two nodes hear each other.
func (p pair) meet() error {
	if p.far == nil {
		return nil
	}
	for _, dir := range []struct{ from, to *peer }{{p.near, p.far}, {p.far, p.near}} {
		if err := eventually(func() error {
			had := dir.to.crowd.events.Load()
			if _, err := dir.from.do(orders.Order{Do: "emit", Room: orders.Room, Ticks: 1, Per: 1}); err != nil {
				return err
			}
			for range 20 {
				if time.Sleep(5 * time.Millisecond); dir.to.crowd.events.Load() > had {
					return nil
				}
			}
			return fmt.Errorf("%s: the nodes do not hear each other", p.near.name)
		}); err != nil {
			return err
		}
	}
	time.Sleep(500 * time.Millisecond) // the greetings of the nodes are over
	for _, peer := range []*peer{p.near, p.far} {
		peer.crowd.want = peer.crowd.events.Load()
	}
	return nil
}

// burst has a peer carry out an order many times, and waits after each until the clients have
// what was emitted.
func (p pair) burst(by *peer, o orders.Order, times int) (caller int64, err error) {
	for range times {
		if o.Do == "emit" {
			p.near.crowd.expects(o.Ticks * o.Per)
			if p.far != nil && !o.Local {
				p.far.crowd.expects(o.Ticks * o.Per)
			}
		}
		r, err := by.do(o)
		if err != nil {
			return 0, err
		}
		caller += r.Caller
		if err := p.near.crowd.wait(); err != nil {
			return 0, fmt.Errorf("%s: near: %w", p.near.name, err)
		}
		if p.far != nil {
			if err := p.far.crowd.wait(); err != nil {
				return 0, fmt.Errorf("%s: far: %w", p.near.name, err)
			}
		}
	}
	return caller, nil
}

func (p pair) mallocs() (float64, error) {
	r, err := p.near.do(orders.Order{Do: "memory"})
	return float64(r.Mallocs), err
}

// emitCost compares an emit with a cluster with one without.
func emitCost(s *settings) error {
	addresses, err := buses(s.wires)
	if err != nil {
		return err
	}
	wires := append([]string{base}, s.wires...)
	fmt.Println("An emit with a cluster, against one without (none): medians of the ratios, round by round,\nwith the least and the most. Caller: CPU of the thread that calls Emit. Process: CPU of the\nprocess, with its publisher and the writers to the clients. Allocations are the process's.")
	for _, clients := range []int{1, 100, 500} {
		started := len(cleanups)
		pairs := make(map[string]pair)
		for _, w := range wires {
			if pairs[w], err = s.startPair(w, addresses[w], clients); err != nil {
				return err
			}
		}
		for _, target := range []string{orders.Room, ""} {
			if err := emitTable(s, wires, pairs, target, clients); err != nil {
				return err
			}
		}
		cleanUp(started)
	}
	return nil
}

// emitTable measures one target: many emits at once, and one at a time.
func emitTable(s *settings, wires []string, pairs map[string]pair, target string, clients int) error {
	const many = 32
	times := max(4, 1500/(clients+20))
	name := "a room of"
	if target == "" {
		name = "all,"
	}
	caller, process, allocs, single, idle, alone := series{}, series{}, series{}, series{}, series{}, series{}
	for round := -1; round < s.rounds; round++ { // the first is not counted
		for k := range wires {
			w := wires[(k+round+1)%len(wires)] // none of them is always the first
			p := pairs[w]
			a, err := p.mallocs()
			if err != nil {
				return err
			}
			from := clock.Process(p.near.pid())
			used, err := p.burst(p.near, orders.Order{Do: "emit", Room: target, Ticks: 1, Per: many, Time: true}, times)
			if err != nil {
				return err
			}
			to := clock.Process(p.near.pid())
			z, err := p.mallocs()
			if err != nil {
				return err
			}
			n := float64(many * times)
			lone, one, none, err := p.oneByOne(target)
			if err != nil {
				return err
			}
			if round >= 0 {
				caller.add(w, float64(used)/n/1e3)
				process.add(w, float64(to-from)/n/1e3)
				allocs.add(w, (z-a)/n)
				alone.add(w, lone)
				single.add(w, one)
				idle.add(w, none)
			}
		}
	}
	fmt.Printf("\n### To %s %d clients\n\n", name, clients)
	head("bus", fmt.Sprintf("caller, %d at once, µs", many), "process, µs", "allocations", "caller, one every 2 ms, µs", "process, µs")
	for _, w := range wires {
		one := median(single[w]) - median(idle[w])
		lone := fmt.Sprintf("%.3g", one)
		if w != base {
			lone += fmt.Sprintf(" **%.2f**", one/(median(single[base])-median(idle[base])))
		}
		row(w, caller.cell(w, base), process.cell(w, base), fmt.Sprintf("%.1f", median(allocs[w])), alone.cell(w, base), lone)
	}
	return nil
}

// oneByOne emits now and then: nothing is done for several messages at once. idle is what the
// process uses for the same without the emits.
func (p pair) oneByOne(target string) (caller, process, idle float64, err error) {
	const ticks, every = 100, 2000
	at := clock.Process(p.near.pid())
	if _, err = p.burst(p.near, orders.Order{Do: "idle", Ticks: ticks, Every: every}, 1); err != nil {
		return 0, 0, 0, err
	}
	idle = (clock.Process(p.near.pid()) - at).Seconds() * 1e6 / ticks
	at = clock.Process(p.near.pid())
	used, err := p.burst(p.near, orders.Order{Do: "emit", Room: target, Ticks: ticks, Per: 1, Every: every, Time: true}, 1)
	if err != nil {
		return 0, 0, 0, err
	}
	process = (clock.Process(p.near.pid()) - at).Seconds() * 1e6 / ticks
	return float64(used) / ticks / 1e3, process, idle, nil
}

// receiveCost compares an event of another node with one of the own node.
func receiveCost(s *settings) error {
	const clients, many, times = 500, 8, 12
	addresses, err := buses(s.wires)
	if err != nil {
		return err
	}
	fmt.Printf("An event to %d clients, from another node and from the own: CPU of the node with the clients.\n\n", clients)
	head("bus", "own node, ms", fmt.Sprintf("another, %d at once", many), "own node, ms", "another, one every 20 ms")
	for _, w := range s.wires {
		if w == "memory" {
			continue // both nodes are in one process
		}
		p, err := s.startPair(w, addresses[w], clients)
		if err != nil {
			return err
		}
		cost := series{}
		for round := -1; round < s.rounds; round++ {
			for _, m := range []struct {
				name string
				by   *peer
				o    orders.Order
				n    int
			}{
				{"local", p.near, orders.Order{Do: "emit", Room: orders.Room, Local: true, Ticks: 1, Per: many}, times},
				{"remote", p.far, orders.Order{Do: "emit", Room: orders.Room, Ticks: 1, Per: many}, times},
				{"local1", p.near, orders.Order{Do: "emit", Room: orders.Room, Local: true, Ticks: 50, Per: 1, Every: 20_000}, 1},
				{"remote1", p.far, orders.Order{Do: "emit", Room: orders.Room, Ticks: 50, Per: 1, Every: 20_000}, 1},
			} {
				from := clock.Process(p.near.pid())
				if _, err := p.burst(m.by, m.o, m.n); err != nil {
					return err
				}
				if round >= 0 {
					cost.add(m.name, (clock.Process(p.near.pid())-from).Seconds()*1e3/float64(m.o.Ticks*m.o.Per*m.n))
				}
			}
		}
		row(w, cost.cell("local", "local"), cost.cell("remote", "local"), cost.cell("local1", "local1"), cost.cell("remote1", "local1"))
	}
	return nil
}
