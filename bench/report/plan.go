//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// numbers are how much of everything is measured. The lists are the points of the curves.
type numbers struct {
	Connections, Rooms, Sizes, Rates, Idle []int

	Echo, Pipeline, Broadcast, Polls, Paced int // connections
	Time, Warm, Slow                        string
	Collect                                 bool // garbage, before memory is read
}

// full takes about an hour for five rounds of all servers.
var full = numbers{
	Connections: []int{100, 1000, 5000, 10000},
	Rooms:       []int{10, 100, 1000, 10000},
	Sizes:       []int{16, 1 << 10, 16 << 10, 64 << 10},
	Rates:       []int{300, 3000, 20000},
	Idle:        []int{1000, 5000, 10000},
	Echo:        200, Pipeline: 20, Broadcast: 500, Polls: 50, Paced: 500,
	Time: "1200ms", Warm: "400ms", Slow: "3s", Collect: true,
}

// small takes a few seconds for a round.
var small = numbers{
	Connections: []int{2, 4},
	Rooms:       []int{2, 4},
	Sizes:       []int{16, 1 << 10},
	Rates:       []int{100, 400},
	Idle:        []int{4, 8},
	Echo:        4, Pipeline: 2, Broadcast: 4, Polls: 2, Paced: 4,
	Time: "30ms", Warm: "10ms", Slow: "30ms",
}

// within leaves out the points that take more connections than a process may have files open.
func (p *numbers) within(limit int) (left []string) {
	const other = 500 // files of the generator and of a server
	for _, list := range []*[]int{&p.Connections, &p.Rooms, &p.Idle} {
		*list = slices.DeleteFunc(slices.Clone(*list), func(n int) bool {
			if n+other <= limit {
				return false
			}
			left = append(left, fmt.Sprintf("%d connections: a process may have only %d files open here.", n, limit))
			return true
		})
	}
	slices.Sort(left)
	return slices.Compact(left)
}

// scenario is one of the matrix, with who takes part.
type scenario struct {
	name string
	args []string
	who  func(e *entry) bool
}

// Who takes part in a scenario.
func everybody(*entry) bool { return true }
func drawn(e *entry) bool   { return e.Drawn }
func socketio(e *entry) bool {
	return e.Proto == "sio5"
}
func websockets(e *entry) bool { return e.Proto != "tcp" }

func (p *numbers) scenarios() []scenario {
	run := func(command string, n int, more ...string) []string {
		return append([]string{command, "-n", strconv.Itoa(n), "-t", p.Time, "-warm", p.Warm}, more...)
	}
	list := []scenario{
		{"check", []string{"check"}, websockets}, // TCP either echoes or sends to all
		{"echo", run("echo", p.Echo), everybody},
		{"ack", run("echo", p.Echo, "-ack"), socketio},
		{"pipeline", run("echo", p.Pipeline, "-d", "16"), everybody},
		{"broadcast", run("broadcast", p.Broadcast), everybody},
		{"broadcast-8", run("broadcast", p.Broadcast, "-w", "8"), everybody},
		{"connect", run("connect", p.Pipeline, "-mode", "ws"), websockets},
		{"session", run("connect", p.Pipeline, "-mode", "poll"), socketio},
		{"upgrade", run("connect", p.Pipeline, "-mode", "upgrade"), socketio},
		{"poll", run("poll", p.Polls), socketio},
	}
	for _, n := range p.Connections {
		list = append(list, scenario{point("connections", n), run("echo", n), drawn})
	}
	for _, n := range p.Rooms {
		list = append(list, scenario{point("room", n), run("broadcast", n, "-room"), drawn})
	}
	for _, n := range p.Sizes {
		list = append(list, scenario{point("size", n), run("echo", p.Echo, "-size", strconv.Itoa(n)), drawn})
	}
	for _, n := range p.Rates {
		args := run("echo", p.Paced, "-rate", strconv.Itoa(n))
		if n < 1000 {
			args = append(args, "-t", p.Slow) // so that there are enough messages
		}
		list = append(list, scenario{point("rate", n), args, drawn})
	}
	for i, n := range p.Idle {
		args := []string{"idle", "-n", strconv.Itoa(n), "-hold", p.Warm}
		if p.Collect {
			args = append(args, "-gc")
		}
		who := drawn
		if i == 1 {
			who = everybody
		}
		list = append(list, scenario{point("memory", n), args, who})
	}
	return list
}

// point is the name of the scenario for a point of a curve.
func point(curve string, n int) string { return curve + "-" + strconv.Itoa(n) }

// servers are the entry as the matrix knows it: with the scenarios that it has no part in.
func (e *entry) servers(list []scenario) []matrix.Server {
	var skip, echoes, broadcasts []string
	for _, sc := range list {
		switch {
		case !sc.who(e):
			skip = append(skip, sc.name)
		case sc.args[0] == "broadcast":
			broadcasts = append(broadcasts, sc.name)
		default:
			echoes = append(echoes, sc.name)
		}
	}
	if e.ToAll == nil {
		return []matrix.Server{{Name: e.Name, Cmd: e.Cmd, Proto: e.Proto, Skip: skip}}
	}
	return []matrix.Server{
		{Name: e.Name, Cmd: e.Cmd, Proto: e.Proto, Skip: slices.Concat(skip, broadcasts)},
		{Name: e.Name, Cmd: e.ToAll, Proto: e.Proto, Skip: slices.Concat(skip, echoes)},
	}
}
