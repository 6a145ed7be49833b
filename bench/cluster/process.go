//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/siokit/siokit/bench/cluster/internal/orders"
)

// peer is a process with a server.
type peer struct {
	name  string
	cmd   *exec.Cmd
	out   *json.Encoder
	in    *json.Decoder
	addr  string
	crowd crowd
}

// withUs ends a process when this one is killed.
func withUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// startPeer starts a process of this program, or of another one that reads orders.
func startPeer(name string, command ...string) (*peer, error) {
	p := &peer{name: name, cmd: exec.Command(command[0], command[1:]...)}
	p.cmd.Stderr, p.cmd.SysProcAttr = os.Stderr, withUs()
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	atEnd(func() {
		p.crowd.close()
		_ = in.Close() // siokit's end then
		end := time.AfterFunc(3*time.Second, func() { _ = p.cmd.Process.Kill() })
		_ = p.cmd.Wait()
		end.Stop()
	})
	p.out, p.in = json.NewEncoder(in), json.NewDecoder(bufio.NewReader(out))
	r, err := p.answer()
	p.addr = r.Addr
	return p, err
}

// startSiokit starts a peer of siokit. What measures is another program, so that the NATS server
// in it costs the peers nothing.
func (s *settings) startSiokit(wire, address string) (*peer, error) {
	if s.peer == "" {
		dir, err := os.MkdirTemp("", "peer")
		if err != nil {
			return nil, err
		}
		atEnd(func() { _ = os.RemoveAll(dir) })
		s.peer = filepath.Join(dir, "peer")
		if out, err := exec.Command("go", "build", "-o", s.peer, "github.com/siokit/siokit/bench/cluster/peer").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
	}
	return startPeer(wire, s.peer, wire, address)
}

func (p *peer) answer() (r orders.Report, err error) {
	if err = p.in.Decode(&r); err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", p.name, err)
	}
	return r, err
}

// do has an order carried out.
func (p *peer) do(o orders.Order) (orders.Report, error) {
	if err := p.out.Encode(o); err != nil {
		return orders.Report{}, err
	}
	return p.answer()
}

func (p *peer) pid() int { return p.cmd.Process.Pid }

// startRedis starts a redis-server that keeps nothing.
func startRedis() (address string, pid int, err error) {
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		return "", 0, err
	}
	atEnd(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", 0, err
	}
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = l.Close()
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no")
	cmd.SysProcAttr = withUs()
	if err := cmd.Start(); err != nil {
		return "", 0, err
	}
	atEnd(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return address, cmd.Process.Pid, eventually(func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// startNATS starts a NATS server in this process.
func startNATS() (*server.Server, error) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, NoSystemAccount: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	atEnd(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, errors.New("the NATS server does not start")
	}
	return s, nil
}

// buses starts what the wires need, and returns the address for each.
func buses(wires []string) (map[string]string, error) {
	addresses := make(map[string]string)
	redis := ""
	for _, w := range wires {
		switch w {
		case "nats":
			s, err := startNATS()
			if err != nil {
				return nil, err
			}
			addresses[w] = s.ClientURL()
		case "classic", "sharded", "streams":
			if redis == "" {
				var err error
				if redis, _, err = startRedis(); err != nil {
					return nil, err
				}
			}
			addresses[w] = redis
		default:
			addresses[w] = "-"
		}
	}
	return addresses, nil
}

// eventually tries until something works.
func eventually(f func() error) error {
	var err error
	for range 400 {
		if err = f(); err == nil {
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	return err
}
