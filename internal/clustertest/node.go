// Package clustertest has tests about faults that a cluster of Servers passes on every bus:
// clients at each node, numbered events, and a count of what did not arrive.
package clustertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// patience is how long a test waits for what has to happen. batch is how many messages a
// Server gives the bus at once: so many may be under way when the bus goes.
const (
	patience = 60 * time.Second
	batch    = 256
)

// Bus is the bus of a cluster.
type Bus struct {
	// Backend makes a backend for one more node.
	Backend func() cluster.Backend
	// Keeps: what is for sockets waits for a node that is away, as in a stream.
	Keeps bool
}

// Node is a Server with one client, which is in the room "r" of the namespace "/". It is in this
// process, or in one of its own. Where members are counted the client is in "/people", too: a
// Presence has messages of its own, which would be counted among the lost ones.
type Node struct {
	*sio.Server // nil in a process of its own
	people      *mixin.Presence
	Name        string

	t      *testing.T
	number int
	client *wire.Client
	cmd    *exec.Cmd // of the process
	in     io.Writer
	answer bool // the client answers questions

	mu       sync.Mutex
	news     chan struct{} // closed and replaced with each thing that happens
	emitted  int
	failures []string
	begun    int // incidents
	over     []Incident
	got      map[int][]int // what the client has got, by the number of the node that has emitted
	ends     map[int]bool
	asked    bool     // the client was asked
	pinged   bool     // the node was, of which the process has said so
	left     []string // nodes
	err      error    // why the client reads no more
}

// Incident is what a node has reported of a time without the others.
type Incident struct {
	Lost, Missed int
}

// counts reports whether an incident has so many numbers as lost. The last messages of together
// may be there, too: one has arrived, and the bus has not said yet that it took the message.
func (i Incident) counts(lost int) bool {
	return i.Missed == 0 && i.Lost >= lost && i.Lost <= lost+3
}

func newNode(t *testing.T, number int) *Node {
	return &Node{t: t, number: number, news: make(chan struct{}), got: make(map[int][]int), ends: make(map[int]bool)}
}

// newServer makes the Server of a node, in whichever process.
func newServer(b cluster.Backend, failed func(f sio.Failure)) *sio.Server {
	srv := sio.NewServer(&sio.Options{
		Cluster: b, OnError: failed, Logger: slog.New(slog.DiscardHandler),
		// A node that has stood still has much to say to its client, and has not heard the client.
		MaxQueueMessages: 1 << 20, MaxQueueBytes: 1 << 30, PingInterval: patience, PingTimeout: patience, AckTimeout: patience,
	})
	srv.Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error { s.Join("r"); return nil })
	return srv
}

// Serve starts a node in this process.
func Serve(t *testing.T, number int, b cluster.Backend) *Node { return serve(t, number, b, nil) }

func serve(t *testing.T, number int, b cluster.Backend, people *mixin.Presence) *Node {
	t.Helper()
	n := newNode(t, number)
	n.people = people
	n.answer = true
	n.Server = newServer(b, func(f sio.Failure) { n.failed(f.Name, f.Reason, fmt.Sprint(f.Err)) })
	if people != nil {
		n.Of("/people").Mix(people)
	}
	n.Name = n.Node()
	sio.ReplyServers(n.Of("/"), "ping", func(context.Context, sio.None) (string, error) { return "pong", nil })
	n.OnServer(func(node string, joined bool) {
		if !joined {
			n.note(func() { n.left = append(n.left, node) })
		}
	})
	reached(n.Server)
	host := httptest.NewServer(n)
	t.Cleanup(func() {
		_ = n.Shutdown(context.Background())
		host.Close()
	})
	n.connect(host.URL)
	return n
}

// reached waits until a Server has reached the bus: what is emitted before is lost.
func reached(srv *sio.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = srv.Of("/").All().Count(ctx)
}

func (n *Node) connect(url string) {
	n.t.Helper()
	n.client = wire.New(n.t, url, "/socket.io/")
	n.client.Patience = 2 * patience
	go n.read(n.client.Join(""))
	if n.Server == nil || n.people != nil {
		n.client.Join("/people,")
	}
}

// note has happened.
func (n *Node) note(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.news)
	n.news = make(chan struct{})
}

// await waits until f, which is called with n.mu held, is true.
func (n *Node) await(what string, f func() bool) {
	n.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		n.mu.Lock()
		ok, news := f(), n.news
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-late.C:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("node %d waits for %s; OnError was told %q, client: %v", n.number, what, n.failures, n.err)
		}
	}
}

// failed is told what OnError is told.
func (n *Node) failed(name, reason, why string) {
	n.note(func() {
		n.failures = append(n.failures, name+": "+reason+": "+why)
		if strings.HasPrefix(reason, "the other nodes cannot be reached since ") {
			n.begun++
			return
		}
		var i Incident
		if _, rest, ok := strings.Cut(reason, " to "); ok { // from ... to ... N messages
			var until string
			if _, err := fmt.Sscanf(rest, "%s %d messages to other nodes were lost, and %d of", &until, &i.Lost, &i.Missed); err == nil {
				n.over = append(n.over, i)
			}
		}
	})
}

// begins waits until OnError was told of the beginning of so many incidents.
func (n *Node) begins(count int) {
	n.t.Helper()
	n.await(fmt.Sprint("the beginning of incident ", count), func() bool { return n.begun >= count })
}

// incident waits until OnError was told of the end of so many incidents, and returns the last.
// There are no others.
func (n *Node) incident(count int) Incident {
	n.t.Helper()
	n.await(fmt.Sprint("the end of incident ", count), func() bool { return len(n.over) >= count })
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.begun != count || len(n.over) != count {
		n.t.Errorf("node %d: OnError was told %q", n.number, n.failures)
	}
	return n.over[len(n.over)-1]
}

// well: OnError was told nothing.
func (n *Node) well() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.failures) > 0 {
		n.t.Errorf("node %d: OnError was told %q", n.number, n.failures)
	}
}

// read reads what the client gets.
func (n *Node) read(w *wire.WS) {
	for {
		text, err := w.Read()
		if err != nil {
			n.note(func() { n.err = err })
			return
		}
		var from, k int
		switch {
		case strings.HasPrefix(text, `42["n",`):
			_, err = fmt.Sscanf(text, `42["n",%d,%d`, &from, &k)
			n.note(func() { n.got[from] = append(n.got[from], k) })
		case strings.HasPrefix(text, `42["end",`):
			_, err = fmt.Sscanf(text, `42["end",%d]`, &from)
			n.note(func() { n.ends[from] = true })
		case strings.HasSuffix(text, `["q"]`):
			n.note(func() { n.asked = true })
			if n.answer {
				w.Send("43" + strings.TrimSuffix(strings.TrimPrefix(text, "42"), `["q"]`) + `["yes"]`)
			}
		default:
			err = fmt.Errorf("it is unknown")
		}
		if err != nil {
			n.t.Errorf("node %d: %s: %v", n.number, text, err)
		}
	}
}

// Emit emits the next numbers, to the namespace and to the room by turns.
func (n *Node) Emit(many int) { n.t.Helper(); n.emit(many, "") }

func (n *Node) emit(many int, pad string) {
	n.t.Helper()
	if n.Server == nil {
		n.tell(fmt.Sprint("emit ", many))
		n.note(func() { n.emitted += many })
		return
	}
	for range many {
		n.mu.Lock()
		k := n.emitted
		n.emitted++
		n.mu.Unlock()
		if err := emitNumber(n.Server, n.number, k, pad); err != nil {
			n.t.Error(err)
		}
	}
}

func emitNumber(srv *sio.Server, number, k int, pad string) error {
	target := srv.Of("/").All()
	if k%2 == 1 {
		target = srv.Of("/").To("r")
	}
	return target.Emit("n", number, k, pad)
}

func (n *Node) end() {
	n.t.Helper()
	if n.Server == nil {
		n.tell("end")
	} else if err := n.Of("/").Emit("end", n.number); err != nil {
		n.t.Error(err)
	}
}

// total is how many numbers the node has emitted.
func (n *Node) total() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.emitted
}

// traffic has nodes emit until stop is called. more waits until each has emitted so many.
func traffic(ns ...*Node) (more func(many int), stop func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	for _, n := range ns {
		wg.Go(func() {
			pace := time.NewTicker(500 * time.Microsecond) // traffic, not a flood
			defer pace.Stop()
			for {
				select {
				case <-over:
					return
				case <-pace.C:
					n.Emit(1)
					n.note(func() {})
				}
			}
		})
	}
	more = func(many int) {
		for _, n := range ns {
			from := n.total()
			n.await("traffic", func() bool { return n.emitted >= from+many })
		}
	}
	return more, func() { close(over); wg.Wait() }
}
