package natsembed_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	natsbus "github.com/siokit/siokit/cluster/nats"
	"github.com/siokit/siokit/cluster/natsembed"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// sioNode is a server of a cluster with one client, and a room that the client is in.
type sioNode struct {
	*sio.Server
	t       *testing.T
	number  int
	emitted atomic.Int64
	done    chan struct{} // closed when the client has read the end

	mu       sync.Mutex
	failures []string // what OnError was told
	got      map[int][]int
}

func serveNode(t *testing.T, number int, b cluster.Backend) *sioNode {
	n := &sioNode{t: t, number: number, done: make(chan struct{}), got: make(map[int][]int)}
	n.Server = sio.NewServer(&sio.Options{Cluster: b, OnError: func(f sio.Failure) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.failures = append(n.failures, f.Name+": "+f.Reason)
	}})
	n.Of("/").OnConnect(func(_ context.Context, s *sio.Socket) error { s.Join("r"); return nil })
	host := httptest.NewServer(n)
	t.Cleanup(func() {
		_ = n.Shutdown(context.Background())
		host.Close()
	})
	w := wire.New(t, host.URL, "/socket.io/").Join("")
	go n.read(w)
	return n
}

// read reads what the client gets.
func (n *sioNode) read(w *wire.WS) {
	for {
		text, err := w.Read()
		if err != nil {
			return
		}
		var node, i int
		n.mu.Lock()
		if strings.HasPrefix(text, `42["end"`) {
			close(n.done)
		} else if _, err := fmt.Sscanf(text, `42["n",%d,%d]`, &node, &i); err != nil {
			n.t.Errorf("%s: %v", text, err)
		} else {
			n.got[node] = append(n.got[node], i)
		}
		n.mu.Unlock()
	}
}

// emit emits the next n numbers, to the namespace and to the room by turns.
func (n *sioNode) emit(many int) {
	for range many {
		k := n.emitted.Load()
		target := n.Of("/").All()
		if k%2 == 1 {
			target = n.Of("/").To("r")
		}
		if err := target.Emit("n", n.number, k); err != nil {
			n.t.Error(err)
		}
		n.emitted.Add(1)
	}
}

// numbers are those of a node that the client has got.
func (n *sioNode) numbers(from int) []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]int(nil), n.got[from]...)
}

// traffic has all nodes emit until stop is called.
func traffic(ns ...*sioNode) (stop func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	for _, n := range ns {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(200 * time.Microsecond):
					n.emit(1)
				}
			}
		})
	}
	return func() { close(over); wg.Wait() }
}

func (n *sioNode) awaitFailures(many int) []string {
	n.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		n.mu.Lock()
		list := append([]string(nil), n.failures...)
		n.mu.Unlock()
		if len(list) >= many {
			if len(list) > many {
				n.t.Errorf("OnError of node %d was told %q", n.number, list)
			}
			return list
		}
		if time.Now().After(until) {
			n.t.Fatalf("OnError of node %d was told %q, want %d", n.number, list, many)
		}
	}
}

// together waits until each node reaches all clients.
func together(t *testing.T, ns ...*sioNode) {
	t.Helper()
	for _, n := range ns {
		for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			got, err := n.Of("/").To("r").Count(t.Context())
			if got == len(ns) && err == nil {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("node %d reaches %d clients: %v", n.number, got, err)
			}
		}
	}
}

// verify compares what the clients have got: all of their own node, of others in order and
// nothing twice.
func verify(t *testing.T, ns ...*sioNode) {
	t.Helper()
	_ = ns[0].Of("/").Emit("end")
	for _, n := range ns {
		select {
		case <-n.done:
		case <-time.After(patience):
			t.Fatalf("the client of node %d has not got the end", n.number)
		}
	}
	for _, n := range ns {
		n.mu.Lock()
		for from, list := range n.got {
			for i := 1; i < len(list); i++ {
				if list[i] <= list[i-1] {
					t.Errorf("node %d got %d of node %d behind %d", n.number, list[i], from, list[i-1])
				}
			}
		}
		if got, want := len(n.got[n.number]), int(n.emitted.Load()); got != want {
			t.Errorf("the client of node %d got %d of %d that its own node has emitted", n.number, got, want)
		}
		n.mu.Unlock()
	}
}

// TestServersWithoutNATS: the NATS server goes and comes. What is lost is counted exactly when
// nothing was under way, and it is one gap for each node; nothing comes twice or late.
func TestServersWithoutNATS(t *testing.T) {
	b := startBroker(t, server.Options{})
	var ns []*sioNode
	for i := range 3 {
		ns = append(ns, serveNode(t, i, natsbus.New(b.url(), &natsbus.Options{Connect: quick()})))
	}
	together(t, ns...)
	for _, n := range ns {
		n.emit(100)
	}
	together(t, ns...) // nothing is under way
	b.stop()
	for i, n := range ns {
		n.awaitFailures(1)
		n.emit(50 + i)
	}
	b.start()
	for i, n := range ns {
		if list := n.awaitFailures(2); !strings.Contains(list[1], fmt.Sprintf(" %d messages to other nodes were lost, and 0 of", 50+i)) {
			t.Errorf("node %d: %q", i, list)
		}
	}
	together(t, ns...)
	for _, n := range ns { // under traffic
		n.emit(10)
	}
	together(t, ns...)
	stop := traffic(ns...)
	b.stop()
	for _, n := range ns {
		n.awaitFailures(3)
	}
	b.start()
	for _, n := range ns {
		n.awaitFailures(4)
	}
	stop()
	together(t, ns...)
	verify(t, ns...)
	for i, n := range ns {
		for from := range ns {
			if from == i {
				continue
			}
			list := n.numbers(from)
			for k := range 100 {
				if list[k] != k {
					t.Fatalf("node %d got %d of node %d instead of %d", i, list[k], from, k)
				}
			}
			if next := list[100]; next != 150+from {
				t.Errorf("node %d got %d of node %d when NATS was back, instead of %d", i, next, from, 150+from)
			}
		}
	}
}

// TestServersLoseTheServer: the process that serves ends under traffic. The others go on, and
// one more joins them.
func TestServersLoseTheServer(t *testing.T) {
	port := freePort(t)
	backend := func() cluster.Backend { return natsembed.New(&natsembed.Options{Port: port}) }
	var ns []*sioNode
	for i := range 3 {
		ns = append(ns, serveNode(t, i, backend()))
	}
	together(t, ns...)
	stop := traffic(ns[1:]...)
	ns[0].emit(100)
	if err := ns[0].Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, n := range ns[1:] {
		n.awaitFailures(2)
	}
	late := serveNode(t, 3, backend())
	ns = append(ns[1:], late)
	together(t, ns...)
	stop()
	verify(t, ns...)
	for _, n := range ns[:2] {
		if got := len(n.numbers(0)); got != 100 {
			t.Errorf("node %d got %d of 100 that a node has emitted before it left", n.number, got)
		}
	}
}
