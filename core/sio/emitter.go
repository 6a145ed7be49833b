package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/node"
)

// Emitter speaks to the clients and servers of a cluster from a process that serves nobody: a
// job, a command, another service. Others do not count it, do not wait for it, and OnServer
// does not tell of it. All methods are safe for concurrent use.
type Emitter struct {
	srv   *Server // without a hub: nobody connects
	table *table  // of namespaces in which nothing is registered

	mu   sync.Mutex
	told int64 // lost messages that Flush has spoken of
}

// EmitterOptions of an Emitter. A field that is zero has its default.
type EmitterOptions struct {
	// OnError is called with a Failure of the name FailureCluster when what is emitted begins
	// to be lost, and when that is over, as Options.OnError is; and with FailurePanic.
	OnError func(f Failure)
	// Logger receives what goes wrong; slog.Default().
	Logger *slog.Logger
	// JSON encodes arguments and decodes answers, as Options.JSON.
	JSON JSON
	// AckTimeout is how long CallAll waits when its context has no deadline; 10 s.
	AckTimeout time.Duration
}

// NewEmitter returns an Emitter that emits by b, a Backend such as those of packages redisbus
// and natsbus, with the options that those of the servers have. Nil options mean all defaults. It
// returns when b is started, which may be before the bus is reached. It panics when b can never
// work, as NewServer does. Close ends it.
//
// What is emitted waits, bounded as that of a server is, until the first attempt to reach the bus
// has ended. From then on it is as with a server: what is emitted while the bus is away is lost,
// counted and reported. CallAll, CallServers, Target.Count and Target.Sockets wait until the bus
// was reached, and 300 ms longer, in which the servers say that they are there. That is part of
// the time that these calls may take; when the first attempt fails they end at once, with
// cluster.ErrDown.
func NewEmitter(b cluster.Backend, opts *EmitterOptions) *Emitter {
	if b == nil {
		panic("sio: NewEmitter without a Backend")
	}
	var o EmitterOptions
	if opts != nil {
		o = *opts
	}
	all := (&Options{Cluster: b, OnError: o.OnError, Logger: o.Logger, JSON: o.JSON, AckTimeout: o.AckTimeout}).withDefaults()
	s := &Server{opts: all, unshared: unshared{all.JSON}, notices: newNotices(), failures: newFailureCounts()}
	s.life, s.end = context.WithCancel(context.Background())
	no := s.nodeOptions("")
	no.Emitter = true
	s.node = node.New(b, clusterHost{s}, no)
	if err := s.node.Start(context.Background()); err != nil {
		panic(fmt.Sprintf("sio: NewEmitter: %v", err))
	}
	return &Emitter{srv: s, table: (&Namespace{srv: s}).compile(&hooks{})}
}

// Of returns the namespace with this name, as the servers know it. A missing leading slash is
// added. A name with braces is a pattern that the servers have given to OfPattern, and stands for
// all namespaces that match.
//
// What speaks to others works as on a server: Emit, To, Except, All, EmitServers, CallServers,
// CallAll of its targets. Nothing can be registered: On and its like panic, and so does
// Target.Local. There are no sockets of this process: Len is 0 and Socket returns nil. Server
// returns nil. Each call returns a Namespace of its own, which keeps what is Set.
func (e *Emitter) Of(path string) *Namespace {
	n := &Namespace{srv: e.srv, path: cleanPath(path)}
	if strings.Contains(path, "{") {
		parsePattern(n.path)
		n.many = &family{bus: n.path}
	}
	n.table.Store(e.table)
	return n
}

// Flush waits until the bus has taken what was emitted before. Emit never waits, and what is more
// than 65 536 messages or 64 MiB is lost: who emits much at once calls Flush now and then. The
// error is ctx's, or says how many messages were lost since the last Flush, and why the first
// that this Emitter has ever lost was.
func (e *Emitter) Flush(ctx context.Context) error {
	if err := e.srv.node.Flush(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	lost, why := e.srv.node.Lost()
	before := e.told
	if e.told = lost; lost > before {
		return lostError(lost-before, why)
	}
	return nil
}

func lostError(n int64, why error) error {
	return fmt.Errorf("sio: %d messages of the emitter were lost: %w", n, why)
}

// Close publishes what waits, and leaves the cluster. It returns when the bus has taken
// everything; when ctx ends first, the rest is lost. The error is ctx's, or says how many of the
// messages of this Emitter were lost since NewEmitter, and why the first of them was: nil means
// that the bus has taken all of them. Open calls end with cluster.ErrClosed; an Emit after Close
// returns it. A second Close waits for the first.
func (e *Emitter) Close(ctx context.Context) error {
	e.srv.end()
	err := e.srv.node.Shutdown(ctx)
	if lost, why := e.srv.node.Lost(); lost > 0 {
		return lostError(lost, errors.Join(err, why))
	}
	return err
}

// serves reports whether there may be sockets here: an Emitter's server has none.
func (s *Server) serves() bool { return s.hub != nil }

// emitAway emits from an Emitter.
func (t Target) emitAway(event string, args []any) error {
	if ReservedEvent(event) {
		return errReserved(event)
	}
	e := newEncoder(t.ns.srv.opts.JSON)
	defer e.free()
	if err := t.ns.srv.encode(e, event, true, args); err != nil {
		return err
	}
	n := t.node()
	if n == nil {
		return nil
	}
	_, ok := t.publish(n, e)
	return t.ns.srv.emitted(ok)
}

// emitted is the error of what was not published: nil for what is lost, which is counted, and for
// what a server says while it ends.
func (s *Server) emitted(ok bool) error {
	if ok || s.serves() || s.life.Err() == nil {
		return nil
	}
	return cluster.ErrClosed
}
