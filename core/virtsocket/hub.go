// Package virtsocket is the virtual socket: one for each client, it outlives
// any one transport. It keeps the registry of sessions, the outgoing queues, the
// heartbeat, the upgrade from polling to a duplex transport, and the reasons for
// which a socket ends. It knows no Socket.IO packets: with a dialect's engine
// half it serves bare Engine.IO.
package virtsocket

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/dialect"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/wheel"
	"github.com/siokit/siokit/core/packet"
	"github.com/siokit/siokit/core/transport"
)

// Options configure a Hub. Zero values mean the defaults named with each field.
type Options struct {
	Dialects []dialect.Dialect  // in the order in which they are asked; required
	Duplex   []transport.Duplex // the duplex transports that are enabled
	Polling  transport.Polling  // nil: long polling is disabled

	PingInterval   time.Duration // 25 s
	PingTimeout    time.Duration // 20 s
	UpgradeTimeout time.Duration // 10 s
	MaxPayload     int64         // bytes of one message or POST; 1 000 000
	MaxQueueBytes  int           // of one socket's outgoing queue; 1 MiB
	MaxQueue       int           // messages in it; 1 024
	Origins        Origins

	// Accept is asked during the handshake, before the client is answered, and
	// returns who handles the new socket's messages.
	Accept func(s *Socket, x host.Exchange) (Handler, *dialect.Refusal)
	Logger *slog.Logger
}

// Handler handles what one virtual socket receives.
type Handler interface {
	// Message handles one message. data is valid until it returns. With inline
	// the call comes from the goroutine that reads the connection: it may run
	// for long, if it says so with Socket.Enter once the order of the message is settled.
	// Without, it comes from an HTTP request that must be answered soon.
	// An error ends the socket with the reason given.
	Message(binary bool, data []byte, inline bool) Reason
	// Closed is called exactly once, possibly from inside Message or Send. It must not block.
	Closed(r Reason)
}

// Hub holds the virtual sockets of one server.
type Hub struct {
	opts   Options
	wheel  *wheel.Wheel
	watch  watch
	flush  flusher
	shards [32]shard
	closed atomic.Bool
	// corkCount is the package's, or less where the queue holds less.
	corkCount int
	live      atomic.Int64
	empty     chan struct{} // closed when a closed hub has no live sockets
	once      sync.Once
}

type shard struct {
	mu sync.RWMutex
	m  map[string]*Socket
}

// NewHub returns a hub. It panics when Accept or Dialects are missing.
func NewHub(opts Options) *Hub {
	if opts.Accept == nil || len(opts.Dialects) == 0 {
		panic("virtsocket: Options.Accept and Options.Dialects are required")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&opts.PingInterval, 25*time.Second)
	def(&opts.PingTimeout, 20*time.Second)
	def(&opts.UpgradeTimeout, 10*time.Second)
	if opts.MaxPayload <= 0 {
		opts.MaxPayload = 1_000_000
	}
	if opts.MaxQueueBytes <= 0 {
		opts.MaxQueueBytes = 1 << 20
	}
	if opts.MaxQueue <= 0 {
		opts.MaxQueue = 1024
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	h := &Hub{opts: opts, empty: make(chan struct{}), corkCount: max(1, min(corkCount, opts.MaxQueue/2))}
	// Fine enough for the shortest of the timers, coarse enough to cost nothing.
	res := min(opts.PingInterval, opts.PingTimeout, opts.UpgradeTimeout) / 20
	h.wheel = wheel.New(max(5*time.Millisecond, min(res, 100*time.Millisecond)))
	h.watch.init()
	for i := range h.shards {
		h.shards[i].m = make(map[string]*Socket)
	}
	return h
}

// Wheel is the hub's timer wheel, for timers of the layer above.
func (h *Hub) Wheel() *wheel.Wheel { return h.wheel }

// Len is the number of live sockets.
func (h *Hub) Len() int { return int(h.live.Load()) }

// ServeExchange implements host.Handler.
func (h *Hub) ServeExchange(x host.Exchange) {
	if x.Method() == http.MethodOptions && h.opts.Origins.preflight(x) {
		return
	}
	d := h.recognise(x)
	if d == nil {
		h.refuse(x, h.opts.Dialects[0], h.unrecognised(x))
		return
	}
	if !h.opts.Origins.admit(x) {
		h.refuse(x, d, &dialect.Refusal{Code: dialect.Forbidden, Context: "origin"})
		return
	}
	req, ref := d.Parse(x)
	if ref == nil {
		ref = h.check(x, d, req)
	}
	if ref != nil {
		h.refuse(x, d, ref)
		return
	}
	if req.SID == "" {
		h.handshake(x, d, req)
		return
	}
	var s *Socket
	if dialect.ValidSID(req.SID) {
		s = h.get(req.SID)
	}
	switch {
	case s == nil:
		h.refuse(x, d, &dialect.Refusal{Code: dialect.UnknownSID})
	case s.dialect.Name() != d.Name():
		h.refuse(x, d, &dialect.Refusal{Code: dialect.BadRequest, Context: "protocol mismatch"})
	default:
		s.serve(x, req)
	}
}

func (h *Hub) recognise(x host.Exchange) dialect.Dialect {
	for _, d := range h.opts.Dialects {
		if d.Recognise(x) {
			return d
		}
	}
	return nil
}

// unrecognised says what is wrong with a request of no known dialect: the
// reference looks at the transport first and at the version last.
func (h *Hub) unrecognised(x host.Exchange) *dialect.Refusal {
	if !h.opts.Origins.admit(x) {
		return &dialect.Refusal{Code: dialect.Forbidden, Context: "origin"}
	}
	if ref := h.transportKnown(x.Query("transport")); ref != nil {
		return ref
	}
	return &dialect.Refusal{Code: dialect.UnsupportedVersion}
}

func (h *Hub) transportKnown(name string) *dialect.Refusal {
	if h.opts.Polling != nil && name == h.opts.Polling.Name() || h.duplex(name) != nil {
		return nil
	}
	return &dialect.Refusal{Code: dialect.UnknownTransport}
}

func (h *Hub) duplex(name string) transport.Duplex {
	for _, t := range h.opts.Duplex {
		if t.Name() == name {
			return t
		}
	}
	return nil
}

// check applies the rules that hold before any session is looked up.
func (h *Hub) check(x host.Exchange, d dialect.Dialect, req dialect.Request) *dialect.Refusal {
	if req.Transport == "" && d.Rules().SeparateHandshake {
		return nil
	}
	if ref := h.transportKnown(req.Transport); ref != nil {
		return ref
	}
	duplex := h.duplex(req.Transport) != nil
	upgrade := host.WantsUpgrade(x)
	switch {
	case req.SID == "" && !duplex && upgrade:
		return &dialect.Refusal{Code: dialect.UnknownTransport, Context: "upgrade request for polling"}
	case req.SID == "" && x.Method() != http.MethodGet:
		return &dialect.Refusal{Code: dialect.BadHandshakeMethod}
	case duplex && !upgrade:
		return &dialect.Refusal{Code: dialect.BadRequest, Context: "transport handshake error: no upgrade request"}
	case duplex != upgrade:
		return &dialect.Refusal{Code: dialect.BadRequest, Context: "transport mismatch"}
	}
	return nil
}

func (h *Hub) refuse(x host.Exchange, d dialect.Dialect, r *dialect.Refusal) {
	h.opts.Logger.Debug("siokit: request refused", "error", r.Error(), "remote", x.RemoteAddr())
	h.opts.Origins.headers(x)
	_ = d.Refuse(x, r)
}

// handshake opens a session.
func (h *Hub) handshake(x host.Exchange, d dialect.Dialect, req dialect.Request) {
	if h.closed.Load() {
		x.SetHeader("Retry-After", "1")
		h.refuse(x, d, &dialect.Refusal{Code: dialect.BadRequest, Status: http.StatusServiceUnavailable, Message: "Server shutting down"})
		return
	}
	s := &Socket{hub: h, id: NewID(), dialect: d}
	hd, ref := h.opts.Accept(s, x)
	if ref != nil {
		h.refuse(x, d, ref)
		return
	}
	s.handler = hd
	o := dialect.Opening{
		SID: s.id, PingInterval: h.opts.PingInterval, PingTimeout: h.opts.PingTimeout, MaxPayload: h.opts.MaxPayload,
	}
	if h.opts.Polling != nil {
		o.Transports = append(o.Transports, h.opts.Polling.Name())
	}
	for _, t := range h.opts.Duplex {
		o.Transports = append(o.Transports, t.Name())
	}
	if t := h.duplex(req.Transport); t != nil {
		err := t.Serve(x, s, func(c transport.Conn) {
			// From here on the answer is out: the session may be found.
			s.mu.Lock()
			s.conn = c
			s.mu.Unlock()
			h.add(s)
			s.open(d.Open(o))
		})
		if err != nil {
			hd.Closed(TransportError)
			h.refuseUpgrade(x, d, err)
		}
		return
	}
	for _, t := range h.opts.Duplex {
		o.Upgrades = append(o.Upgrades, t.Name())
	}
	s.poll = h.opts.Polling.New(s, d, d.Control(packet.Unit{Kind: packet.Noop}), d.Control(packet.Unit{Kind: packet.Close}))
	s.conn = s.poll
	h.add(s)
	s.open(d.Open(o))
	s.serve(x, req)
}

// refuseUpgrade answers a request whose connection could not be taken over.
func (h *Hub) refuseUpgrade(x host.Exchange, d dialect.Dialect, err error) {
	ref := &dialect.Refusal{Code: dialect.BadRequest, Context: err.Error()}
	var he *host.HandshakeError
	switch {
	case errors.As(err, &he):
		if ref.Status = he.Status; he.Status == http.StatusUpgradeRequired {
			x.SetHeader("Sec-WebSocket-Version", "13")
		}
	case errors.Is(err, host.ErrNoHijack):
		// The host's fault, which its developer must get to see.
		h.opts.Logger.Error("siokit: websocket refused", "error", err)
		ref.Status, ref.Message = http.StatusNotImplemented, err.Error()
	}
	h.refuse(x, d, ref)
}

func (h *Hub) shard(id string) *shard {
	// The id is random; two of its characters spread it.
	return &h.shards[(id[0]^id[1]<<3)%32]
}

func (h *Hub) add(s *Socket) {
	h.live.Add(1)
	sh := h.shard(s.id)
	sh.mu.Lock()
	sh.m[s.id] = s
	sh.mu.Unlock()
}

func (h *Hub) get(id string) *Socket {
	if len(id) < 2 {
		return nil
	}
	sh := h.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.m[id]
}

// remove makes the id unknown.
func (h *Hub) remove(s *Socket) {
	sh := h.shard(s.id)
	sh.mu.Lock()
	_, ok := sh.m[s.id]
	delete(sh.m, s.id)
	sh.mu.Unlock()
	if ok && h.live.Add(-1) == 0 && h.closed.Load() {
		h.once.Do(func() { close(h.empty) })
	}
}

// Each calls f for every socket; f may close it.
func (h *Hub) Each(f func(*Socket)) {
	for i := range h.shards {
		sh := &h.shards[i]
		sh.mu.RLock()
		all := make([]*Socket, 0, len(sh.m))
		for _, s := range sh.m {
			all = append(all, s)
		}
		sh.mu.RUnlock()
		for _, s := range all {
			f(s)
		}
	}
}

// Shutdown refuses new handshakes and closes every socket's transport, so that
// clients connect again elsewhere. It returns a channel that is closed when all
// transports have ended.
func (h *Hub) Shutdown() <-chan struct{} {
	h.closed.Store(true)
	h.Each(func(s *Socket) {
		if s.isClosed() { // it lingers for a poll that may never come
			h.wheel.Set(&s.hb, s, shutdownLinger)
		}
		s.Close(ServerShutdown)
	})
	if h.live.Load() == 0 {
		h.once.Do(func() { close(h.empty) })
	}
	return h.empty
}

// Abort ends every transport that is still there, at once.
func (h *Hub) Abort() {
	h.Each(func(s *Socket) { s.abort() })
}

// NewID returns a random id of 27 characters of the base64url alphabet. It holds
// 160 random bits: whoever knows a session id can post in the session.
func NewID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails; the runtime ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
