//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plan is what a matrix runs: every scenario on every server, round after round, so that
// what else the machine does hits all of them.
type plan struct {
	Rounds  int
	Servers []struct {
		Name  string
		Cmd   []string // {addr} is replaced
		Proto string
		Skip  []string // scenarios
	}
	Scenarios []struct {
		Name string
		Args []string
	}
}

// cell is one line of the output.
type cell struct {
	Round    int             `json:"round"`
	Server   string          `json:"server"`
	Scenario string          `json:"scenario"`
	Result   json.RawMessage `json:"result"`
}

func matrix(args []string) error {
	f := flag.NewFlagSet("matrix", flag.ContinueOnError)
	config := f.String("config", "matrix.json", "what to run")
	out := f.String("out", "results.jsonl", "where the results go, one line each")
	if err := f.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*config)
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	w, err := os.Create(*out)
	if err != nil {
		return err
	}
	return errors.Join(p.run(json.NewEncoder(w)), w.Close())
}

func (p *plan) run(out *json.Encoder) error {
	for round := range p.Rounds {
		for _, sc := range p.Scenarios {
			for _, srv := range p.Servers {
				if slices.Contains(srv.Skip, sc.Name) {
					continue
				}
				line, err := once(srv.Cmd, append(slices.Clone(sc.Args), "-proto", srv.Proto))
				if err != nil {
					return fmt.Errorf("round %d, %s on %s: %w", round, sc.Name, srv.Name, err)
				}
				fmt.Fprintf(os.Stderr, "%d %s %s %s\n", round, sc.Name, srv.Name, line)
				if err := out.Encode(cell{round, srv.Name, sc.Name, line}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// once starts a server, runs one command of this program against it, and ends the server.
func once(server, args []string) (json.RawMessage, error) {
	addr, err := free()
	if err != nil {
		return nil, err
	}
	server = slices.Clone(server)
	for i := range server {
		server[i] = strings.ReplaceAll(server[i], "{addr}", addr)
	}
	cmd := exec.Command(server[0], server[1:]...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if err := listening(addr); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	gen := exec.Command(self, append(args, "-addr", addr, "-pid", strconv.Itoa(cmd.Process.Pid))...)
	gen.Stderr = os.Stderr
	out, err := gen.Output()
	if err != nil && len(out) == 0 { // a result with errors is a result
		return nil, err
	}
	return json.RawMessage(bytes.TrimSpace(out)), nil
}

func free() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// listening waits until somebody accepts connections.
func listening(addr string) error {
	var err error
	for range 200 {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}
