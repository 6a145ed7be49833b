package clustertest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
)

// childEnv is the variable of the environment that makes a process of a test a node.
const childEnv = "SIOKIT_CLUSTER_CHILD"

// Child makes this process a node, and reports true at its end, when the process was started by
// [Process]. backend makes a backend of the argument of Process.
func Child(backend func(arg string) cluster.Backend) bool {
	arg, ok := os.LookupEnv(childEnv)
	if ok {
		child(backend(arg))
	}
	return ok
}

// said is a line of a process.
type said struct {
	What string // url, node, failure or pinged
	Name string
	Text string
	Why  string
}

// child is a node that does what its standard input says, and ends with it.
func child(b cluster.Backend) {
	out := json.NewEncoder(os.Stdout)
	var mu sync.Mutex
	say := func(s said) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(s)
	}
	srv := newServer(b, func(f sio.Failure) { say(said{"failure", f.Name, f.Reason, fmt.Sprint(f.Err)}) })
	srv.Of("/people").Mix(new(mixin.Presence))
	sio.ReplyServers(srv.Of("/"), "ping", func(ctx context.Context, _ sio.None) (string, error) {
		say(said{What: "pinged"})
		<-ctx.Done()
		return "", ctx.Err()
	})
	reached(srv)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = http.Serve(l, srv) }()
	say(said{What: "node", Text: srv.Node()})
	say(said{What: "url", Text: "http://" + l.Addr().String()})
	number, next := 0, 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var many int
		switch line := lines.Text(); {
		case line == "end":
			err = srv.Of("/").Emit("end", number)
		default:
			if _, err = fmt.Sscanf(line, "number %d", &number); err == nil {
				break
			}
			if _, err = fmt.Sscanf(line, "emit %d", &many); err != nil {
				panic(line)
			}
			for range many {
				if err = emitNumber(srv, number, next, ""); err != nil {
					break
				}
				next++
			}
		}
		if err != nil {
			panic(err)
		}
	}
}

// Process starts a node in a process of its own: this test's binary once more, whose TestMain
// calls Child. Its client does not answer, nor does the node answer other servers.
func Process(t *testing.T, number int, arg string) *Node {
	t.Helper()
	n := newNode(t, number)
	n.cmd = exec.Command(os.Args[0], "-test.run=^$")
	n.cmd.Env = append(os.Environ(), childEnv+"="+arg)
	n.cmd.Stderr = os.Stderr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := n.cmd.StdinPipe() // its end ends the process, should the test die
	if err != nil {
		t.Fatal(err)
	}
	n.in = in
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, done := make(chan string, 1), make(chan struct{})
	t.Cleanup(func() {
		_ = in.Close()
		_ = n.cmd.Process.Kill()
		<-done
		_ = n.cmd.Wait()
	})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var s said
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				t.Errorf("node %d says %s", number, lines.Text())
			}
			switch s.What {
			case "url":
				url <- s.Text
			case "node":
				n.note(func() { n.Name = s.Text })
			case "failure":
				n.failed(s.Name, s.Text, s.Why)
			case "pinged":
				n.note(func() { n.pinged = true })
			}
		}
		close(url)
	}()
	n.tell(fmt.Sprint("number ", number))
	at, ok := <-url
	if !ok {
		t.Fatalf("node %d has ended", number)
	}
	n.connect(at)
	return n
}

// tell has the process do something.
func (n *Node) tell(what string) {
	n.t.Helper()
	if _, err := fmt.Fprintln(n.in, what); err != nil {
		n.t.Fatal(err)
	}
}

func (n *Node) kill() { _ = n.cmd.Process.Kill() }

// halt stops the process, whose connections stay, until resume.
func (n *Node) halt()   { n.signal(syscall.SIGSTOP) }
func (n *Node) resume() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}
