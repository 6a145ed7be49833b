package conformance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
)

// clusterCase is one thing that RunCluster verifies.
type clusterCase struct {
	name  string
	rule  string
	spec  string
	run   func(c *clusterEnv)
	alone bool // it changes which nodes there are
}

// RunCluster verifies a backend of a cluster, from end to end: it starts three servers, each
// with a backend that newBackend makes, and clients of Engine.IO 4 and 3 and of Socket.IO 0.9 at
// each, and compares what the clients get. All backends that newBackend makes are on one bus,
// which is RunCluster's alone. Each case is a subtest of t; a run takes less than 15 s.
//
// The options Only, Skip, KnownFailing, Patience and Each work as with Run, with the names of
// these cases. Others are about hosts and make no difference.
func RunCluster(t *testing.T, newBackend func() cluster.Backend, opts ...Option) {
	t.Helper()
	r := newRun(nil, opts)
	if err := r.wrongCluster(newBackend); err != nil {
		t.Fatal(err)
	}
	nodes := newClusterNodes(t, newBackend, r.patience)
	defer nodes.stop()
	for range 3 {
		nodes.start()
	}
	var mu sync.Mutex
	var results []Result
	one := func(t *testing.T, c clusterCase) {
		res := r.oneCluster(t, c, nodes)
		mu.Lock()
		results = append(results, res)
		mu.Unlock()
		switch {
		case res.Status == skipped:
			t.Skip(res.Reason)
		case res.Bad():
			t.Error(res.Report())
		case res.Status == knownFailing:
			t.Log(res.Report())
		}
	}
	cases := r.clusterCases()
	t.Run("beside", func(t *testing.T) { // returns when its parallel subtests have
		for _, c := range cases {
			if !c.alone {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					one(t, c)
				})
			}
		}
	})
	t.Run("alone", func(t *testing.T) {
		for _, c := range cases {
			if c.alone {
				t.Run(c.name, func(t *testing.T) { one(t, c) })
			}
		}
	})
	nodes.stop()
	t.Log(Summary(results))
	if t.Failed() {
		t.Logf("what the servers have logged:\n%s", nodes.logged.String())
	}
	if left := testkit.Leaked(5 * time.Second); left != "" {
		t.Errorf("goroutines left after all cases:\n%s", left)
	}
}

// allClusterCases returns the cases of RunCluster.
func allClusterCases() []clusterCase {
	return slices.Concat(clusterEmitCases, clusterTargetCases, clusterAskCases, clusterServerCases, clusterEmitterCases, clusterNameCases, clusterNodeCases)
}

func (r *run) clusterCases() []clusterCase {
	return slices.DeleteFunc(allClusterCases(), func(c clusterCase) bool {
		return len(r.only) > 0 && !slices.ContainsFunc(r.only, func(name string) bool { return c.name == name || below(c.name, name) })
	})
}

// wrongCluster complains about options that name what does not exist.
func (r *run) wrongCluster(newBackend func() cluster.Backend) error {
	if newBackend == nil {
		return errors.New("conformance: newBackend is nil")
	}
	var all []string
	for _, c := range allClusterCases() {
		all = append(all, c.name)
	}
	named := slices.Concat(slices.Collect(maps.Keys(r.skip)), slices.Collect(maps.Keys(r.known)), r.only)
	for _, name := range named {
		if !slices.ContainsFunc(all, func(c string) bool { return c == name || below(c, name) && slices.Contains(r.only, name) }) {
			return fmt.Errorf("conformance: there is no case %q of RunCluster; those that exist are %s", name, strings.Join(all, ", "))
		}
	}
	return nil
}

// oneCluster runs a case in a namespace of its own.
func (r *run) oneCluster(t *testing.T, c clusterCase, nodes *clusterNodes) Result {
	p := &probe{TB: t, name: c.name, from: time.Now()}
	x := &clusterEnv{T: p, run: r, clusterNodes: nodes, ns: "/" + c.name, seen: make(map[string]*sio.Socket)}
	res := Result{Name: c.name, Rule: c.rule, Spec: c.spec, Status: skipped, Reason: r.skip[c.name]}
	if res.Reason == "" {
		p.bounded(r.timeout, func() {
			defer p.cleanup()
			c.run(x)
		}, func() {})
		res.Status, res.Reason, res.Output, res.Trace = p.result()
		res.Took = time.Since(p.from)
	}
	return r.judged(res)
}

// clusterNodes are the servers of one cluster.
type clusterNodes struct {
	t          testing.TB
	newBackend func() cluster.Backend
	patience   time.Duration

	mu     sync.Mutex
	list   []*clusterNode
	logged strings.Builder
}

// clusterNode is one of the servers.
type clusterNode struct {
	*sio.Server
	host    *Host
	backend cluster.Backend

	mu       sync.Mutex
	nodes    []string // the other nodes that OnServer has spoken of
	failures int      // of the name "cluster"
}

func newClusterNodes(t testing.TB, newBackend func() cluster.Backend, patience time.Duration) *clusterNodes {
	return &clusterNodes{t: t, newBackend: newBackend, patience: patience}
}

// Write takes what the servers log, for a run that fails.
func (ns *clusterNodes) Write(b []byte) (int, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.logged.Len() < 64<<10 {
		ns.logged.Write(b)
	}
	return len(b), nil
}

// start starts one more server, and returns when all servers know each other.
func (ns *clusterNodes) start(set ...func(o *sio.Options)) *clusterNode {
	n := &clusterNode{backend: ns.newBackend()}
	o := sio.Options{
		PingInterval: 10 * time.Second, PingTimeout: 20 * time.Second, ConnectTimeout: 20 * time.Second, AckTimeout: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(ns, &slog.HandlerOptions{Level: slog.LevelWarn})), Cluster: n.backend, OnError: n.failed,
	}
	everything(&o)
	for _, f := range set {
		f(&o)
	}
	n.Server = sio.NewServer(&o)
	n.OfPattern("/conformance-name/{id}")
	n.OfPattern("/conformance-pattern/{id}")
	n.OfFunc(func(path string, _ *sio.Request) bool { return strings.HasPrefix(path, "/conformance-func/") })
	n.OnServer(func(node string, joined bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if joined {
			n.nodes = append(n.nodes, node)
		} else {
			n.nodes = slices.DeleteFunc(n.nodes, func(name string) bool { return name == node })
		}
	})
	n.host = ServeHTTP(ns.t, n.Server, Config{Path: mount})
	ns.mu.Lock()
	ns.list = append(ns.list, n)
	ns.mu.Unlock()
	ns.await()
	return n
}

// await waits until each server knows all others.
func (ns *clusterNodes) await() {
	list := ns.all()
	for _, n := range list {
		for until := time.Now().Add(ns.patience + 5*time.Second); n.others() != len(list)-1; time.Sleep(2 * time.Millisecond) {
			if time.Now().After(until) {
				ns.t.Errorf("a server knows %d other servers, and there are %d", n.others(), len(list)-1)
				return
			}
		}
	}
}

// failed counts failures of the cluster.
func (n *clusterNode) failed(f sio.Failure) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f.Name == sio.FailureCluster {
		n.failures++
	}
}

// others is how many other servers the server knows.
func (n *clusterNode) others() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.nodes)
}

// all are the servers that run.
func (ns *clusterNodes) all() []*clusterNode {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return slices.Clone(ns.list)
}

// end shuts one server down.
func (ns *clusterNodes) end(n *clusterNode) {
	ns.mu.Lock()
	ns.list = slices.DeleteFunc(ns.list, func(other *clusterNode) bool { return other == n })
	ns.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.Shutdown(ctx); err != nil {
		ns.t.Errorf("Shutdown: %v", err)
	}
	n.host.Stop()
}

// stop shuts all servers down.
func (ns *clusterNodes) stop() {
	for _, n := range ns.all() {
		ns.end(n)
	}
}
