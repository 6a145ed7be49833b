package conformance

import (
	"context"
	"strings"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/sio"
)

// Forwarded has every request that names a session come to another server of a cluster, which
// passes it on to the one that has the session (sio.Options.Forward). It is as if a load
// balancer sent all requests but the handshakes to the wrong server, with the host of the
// factory in front of both. The other server stands in middleware of the first; cases that
// this is in the way of are left out, or known to fail, and the reason is printed.
func Forwarded() Option {
	return func(r *run) {
		r.forwarded = true
		for _, name := range []string{"panics/exchange", "panics/upgrade", "panics/stream"} {
			r.known[name] = "the other server stands in front of the case's middleware"
		}
		for _, c := range allCases() {
			if below(c.name, "exits") {
				r.skip[c.name] = "the goroutine that the case ends may be one of middleware, whose connection ends with it"
			}
		}
	}
}

// front is the server that passes requests on.
type front struct {
	*sio.Server
	knows chan struct{} // closed when it knows the server that has the sessions
}

// newFront joins a server with these options, which has not been made yet, to a cluster with
// another one. It returns nil when the case has a cluster of its own.
func (c *env) newFront(o *sio.Options) *front {
	if !c.run.forwarded || o.Cluster != nil {
		return nil
	}
	bus := cluster.NewBus()
	set := func(o *sio.Options) {
		o.Cluster = bus.Backend()
		o.Forward = &sio.Forward{Listen: "127.0.0.1:0", Secret: []byte("the secret of the suite's cluster")}
	}
	mine := *o
	mine.Legacy.FlashPolicyPort, mine.Legacy.FlashPolicyAddr = 0, ""
	mine.OnError = nil // which is the other one's
	set(&mine)
	set(o)
	f := &front{sio.NewServer(&mine), make(chan struct{})}
	f.OnServer(func(_ string, joined bool) {
		if joined {
			close(f.knows)
		}
	})
	return f
}

// stands has the requests of srv's sessions come to the front.
func (f *front) stands(c *env, srv *sio.Server) {
	if f == nil {
		return
	}
	select {
	case <-f.knows:
	case <-time.After(c.run.patience):
		c.T.Fatal("the server that passes requests on does not know the other one")
	}
	srv.UseExchange(func(next host.Handler) host.Handler {
		return host.HandlerFunc(func(x host.Exchange) {
			if named(x) {
				f.ServeExchange(x)
				return
			}
			next.ServeExchange(x)
		})
	})
}

// named reports whether a request names a session, in its query or its path.
func named(x host.Exchange) bool {
	const length = 27 // of a session's id
	if len(x.Query("sid")) == length {
		return true
	}
	for part := range strings.SplitSeq(x.Path(), "/") {
		if len(part) == length {
			return true
		}
	}
	return false
}

// stop ends the front.
func (f *front) stop(ctx context.Context) {
	if f != nil {
		_ = f.Shutdown(ctx)
	}
}
