package conformance

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// Clustered runs each case over three servers of a cluster, with the same options and the same
// handlers, instead of one. Each has a host of its own, which the factory makes, and
// sio.Options.Forward. The clients see one address: connections go to the hosts in turn, as from
// a load balancer without stickiness, and each request has a connection of its own, but in cases
// that are about several on one. So most requests of a session come to a server that does not
// have the session, and the clients of a case meet across servers. Each round of three begins
// with the next host: in plain turn, clients that make three requests each would all have their
// sessions on one server.
//
// bus is called for each case and returns what makes the backends of its three servers; nil
// stands for the bus in memory. The three are on one bus, on which nobody else is.
//
// Cases about the numbers of a single process, and all of Sessions and CookieSessions, have one
// server with all sessions, and the two others pass requests on to it. The Summary says how many
// there are of each kind, with the reasons. The factory has to listen with Listen or ServeHTTP.
func Clustered(bus func() func() cluster.Backend) Option {
	outside := bus != nil
	if !outside {
		bus = func() func() cluster.Backend { return cluster.NewBus().Backend }
	}
	return func(r *run) { r.bus, r.outside = bus, outside }
}

// clusterSize is how many servers there are.
const clusterSize = 3

// The kinds of Result.Servers.
const (
	threeServers = "three servers"
	oneOfThree   = "one server of three has all sessions: "
)

// onOneServer are the cases that have one server with all sessions, and the reasons. A name
// stands for all cases below it too.
var onOneServer = map[string]string{
	"limits/pending":        "the limit is one process's own",
	"limits/pending-peer":   "the limit is one process's own",
	"limits/pending-end":    "the limit is one process's own",
	"limits/connections":    "the limit is one process's own",
	"connect/dynamic-bound": "the limit is one process's own",
	"generations/shutdown":  "which of three servers goes first makes a difference, and lifecycle/shutdown has three",
}

// placed says why a case has one server with all sessions, or "".
func (r *run) placed(name string) string {
	if r.sessions != nil {
		return "the web sessions are in the memory of one process"
	}
	for group, reason := range onOneServer {
		if name == group || below(name, group) {
			return reason
		}
	}
	return ""
}

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

// shutdown shuts servers down at once.
func shutdown(ctx context.Context, list []*sio.Server) {
	var wg sync.WaitGroup
	for _, srv := range list {
		wg.Go(func() { _ = srv.Shutdown(ctx) })
	}
	wg.Wait()
}

// eachRequestAlone has each request of a client made on a connection of its own.
func eachRequestAlone(c *http.Client) {
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = -1 // sets no header, as DisableKeepAlives does
}

// servers are the servers of the case that have sessions: one, or with Clustered three. Cases
// that cannot do without a server are left out when it is not in this process.
func (c *env) servers() []*sio.Server {
	c.server()
	if c.group != nil {
		return c.group.list
	}
	return []*sio.Server{c.Server}
}

// each has f called for every server of the case.
func (c *env) each(f func(srv *sio.Server)) {
	for _, srv := range c.servers() {
		f(srv)
	}
}

// useExchange puts middleware around the requests of every server.
func useExchange(c *env, mw func(next host.Handler) host.Handler) {
	c.each(func(srv *sio.Server) { srv.UseExchange(mw) })
}

// shutdown shuts the servers of the case down, one after the other, and returns the first error.
func (c *env) shutdown(ctx context.Context) (first error) {
	for _, srv := range c.servers() {
		if err := srv.Shutdown(ctx); first == nil {
			first = err
		}
	}
	return first
}

// stats adds up what the servers of the case count.
func (c *env) stats() sio.Stats {
	sum := sio.Stats{Failures: map[string]int64{}}
	for _, srv := range c.servers() {
		st := srv.Stats()
		sum.Sessions += st.Sessions
		sum.Pending += st.Pending
		sum.Sockets += st.Sockets
		sum.DroppedVolatile += st.DroppedVolatile
		for name, n := range st.Failures {
			sum.Failures[name] += n
		}
	}
	return sum
}

// settled is the event by which servers say to each other what settle wants to know.
const settled = "conformance settled"

// settle waits until what one server emits reaches the clients of all that have joined
// something: a server listens to the rooms of its clients from a moment after they have joined,
// and that moment is over when an event of that server has come (docs/protocol.md 13.2).
func (c *env) settle() {
	c.T.Helper()
	g := c.group
	if g == nil {
		return
	}
	g.mu.Lock()
	g.round++
	round := g.round
	clear(g.heard)
	g.mu.Unlock()
	for i, srv := range g.list {
		if err := srv.Of("/").EmitServers(settled, round, i); err != nil {
			c.T.Fatal(err)
		}
	}
	c.Eventually("all servers hear each other", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.heard) == len(g.list)*(clusterSize-1)
	})
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

// placement says which servers the case has had, and how many requests came to a server without
// their session.
func (c *env) placement() (servers string, elsewhere int) {
	if c.run.bus == nil {
		return "", 0
	}
	servers = threeServers
	if why := c.run.placed(c.T.name); why != "" {
		servers = oneOfThree + why
	}
	return servers, int(c.elsewhere.Load())
}

// clusteredSummary says how the cases stood.
func clusteredSummary(results []Result) string {
	var b strings.Builder
	n, elsewhere := 0, 0
	var kinds []string
	by := map[string][]string{}
	for _, res := range results {
		switch {
		case res.Servers == "":
		case res.Servers == threeServers:
			n++
			elsewhere += res.Elsewhere
		default:
			if by[res.Servers] == nil {
				kinds = append(kinds, res.Servers)
			}
			by[res.Servers] = append(by[res.Servers], res.Name)
		}
	}
	if n > 0 || len(kinds) > 0 {
		fmt.Fprintf(&b, "\n  servers: %d cases over three, where %d requests came to another than the one with their session", n, elsewhere)
	}
	for _, kind := range kinds {
		fmt.Fprintf(&b, "\n  servers: %d cases with %s\n    %s", len(by[kind]), kind, strings.Join(by[kind], ", "))
	}
	return b.String()
}
