// Package matrix holds what a matrix of measurements is made of: the plan, which the load
// generator runs, and its results, which several commands read.
package matrix

import "encoding/json"

// Plan is what a matrix runs: every scenario on every server, round after round, so that what
// else the machine does hits all of them. Every other round goes through the servers backwards.
type Plan struct {
	Rounds    int
	Servers   []Server
	Scenarios []Scenario
}

// Server is a program that is started for each run. Two servers of one name are one in the
// results.
type Server struct {
	Name  string
	Cmd   []string // {addr} is replaced
	Proto string   // of the load generator
	Skip  []string `json:",omitempty"` // scenarios
}

// Scenario is a command of the load generator with its flags.
type Scenario struct {
	Name string
	Args []string
}

// Cell is one run: one line of the results.
type Cell struct {
	Round    int             `json:"round"`
	Server   string          `json:"server"`
	Scenario string          `json:"scenario"`
	Result   json.RawMessage `json:"result"`
}
