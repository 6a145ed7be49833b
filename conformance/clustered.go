package conformance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

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
	"limits/pending":         "the limit is one process's own",
	"limits/pending-peer":    "the limit is one process's own",
	"limits/pending-end":     "the limit is one process's own",
	"limits/connections":     "the limit is one process's own",
	"connect/dynamic-bound":  "the limit is one process's own",
	"recovery":               "what a client has missed is in the memory of one process",
	"generations/shutdown":   "which of three servers goes first makes a difference, and lifecycle/shutdown has three",
	"lifecycle/shutdown-ack": "which of three servers goes first makes a difference, and lifecycle/shutdown has three",
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
