package conformance

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// group are the servers of a case with Clustered.
type group struct {
	c    *env
	list []*sio.Server
	// fronts pass requests on to the server that has all sessions.
	fronts []*sio.Server

	balancer *balancer

	mu       sync.Mutex
	known    []map[string]bool // the other nodes that each server knows
	names    []string          // of all nodes, when they know each other
	requests []sessionRequest  // that name a session
	passed   int               // requests that came to a front
	round    int               // of settle
	heard    map[[2]int]bool   // which server has heard which in this round
}

// startGroup starts the servers of a case, and their hosts.
func (c *env) startGroup(cfg Config) {
	g := &group{c: c, heard: map[[2]int]bool{}}
	c.group = g
	one := c.run.placed(c.T.name) != ""
	newBackend := c.run.bus()
	for i := range clusterSize {
		o := c.opts
		o.Cluster = newBackend()
		o.Forward = &sio.Forward{Listen: "127.0.0.1:0", Secret: []byte("the secret of the suite's cluster")}
		if i > 0 && one {
			o.OnError = nil // which is that of the server with the sessions
		}
		c.Server = sio.NewServer(&o)
		g.join(c.Server)
		g.hears(i, c.Server)
	}
	g.await()
	if one {
		g.list, g.fronts = g.list[:1], g.list[1:]
		g.stand()
	}
	// The first client of a case comes to the first server, and what the case emits to another.
	c.Server = g.list[len(g.list)/2]
	c.app = newApp(g.list...)
	g.start(cfg)
}

// join adds a server.
func (g *group) join(srv *sio.Server) {
	known := map[string]bool{}
	g.mu.Lock()
	g.list, g.known = append(g.list, srv), append(g.known, known)
	g.mu.Unlock()
	srv.OnServer(func(name string, joined bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if joined {
			known[name] = true
		} else {
			delete(known, name)
		}
	})
}

// await waits until all servers know each other.
func (g *group) await() {
	for until := time.Now().Add(g.c.run.patience); !g.complete(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			g.c.T.Fatalf("the servers do not know each other: %v", g.known)
		}
	}
}

// complete reports whether all servers know each other, and finds out their names.
func (g *group) complete() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[string]bool{}
	for _, known := range g.known {
		if len(known) != clusterSize-1 {
			return false
		}
		for name := range known {
			all[name] = true
		}
	}
	g.names = nil
	for _, known := range g.known {
		for name := range all {
			if !known[name] {
				g.names = append(g.names, name)
			}
		}
	}
	return len(all) == clusterSize
}

// sent is told of each request that a client sends.
func (g *group) sent(from net.Addr, target string) {
	path, query, _ := strings.Cut(target, "?")
	values, _ := url.ParseQuery(query)
	if id := sessionIn(values.Get("sid"), path); id != "" {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.requests = append(g.requests, sessionRequest{from.String(), id})
	}
}

// sessionRequest is one that names a session.
type sessionRequest struct{ from, session string }

// elsewhere is how many requests came to a server when another one has their session.
func (g *group) elsewhere() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.fronts) > 0 || g.balancer == nil {
		return g.passed
	}
	for _, r := range g.requests {
		owner := slices.IndexFunc(g.names, func(name string) bool { return strings.HasPrefix(r.session, name) })
		if came, ok := g.balancer.came(r.from); ok && owner >= 0 && came != owner {
			n++
		}
	}
	return n
}

// sessionIn is the id of a session that a request names, in its query or its path.
func sessionIn(sid, path string) string {
	const length = 27 // of a session's id
	if len(sid) == length {
		return sid
	}
	for part := range strings.SplitSeq(path, "/") {
		if len(part) == length {
			return part
		}
	}
	return ""
}

// stand has the requests of sessions come to all servers in turn, although one of them has all
// sessions: the fronts have no host, so they stand in middleware of that server.
func (g *group) stand() {
	turn := 0
	front := func() host.Handler {
		g.mu.Lock()
		defer g.mu.Unlock()
		if turn++; turn%clusterSize == 0 {
			return nil
		}
		g.passed++
		return g.fronts[turn%clusterSize-1]
	}
	g.list[0].UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) {
			h := next
			if sessionIn(x.Query("sid"), x.Path()) != "" {
				if f := front(); f != nil {
					h = f
				}
			}
			h.ServeExchange(x)
		})
	})
}

// all are the servers with those that only pass requests on.
func (g *group) all() []*sio.Server { return slices.Concat(g.list, g.fronts) }

// start starts a host for each server that has sessions, behind one address.
func (g *group) start(cfg Config) {
	c := g.c
	b := newBalancer(c.T, cfg, len(g.list))
	g.balancer = b
	var mu sync.Mutex
	var hosts []*Host
	c.Host = &Host{URL: b.url, Stop: func() { // also when the factory has given up
		mu.Lock()
		defer mu.Unlock()
		var wg sync.WaitGroup
		for _, h := range hosts {
			wg.Go(h.Stop)
		}
		wg.Wait()
		b.stop()
	}}
	for i, srv := range g.list {
		own := cfg
		own.share = b.shares[i]
		h := c.run.factory(c.T, srv, own)
		mu.Lock()
		hosts = append(hosts, h)
		mu.Unlock()
		if !own.share.used.Load() {
			c.T.Fatal("Clustered: the factory has not called Listen or ServeHTTP with its Config")
		}
	}
}

// hears notes which servers have said that they are settled.
func (g *group) hears(at int, srv *sio.Server) {
	sio.HandleServers(srv.Of("/"), settled, func(_ context.Context, said sio.Args2[int, int]) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if said.A == g.round {
			g.heard[[2]int{at, said.B}] = true
		}
		return nil
	})
}
