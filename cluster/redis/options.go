package redisbus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// Wire says which adapter for Node the other nodes have, or would have.
type Wire uint8

// The wires.
const (
	// Classic is createAdapter of @socket.io/redis-adapter. With it come emitters.
	Classic Wire = iota
	// Sharded is createShardedAdapter of the same package, for Redis 7.
	Sharded
	// Streams is @socket.io/redis-streams-adapter.
	Streams
)

// String returns the name of the wire.
func (w Wire) String() string {
	switch w {
	case Classic:
		return "classic"
	case Sharded:
		return "sharded"
	case Streams:
		return "streams"
	}
	return fmt.Sprintf("wire %d", uint8(w))
}

// Options of a Backend. The zero value is what Node's adapters have by default.
type Options struct {
	// Wire is Classic unless it is set.
	Wire Wire
	// Prefix is what the names of channels begin with, "socket.io" by default: Node's options
	// key and channelPrefix.
	Prefix string
	// CommonResponses publishes answers for Node in the channel that all nodes listen to:
	// @socket.io/redis-adapter before 7.1 and socket.io-redis do not listen to one of their
	// own. It is for Classic.
	CommonResponses bool
	// Mode is Node's option subscriptionMode, for Sharded. All nodes must have the same.
	Mode nodewire.Mode
	// Stream is the name of the stream, "socket.io" by default: Node's option streamName.
	// Count is Node's streamCount, 1 by default. Both are for Streams.
	Stream string
	Count  int
	// MaxLen is about how many entries a stream keeps, 10 000 by default. It bounds how long a
	// node may be away and miss nothing.
	MaxLen int
	// Sessions is what the names of the keys begin with in which sessions are kept for recovery,
	// "sio:session:" by default: Node's option sessionKeyPrefix. It is for Streams. It may have a hash
	// tag, and no other closing brace.
	Sessions string
	// Probe is how long nothing may come before the connection is tried, and how long the try
	// may take: 5 s by default.
	Probe time.Duration
}

func (o *Options) defaults() error {
	if o.Wire > Streams {
		return fmt.Errorf("redisbus: there is no %v", o.Wire)
	}
	if o.Mode > nodewire.DynamicPrivate {
		return fmt.Errorf("redisbus: there is no mode %d", o.Mode)
	}
	if o.Count < 0 || o.MaxLen < 0 || o.Probe < 0 {
		return errors.New("redisbus: a negative option")
	}
	if o.Prefix == "" {
		o.Prefix = "socket.io"
	}
	if o.Stream == "" {
		o.Stream = "socket.io"
	}
	if o.Sessions == "" {
		o.Sessions = "sio:session:"
	}
	if strings.Contains(o.Sessions, "}") && !hashTagged(o.Sessions) { // no other key would be in its slot
		return errors.New("redisbus: a closing brace in Sessions, and no hash tag")
	}
	o.Count = max(o.Count, 1)
	if o.MaxLen == 0 {
		o.MaxLen = 10_000
	}
	if o.Probe == 0 {
		o.Probe = 5 * time.Second
	}
	if o.Wire == Streams {
		o.Mode = nodewire.Static
	}
	return nil
}

// New returns a Backend, for one Server, that makes its own connections. Of client the fields
// about connecting count: addresses, TLS, password, Sentinel, time limits. What would send
// a message twice, or out of order, is set by the Backend.
func New(client rueidis.ClientOption, o Options) cluster.Backend {
	client.DisableRetry = true
	client.DisableCache = true
	client.PipelineMultiplex = -1 // one connection: more would not keep the order
	client.BlockingPipeline = -1
	client.ConnLifetime = 0
	client.DisableAutoPipelining = false
	client.AlwaysPipelining = true // so that a closed connection is noticed at once
	client.SendToReplicas = nil
	return build(&bus{option: client, opts: o})
}

// NewWith returns a Backend, for one Server, on a client of the application. It takes two or
// three connections of the client's pool for itself, closes those, and never the client,
// which must live longer than the Server.
func NewWith(client rueidis.Client, o Options) cluster.Backend {
	return build(&bus{client: client, opts: o})
}

// build finishes a Backend. What is wrong with the options is the error of Start.
func build(b *bus) cluster.Backend {
	b.invalid = b.opts.defaults()
	if b.client == nil && b.invalid == nil && len(b.option.InitAddress) == 0 {
		b.invalid = errors.New("redisbus: no address of Redis")
	}
	b.done = make(chan struct{})
	b.maxLen = strconv.Itoa(b.opts.MaxLen)
	b.turn = make(chan struct{}, 1)
	b.subs = make(map[string]*subscription)
	b.watched, b.refused = make(map[string]bool), make(map[string]bool)
	b.asked = make(map[string]time.Time)
	if b.opts.Wire == Classic || b.opts.Wire == Sharded && b.opts.Mode == nodewire.DynamicPrivate {
		return socketBus{b}
	}
	return b
}

// socketBus is a bus on which Node publishes to sockets in channels of their own.
type socketBus struct{ *bus }

// WatchSockets marks the Backend as a cluster.SocketWatcher.
func (socketBus) WatchSockets() {}
