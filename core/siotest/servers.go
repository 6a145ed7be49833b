package siotest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/siokit/siokit/core/sio"
)

// long bounds what a Server has to do with nobody in its way.
const long = 30 * time.Second

// ending are the servers that Cleanup was called with, until their tests have ended.
var ending = struct {
	sync.Mutex
	servers map[*sio.Server]owner
}{servers: map[*sio.Server]owner{}}

// owner is a test that a Server ends with.
type owner struct{ name, bubble string }

// Cleanup has servers shut down when the test ends. New calls Cleanup with its own t; call
// Cleanup before New for a Server that is to outlive that t. The first call with a Server
// counts.
//
// The test fails when Shutdown takes longer than 30 s, which means that a handler,
// OnDisconnect or Socket.Go has not returned. Shutdown waits for Drain.Notice of the Server,
// too. In a bubble of testing/synctest the timers of the servers run out afterwards: a bubble
// must not end before its goroutines.
func Cleanup(t testing.TB, servers ...*sio.Server) {
	t.Helper()
	if outside(t) {
		t.Fatal("siotest: t is of the test outside of the bubble; take the one that synctest.Test gives")
	}
	for _, s := range servers {
		ending.Lock()
		_, known := ending.servers[s]
		if !known {
			ending.servers[s] = owner{t.Name(), bubble()}
		}
		ending.Unlock()
		if !known {
			t.Cleanup(func() { shutDown(t, s) })
		}
	}
}

// checkOwner fails the test when the Server ends with a test that t is not, and no subtest of, or
// in another bubble: there the timers that it has made here would end the process.
func checkOwner(t testing.TB, s *sio.Server) {
	t.Helper()
	ending.Lock()
	o, known := ending.servers[s]
	ending.Unlock()
	switch {
	case !known:
	case t.Name() != o.name && !strings.HasPrefix(t.Name(), o.name+"/"):
		t.Fatalf("siotest.New: the Server is shut down with %s, and this is %s. Make a Server for each test, or"+
			" call siotest.Cleanup before, with the t of the test around both", o.name, t.Name())
	case bubble() != o.bubble:
		t.Fatalf("siotest.New: the Server is shut down by %s in another bubble of testing/synctest, or outside of any."+
			" Make a Server for each bubble", o.name)
	}
}

// shutDown ends a Server, whose clients are closed by now.
func shutDown(t testing.TB, s *sio.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, sio.ErrServerClosed) {
		t.Errorf("siotest: the Server does not shut down within %v (%v). Has a handler, OnDisconnect or Socket.Go not returned?", long, err)
	}
	ending.Lock()
	delete(ending.servers, s)
	ending.Unlock()
	if inBubble() {
		time.Sleep(10 * time.Second) // no time at all
	}
}

// inBubble reports whether the caller is in a bubble of testing/synctest. In one it returns
// when nothing else runs there.
func inBubble() (in bool) {
	defer func() { _ = recover() }() // outside of a bubble Wait panics
	synctest.Wait()
	return true
}

// bubble names the bubble of the caller; "" when there is none.
func bubble() string {
	var b [128]byte
	line, _, _ := strings.Cut(string(b[:runtime.Stack(b[:], false)]), "]:")
	_, name, _ := strings.Cut(line, "synctest bubble ")
	return name
}

// outside reports whether the caller is in a bubble and t is not. Its cleanups would run outside,
// which ends the process.
func outside(t testing.TB) (is bool) {
	d, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok || bubble() == "" {
		return false
	}
	defer func() { _ = recover() }() // of a bubble's t Deadline panics
	_, _ = d.Deadline()
	return true
}

// Together waits until servers that share a bus know each other, as servers of a cluster
// do a moment after they have started. What one of them emits before may not reach the
// others. Nor may what is emitted right after the first client of a namespace, or of a room,
// has come to a node: the bus learns of both a moment later. In a bubble synctest.Wait waits
// for that; outside of one, emit again until it comes. It fails the test when one of them has no Options.Cluster, and when that takes
// longer than 30 s. When the test ends the servers are shut down, as [Cleanup] does. It
// registers a function with OnServer of each.
//
//	bus := cluster.NewBus()
//	a := sio.NewServer(&sio.Options{Cluster: bus.Backend()})
//	b := sio.NewServer(&sio.Options{Cluster: bus.Backend()})
//	siotest.Together(t, a, b)
func Together(t testing.TB, servers ...*sio.Server) {
	t.Helper()
	for i, s := range servers {
		if s.Node() == "" {
			t.Fatalf("siotest.Together: server %d has no Options.Cluster", i+1)
		}
	}
	Cleanup(t, servers...)
	m := meet(servers)
	late := time.NewTimer(long)
	defer late.Stop()
	for {
		from, to := m.missing(servers)
		if from == "" {
			return
		}
		select {
		case <-m.changed:
		case <-late.C:
			t.Fatalf("siotest.Together: the node %s does not know the node %s. Are they on one bus?", from, to)
		}
	}
}

// meeting is which nodes each server knows.
type meeting struct {
	changed chan struct{} // has a value when known has changed

	mu    sync.Mutex
	known []map[string]bool
}

func meet(servers []*sio.Server) *meeting {
	m := &meeting{changed: make(chan struct{}, 1)}
	for _, s := range servers {
		m.known = append(m.known, map[string]bool{s.Node(): true})
	}
	for i, s := range servers {
		s.OnServer(func(node string, joined bool) {
			m.mu.Lock()
			m.known[i][node] = joined
			m.mu.Unlock()
			select {
			case m.changed <- struct{}{}:
			default:
			}
		})
	}
	return m
}

// missing are two nodes of which one does not know the other; "" when there are none.
func (m *meeting) missing(servers []*sio.Server) (from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, s := range servers {
		for _, other := range servers {
			if !m.known[i][other.Node()] {
				return s.Node(), other.Node()
			}
		}
	}
	return "", ""
}
