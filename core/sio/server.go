package sio

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/forward"
	"github.com/siokit/siokit/core/internal/inbox"
	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/ratelog"
	"github.com/siokit/siokit/core/internal/tracker"
	"github.com/siokit/siokit/core/internal/transport/flashpolicy"
	"github.com/siokit/siokit/core/internal/transport/polling"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// Server is a Socket.IO server. It is a host.Handler for the adapters, and an
// http.Handler. All methods are safe for concurrent use.
type Server struct {
	opts     Options
	unshared JSON // Options.JSON, for Args that only a decoder sees
	hub      *virtsocket.Hub
	running  tracker.Tracker // clients and tasks that have not ended
	encodes  atomic.Int64    // messages encoded for broadcasts
	reports  atomic.Int32    // calls of OnError that run
	notices  *ratelog.Limiter
	failures failureCounts
	policy   *flashpolicy.Server
	inboxes  inbox.Bounds

	recovery   *recovery // nil without Options.Recovery
	recoveries recoveryCounts

	node       *node.Node         // nil without a cluster
	forward    *forward.Forwarder // nil without Options.Forward
	advertised string             // where the others find it
	unsticky   atomic.Bool        // the log says that requests come to the wrong node
	strange    atomic.Int32       // calls of OnError for malformed messages of other nodes that run
	newRooms   newRooms
	life       context.Context // ends with Shutdown
	end        context.CancelFunc

	tellNodes  sync.Mutex                       // held while the functions of OnServer run; guards these
	onServer   []func(node string, joined bool) // of OnServer
	knownNodes []string                         // that they were told of

	common common                     // hooks of all namespaces
	entry  atomic.Pointer[entryPoint] // the outermost exchange middleware
	asked  atomic.Bool                // whether the host believes its clients

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	patterns   []*Namespace // of OfPattern and OfFunc
	dynamics   int          // namespaces of patterns and functions that exist now
	exchanges  []func(next host.Handler) host.Handler
	closed     bool
}

var (
	_ host.Handler = (*Server)(nil)
	_ http.Handler = (*Server)(nil)
)

// NewServer returns a server. Nil options mean all defaults. It panics when an option
// is not valid or options contradict each other. Shutdown ends the server.
func NewServer(opts *Options) *Server {
	o := opts.withDefaults()
	s := &Server{opts: o, unshared: unshared{o.JSON}, namespaces: make(map[string]*Namespace), notices: newNotices(), failures: newFailureCounts(),
		inboxes: inbox.Bounds{Count: o.MaxInbox, Bytes: o.MaxInboxBytes}}
	if o.Cluster != nil {
		s.newNode(o.Cluster)
	}
	s.hub = virtsocket.NewHub(s.inner())
	if o.Recovery != nil {
		s.recovery = newRecovery(s)
	}
	if o.Legacy.FlashPolicyPort != 0 {
		s.servePolicy(o.Legacy.FlashPolicyAddr, o.Legacy.FlashPolicyPort)
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.UseExchange()
	if o.Cluster != nil {
		s.joinCluster()
	}
	s.Of("/")
	return s
}

// inner are the options of the layer inside.
func (s *Server) inner() virtsocket.Options {
	o := s.opts
	ho := virtsocket.Options{
		PingInterval:     o.PingInterval,
		PingTimeout:      o.PingTimeout,
		UpgradeTimeout:   o.UpgradeTimeout,
		CloseTimeout:     o.Legacy.CloseTimeout,
		PollDuration:     o.Legacy.PollDuration,
		MaxPayload:       o.MaxPayload,
		MaxQueueBytes:    o.MaxQueueBytes,
		MaxQueueMessages: o.MaxQueueMessages,
		MaxQuery:         o.MaxQuery,
		MaxHeaders:       o.MaxHeaders,
		Origins:          virtsocket.Origins{List: o.Origins},
		Polling:          polling.Transport{},
		Limits: virtsocket.Limits{
			Connections: o.MaxConnections, ConnectionsPerAddress: o.MaxConnectionsPerAddress,
			Pending: o.MaxPending, PendingPerAddress: o.MaxPendingPerAddress,
		},
		Accept: s.accept,
		Logger: o.Logger,
		Report: s.noticed,
	}
	if s.node != nil {
		ho.Prefix, ho.Elsewhere = s.node.Name(), s.elsewhere
	}
	if o.AllowOrigin != nil {
		ho.Origins.Allow = s.allowOrigin
	}
	if o.Address != nil { // without it the hub knows that nobody names the clients
		ho.Limits.Address = s.address
	}
	for _, d := range s.dialects() {
		if slices.Contains(o.Dialects, d.Name()) {
			ho.Dialects = append(ho.Dialects, d)
		} else {
			ho.Off = append(ho.Off, d)
		}
	}
	for _, name := range o.Transports {
		t := transports[name]
		if t.form != nil {
			ho.Forms = append(ho.Forms, t.form)
		}
		if t.duplex != nil {
			ho.Duplex = append(ho.Duplex, t.duplex(s))
		}
		if t.opens != "" {
			o.Logger.Warn("siokit: transport "+name+" is on", "opens", t.opens)
		}
	}
	return ho
}

// servePolicy starts the flash policy server. Without it flashsockets fail, and
// nothing else: that is logged.
func (s *Server) servePolicy(addr string, port int) {
	if addr == "" {
		addr = ":843"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		s.opts.Logger.Error("siokit: no flash policy server", "error", err)
		return
	}
	s.opts.Logger.Warn("siokit: flash policy server", "listens", ln.Addr().String(), "opens", port)
	s.policy = flashpolicy.Serve(ln, flashpolicy.Policy(s.opts.Origins, port))
}

// Of returns the namespace with this name and creates it if needed. A missing leading
// slash is added. "/" is the default namespace, which always exists.
//
// For a name that matches a pattern of OfPattern, and for one that OfFunc has accepted
// and that exists now, Of creates nothing and keeps nothing alive. The result
// addresses, at each call, the sockets that are in the namespace of that name at that
// time: Of("/project/7").Emit reaches nobody when nobody is there. Its Get and Set are
// those of the namespace that exists; when there is none, Get returns nil and Set keeps
// nothing. Handlers of such a namespace are registered on the result of OfPattern or
// OfFunc; registering one here panics.
//
// A name that OfFunc would accept but that does not exist becomes a namespace of its
// own, like any other; use Lookup for such names.
func (s *Server) Of(path string) *Namespace {
	path = cleanPath(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.namespaces[path]; n != nil {
		if n.parent == nil {
			return n
		}
		return &Namespace{srv: s, path: path, parent: n.parent, params: n.params, named: true}
	}
	for _, p := range s.patterns {
		if p.many.byName == nil {
			continue
		}
		if params, ok := p.many.byName(path); ok {
			return &Namespace{srv: s, path: path, parent: p, params: params, named: true}
		}
	}
	n := newNamespace(s, path)
	s.namespaces[path] = n
	return n
}

func (n *Namespace) recompile() {
	n.mu.Lock()
	defer n.mu.Unlock() // also when the construction of a middleware panics
	n.table.Store(n.compile(&n.hooks))
}

// list are the namespaces that handlers are registered on.
func (s *Server) list() []*Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := slices.Clone(s.patterns)
	for _, n := range s.namespaces {
		if n.parent == nil {
			list = append(list, n)
		}
	}
	return list
}

// ServeHTTP implements http.Handler. The mount point is taken from the pattern of
// http.ServeMux ("/socket.io/", or with wildcards in front); without a pattern it is
// Options.Path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _ := strings.CutPrefix(r.URL.Path, strings.TrimRight(s.opts.Path, "/"))
	host.ServeHTTP(s, w, r, host.HTTPConfig{Path: path, Mux: true})
}

// accept decides about a handshake.
func (s *Server) accept(vs *virtsocket.Socket, x host.Exchange) (virtsocket.Handler, *dialect.Refusal) {
	c := &client{srv: s, vs: vs}
	c.inbox.Init(c, &s.inboxes)
	c.newDecoder()
	// Whoever learns of the connection in OnHandshake may close it from then on.
	// Closed is called in every case: by a refusal too.
	s.running.Add()
	vs.Handle(c)
	if err := s.admit(c, x); err != nil {
		c.refusedHandshake()
		if err == errTooLong {
			return nil, virtsocket.TooLong()
		}
		return nil, s.forbidden(err)
	}
	s.hub.Wheel().Set(&c.timeout, c, s.opts.ConnectTimeout)
	if vs.Ended() { // Closed may have stopped the timer before it was set
		s.hub.Wheel().Stop(&c.timeout)
	}
	return c, nil
}

// errTooLong: the address of a request is longer than Options.MaxQuery.
var errTooLong = errors.New("sio: longer than Options.MaxQuery")

// admit copies the request of a new client and asks OnHandshake.
func (s *Server) admit(c *client, x host.Exchange) error {
	err := s.apart(inOnHandshake, c, nil, func() error {
		c.req = s.request(x) // runs the adapter's Keep
		if len(c.req.target) > s.opts.MaxQuery {
			return errTooLong // in front of the mount point, where only the host looks
		}
		if s.opts.OnHandshake == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), openingKey{}, c), s.opts.ConnectTimeout)
		defer cancel()
		return settled(s.opts.OnHandshake(ctx, c.req, x))
	})
	if err == nil || err == errTooLong || err == errPanic {
		return err
	}
	if e := s.asError(err); e == nil || e.cause != nil {
		attrs := []any{"error", err}
		if e != nil {
			attrs = append(attrs, "cause", e.cause)
		}
		s.opts.Logger.Error("siokit: OnHandshake failed", attrs...)
		s.report(Failure{Name: FailureHandler, Err: err, Where: "OnHandshake", Request: c.req})
	}
	return err
}

// Stats are the numbers of a server at one moment.
type Stats struct {
	Sessions int // connections, those that are closing included
	Pending  int // pending connections, see Options.MaxPending
	Sockets  int // connected sockets of all namespaces
	// DroppedVolatile is how many volatile events were dropped since the start. An event
	// that three sockets did not get counts three times.
	DroppedVolatile int64
	// Recovered is how many sockets were recovered since the start (see Options.Recovery), and
	// NotRecovered how many were not, whose clients have asked for a session of theirs.
	Recovered    int64
	NotRecovered int64
	// RecoveryDropped is how many events Recovery.MaxEvents, MaxBytes and MaxTotalBytes have pushed
	// out since the start: clients that have missed one of them are not recovered. Events that are too old
	// for any client do not count.
	RecoveryDropped int64
	// Failures is how many failures there were since the start, by Failure.Name.
	Failures map[string]int64
}

// Stats returns the numbers of the server now.
func (s *Server) Stats() Stats {
	st := Stats{Sessions: s.hub.Len(), Pending: s.hub.Pending(), DroppedVolatile: s.hub.Dropped(), Failures: s.failures.all(),
		Recovered: s.recoveries.recovered.Load(), NotRecovered: s.recoveries.refused.Load(),
		RecoveryDropped: s.recoveries.dropped.Load()}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, n := range s.namespaces {
		st.Sockets += n.rooms.len()
	}
	return st
}

// newID is an id for a socket: 20 random characters, in a cluster with the name of the node
// in front.
func (s *Server) newID() string {
	if s.node != nil {
		return s.node.NewID()
	}
	return virtsocket.NewID()[:node.IDLength]
}
