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

	"github.com/siokit/siokit/bench/internal/matrix"
)

func runMatrix(args []string) error {
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
	var p matrix.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	w, err := os.Create(*out)
	if err != nil {
		return err
	}
	return errors.Join(rounds(&p, json.NewEncoder(w)), w.Close())
}

// rounds runs a plan. A run that fails is a result with an error, and the others go on: what a
// peer cannot do is no reason to lose an hour.
func rounds(p *matrix.Plan, out *json.Encoder) error {
	var bad []error
	for round := range p.Rounds {
		servers := slices.Clone(p.Servers)
		if round%2 == 1 {
			slices.Reverse(servers)
		}
		for _, sc := range p.Scenarios {
			for _, srv := range servers {
				if slices.Contains(srv.Skip, sc.Name) {
					continue
				}
				line, err := once(srv.Cmd, append(slices.Clone(sc.Args), "-proto", srv.Proto))
				if err != nil {
					bad = append(bad, fmt.Errorf("round %d, %s on %s: %w", round, sc.Name, srv.Name, err))
				}
				if line == nil {
					if line, err = json.Marshal(map[string]any{"errors": 1, "first_error": err.Error()}); err != nil {
						return err
					}
				}
				fmt.Fprintf(os.Stderr, "%d %s %s %s\n", round, sc.Name, srv.Name, line)
				if err := out.Encode(matrix.Cell{Round: round, Server: srv.Name, Scenario: sc.Name, Result: line}); err != nil {
					return err
				}
			}
		}
	}
	return errors.Join(bad...)
}

// once starts a server, runs one command of this program against it, and ends the server. There
// may be both a result and an error: that the server had ended by itself, and not well.
func once(server, args []string) (line json.RawMessage, err error) {
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
	defer func() { err = errors.Join(err, end(cmd, &log)) }()
	if err := listening(addr, cmd.Process.Pid); err != nil {
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

// end ends a server, unless it has ended by itself. log is what it has written.
func end(cmd *exec.Cmd, log *bytes.Buffer) error {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status > 0 {
		return fmt.Errorf("the server has ended with status %d: %s", status, bytes.TrimSpace(log.Bytes()))
	}
	return nil
}

func free() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// listening waits until a process accepts connections.
func listening(addr string, pid int) error {
	var err error
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(5 * time.Millisecond) { // a machine may be busy
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		if ended(pid, 0) == nil {
			return errors.New("the server has ended before anybody came")
		}
	}
	return err
}
