package virtsocket

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/transport"
	"github.com/siokit/siokit/core/internal/wheel"
)

// Options configure a Hub.
type Options struct {
	Dialects []dialect.Dialect // in the order in which they are asked; required
	// Off are dialects whose clients are told that they are not served. NotServed is
	// how they are told, by the dialect's name, in the words of the package's own
	// options; without an entry the name is not among Options.Dialects.
	Off       []dialect.Dialect
	NotServed map[string]string
	Duplex    []transport.Duplex // the duplex transports that are enabled
	Forms     []transport.Form   // the transports of single requests that are enabled
	Polling   transport.Polling  // their mechanics; required when there are Forms

	// These are all required: the packages that users import say the defaults.
	PingInterval   time.Duration
	PingTimeout    time.Duration
	UpgradeTimeout time.Duration
	// CloseTimeout is how long a session of a dialect with QuietPolls lasts
	// without a request, and PollDuration how long one of its polls at most, and
	// half of it at least; without such a dialect they are not required.
	CloseTimeout     time.Duration
	PollDuration     time.Duration
	MaxPayload       int64 // bytes of one message or POST
	MaxQueueBytes    int   // of one socket's outgoing queue
	MaxQueueMessages int   // messages in it
	// MaxQuery and MaxHeaders are the bytes of a request's query, with the path
	// below the mount point, and of its headers, each of which counts 32 more.
	MaxQuery, MaxHeaders int

	Origins Origins
	Limits  Limits // of sessions

	// Prefix is what every session id begins with, so that other processes see whose a
	// session is; at most prefixLength characters. Elsewhere, when not nil, is shown
	// every request before it is looked at closer, and reports whether another process
	// has answered it.
	Prefix    string
	Elsewhere func(x host.Exchange) bool

	// Accept is asked during the handshake, before the client is answered, and
	// returns who handles the new socket's messages. An Accept that shows the
	// socket to application code calls Socket.Handle first.
	Accept func(s *Socket, x host.Exchange) (Handler, *dialect.Refusal)
	Logger *slog.Logger // required
	// Report, when not nil, is told what is counted by Hub.Notices, whether it is
	// logged or not. It must not block.
	Report func(n Notice)
}

// Handler handles what one virtual socket receives.
type Handler interface {
	// Visit is asked about every request of the session after the first one; a
	// refusal ends the session.
	Visit(x host.Exchange) *dialect.Refusal
	// Opened is called once, when the session has its first transport. What is
	// sent from now on follows the first message.
	Opened()
	// Message handles one message. data is valid until it returns. With inline
	// the call comes from the goroutine that reads the connection: it may run
	// for long, if it says so with Socket.AllowHandoff once the order of the message is settled.
	// Without, it comes from an HTTP request that must be answered soon.
	// An error ends the socket with the reason given.
	Message(binary bool, data []byte, inline bool) Reason
	// Overdue says that application code which runs since Socket.AllowHandoff or
	// Socket.WatchHandler takes long: whatever can be done beside it should not wait for
	// it. The watch, one for all sockets, calls it: it must not block.
	Overdue()
	// Closed is called exactly once, possibly from inside Message or Send, and
	// also when the handshake fails after Socket.Handle. It must not block: the
	// timers of all sockets may wait for it.
	Closed(r Reason)
}

// Hub holds the virtual sockets of one server.
type Hub struct {
	opts    Options
	wheel   *wheel.Wheel
	watch   watch
	flush   flusher
	shards  [32]shard
	closed  atomic.Bool
	queues  outboxLimits
	live    atomic.Int64
	dropped atomic.Int64 // volatile messages
	limiter limiter
	notices notices
	unnamed atomic.Bool   // somebody without an address has come, and the log says so
	empty   chan struct{} // closed when a closed hub has no live sockets
	once    sync.Once
}

type shard struct {
	mu sync.RWMutex
	m  map[string]*Socket
}

// required panics when an option is missing.
func (o *Options) required() {
	for name, missing := range map[string]bool{
		"Accept":   o.Accept == nil,
		"Dialects": len(o.Dialects) == 0,
		"Polling":  len(o.Forms) > 0 && o.Polling == nil,
		"Logger":   o.Logger == nil,

		"PingInterval":     o.PingInterval <= 0,
		"PingTimeout":      o.PingTimeout <= 0,
		"UpgradeTimeout":   o.UpgradeTimeout <= 0,
		"CloseTimeout":     o.CloseTimeout <= 0 && o.quiet(),
		"PollDuration":     o.PollDuration <= 0 && o.quiet(),
		"MaxPayload":       o.MaxPayload <= 0,
		"MaxQueueBytes":    o.MaxQueueBytes <= 0,
		"MaxQueueMessages": o.MaxQueueMessages <= 0,
		"MaxQuery":         o.MaxQuery <= 0,
		"MaxHeaders":       o.MaxHeaders <= 0,
	} {
		if missing {
			panic("virtsocket: Options." + name + " is required")
		}
	}
}

// quiet reports whether there is a dialect with QuietPolls.
func (o *Options) quiet() bool {
	return slices.ContainsFunc(o.Dialects, func(d dialect.Dialect) bool { return d.Rules().QuietPolls })
}

// NewHub returns a hub. It panics when an option is missing that is required.
func NewHub(opts Options) *Hub {
	opts.required()
	if len(opts.Prefix) > prefixLength {
		panic("virtsocket: Options.Prefix is longer than an id can spare")
	}
	h := &Hub{opts: opts, notices: newNotices(), empty: make(chan struct{}), queues: newOutboxLimits(opts.MaxQueueMessages, opts.MaxQueueBytes)}
	// Fine enough for the shortest of the timers, coarse enough to cost nothing.
	res := min(opts.PingInterval, opts.PingTimeout, opts.UpgradeTimeout) / 20
	h.wheel = wheel.New(max(5*time.Millisecond, min(res, 100*time.Millisecond)))
	h.watch.init(h.flush.wake)
	h.flush.busy = h.watch.busy
	h.limiter.limits = opts.Limits
	for i := range h.shards {
		h.shards[i].m = make(map[string]*Socket)
	}
	return h
}

// Wheel is the hub's timer wheel, for timers of the layer above.
func (h *Hub) Wheel() *wheel.Wheel { return h.wheel }

// Len is the number of live sockets.
func (h *Hub) Len() int { return int(h.live.Load()) }

// Pending is how many sessions are pending; see Limits.
func (h *Hub) Pending() int { return h.limiter.count() }

func (h *Hub) shard(id string) *shard {
	// The end of the id is random, but for its last character; two of them spread it.
	n := len(id)
	return &h.shards[(id[n-2]^id[n-3]<<3)%32]
}

func (h *Hub) add(s *Socket) {
	h.live.Add(1)
	sh := h.shard(s.id)
	sh.mu.Lock()
	sh.m[s.id] = s
	sh.mu.Unlock()
}

func (h *Hub) get(id string) *Socket {
	if len(id) < 3 {
		return nil
	}
	sh := h.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.m[id]
}

// remove makes the id unknown, and gives the session's slot back: also that of a
// session which was never found here.
func (h *Hub) remove(s *Socket) {
	sh := h.shard(s.id)
	sh.mu.Lock()
	_, ok := sh.m[s.id]
	delete(sh.m, s.id)
	sh.mu.Unlock()
	h.limiter.giveBack(&s.slot)
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
	ended := h.Refuse()
	h.Each(func(s *Socket) { s.Close(ServerShutdown) })
	return ended
}

// Abort ends every transport that is still there, at once.
func (h *Hub) Abort() {
	h.Each(func(s *Socket) { s.abort() })
}

// IDLength is how many characters NewID has.
const IDLength = 27

// NewID returns a random id of 27 characters of the base64url alphabet. It holds
// 160 random bits: whoever knows a session id can post in the session.
func NewID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails; the runtime ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// prefixLength leaves an id 132 random bits.
const prefixLength = 5

// newID returns an id for a session, as long as without a prefix.
func (h *Hub) newID() string { return (h.opts.Prefix + NewID())[:IDLength] }
