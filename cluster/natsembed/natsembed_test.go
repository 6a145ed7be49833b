package natsembed_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/testkit"
)

// TestTakeOver: processes leave one after the other, and whoever serves is among them.
func TestTakeOver(t *testing.T) {
	before := goroutines()
	port := testkit.Port(t)
	nodes := embedded(t, port, 4)
	nodes[3].reach(nodes[:3], "first")
	for len(nodes) > 1 {
		nodes[0].leave()
		from := time.Now()
		nodes = nodes[1:]
		last := nodes[len(nodes)-1]
		last.reach(nodes[:len(nodes)-1], fmt.Sprint(len(nodes), " are left"))
		t.Logf("%d go on after %v", len(nodes), time.Since(from))
	}
	nodes[0].leave()
	if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
		_ = c.Close()
		t.Error("somebody still listens")
	}
	awaitGoroutines(t, before)
}

// TestElection: processes that begin at the same moment.
func TestElection(t *testing.T) {
	for range 5 {
		port := testkit.Port(t)
		nodes := make([]*member, 6)
		var started sync.WaitGroup
		for i := range nodes {
			nodes[i] = &member{natsembed.New(&natsembed.Options{Port: port}), newRecorder(), t, fmt.Sprint("node", i)}
			started.Go(func() {
				if err := nodes[i].Start(t.Context(), nodes[i].name, nodes[i].recorder); err != nil {
					t.Error(err)
				}
			})
		}
		started.Wait()
		for _, m := range nodes {
			m.awaitUp(t, 1)
			m.watch("room")
		}
		nodes[0].send(emit("hello", "room"))
		for _, m := range nodes[1:] {
			m.awaitMessage(t, "hello")
		}
		for _, m := range nodes {
			m.leave()
		}
	}
}

// TestPortTaken: something else has the port, for a while.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	m := join(t, "aaaaa", natsembed.New(&natsembed.Options{Port: l.Addr().(*net.TCPAddr).Port}))
	m.await(t, "down", func() bool { return m.downs == 1 })
	if err := m.publish(emit("x")); !errors.Is(err, cluster.ErrDown) {
		t.Errorf("published: %v", err)
	}
	_ = l.Close()
	<-ended
	m.awaitUp(t, 1)
}

// TestKilled: the process that serves is killed.
func TestKilled(t *testing.T) {
	port := testkit.Port(t)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childPort+"="+strconv.Itoa(port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // its end ends the child, should the test die
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the child says %q, %v", line, err)
	}
	nodes := embedded(t, port, 2)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	from := time.Now()
	for _, m := range nodes {
		m.awaitUp(t, 2)
	}
	if d := time.Since(from); d > 5*time.Second {
		t.Errorf("taken over after %v", d)
	}
	nodes[0].reach(nodes[1:], "alive")
}

// childPort is the environment's variable that makes a process of this test a node.
const childPort = "SIOKIT_NATSEMBED_CHILD"

// child is a node that ends with its standard input.
func child(port string) {
	n, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	r := newRecorder()
	b := natsembed.New(&natsembed.Options{Port: n, Token: "secret"})
	if err := b.Start(context.Background(), "child", r); err != nil {
		panic(err)
	}
	fmt.Println("started")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// embedded are nodes that watch a room.
func embedded(t *testing.T, port, n int) (nodes []*member) {
	t.Helper()
	for i := range n {
		m := join(t, fmt.Sprint("node", i), natsembed.New(&natsembed.Options{Port: port, Token: "secret"}))
		m.awaitUp(t, 1)
		m.watch("room")
		nodes = append(nodes, m)
	}
	return nodes
}

// reach publishes until all others have got it: what is published while one of them is still
// away is lost for that one.
func (m *member) reach(others []*member, name string) {
	m.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for {
		_ = m.publish(emit(name, "room"))
		missing := 0
		for _, o := range others {
			if !slices.Contains(o.messages(), name) {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		select {
		case <-again.C:
		case <-late:
			m.t.Fatalf("%s: %d of %d have not got %q", m.name, missing, len(others), name)
		}
	}
}

// TestToken: who does not know it stays outside.
func TestToken(t *testing.T) {
	port := testkit.Port(t)
	a := join(t, "aaaaa", natsembed.New(&natsembed.Options{Port: port, Token: "secret"}))
	a.awaitUp(t, 1)
	b := join(t, "bbbbb", natsembed.New(&natsembed.Options{Port: port, Token: "other"}))
	b.await(t, "down", func() bool { return b.downs == 1 })
	if b.ups != 0 {
		t.Error("let in")
	}
}

// TestLarge: a message of several megabytes, as events with attachments are.
func TestLarge(t *testing.T) {
	port := testkit.Port(t)
	a := join(t, "aaaaa", natsembed.New(&natsembed.Options{Port: port}))
	b := join(t, "bbbbb", natsembed.New(&natsembed.Options{Port: port}))
	a.awaitUp(t, 1)
	b.awaitUp(t, 1)
	b.watch("room")
	m := emit("large", "room")
	m.Attachments = [][]byte{make([]byte, 3<<20), make([]byte, 4<<20)}
	a.send(m)
	b.awaitMessage(t, "large")
}

// TestUnused: a backend that was made and never started.
func TestUnused(t *testing.T) {
	b := natsembed.New(nil)
	for range 2 {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := b.Start(context.Background(), "aaaaa", newRecorder()); err != cluster.ErrClosed {
		t.Errorf("started after Close: %v", err)
	}
}

// goroutines are those of the server and the client.
func goroutines() int {
	buf := make([]byte, 4<<20)
	n := 0
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "nats-io") {
			n++
		}
	}
	return n
}

// awaitGoroutines waits until not more are left than there were.
func awaitGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(patience); goroutines() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines of NATS, %d before", goroutines(), before)
		}
	}
}
