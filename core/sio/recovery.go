package sio

import (
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
)

// Recovery are the options of connection state recovery: a client that has lost its connection
// comes back as the same Socket to its application, with its id, its rooms, the values of its
// RestoredKeys, and the events that it has missed. A zero field means its default.
//
// A recovery is complete, or it does not happen: then the client has a new session, and
// Socket.Recovered is false here and socket.recovered is false there. It does not happen when the
// client was away for too long, when one of the bounds below has pushed out an event that was
// for it, when more was missed than fits into the queue of a client (Options.MaxQueueMessages and
// MaxQueueBytes), when the client or the application had left the namespace, and when the bus of
// a cluster has lost something.
//
// What is recovered are events without an ack, binary ones too, that are emitted to the socket, to
// a room or to all. Volatile events, and events that ask for an ack, are not. Within a namespace
// events are emitted one after the other.
//
// In a cluster a client is recovered by any server that has Recovery too, while the one that it was
// at can be asked: also while that one shuts down, and not after it was killed. All servers have to
// have the same Recovery. It does not happen either when another node is silent, with several
// streams of Redis and the wire Sharded on a Redis Cluster, when the client has missed more than 512
// KiB, for some values (see RestoredKey), and when an event was for the client, in the moment in
// which it comes back, that a process of Node or an Emitter has emitted.
//
// Where the bus is a log that all nodes share, a cluster.Journal, as one stream of Redis is, none of
// that is needed: a client is recovered after a restart too. There
// events that can be recovered are sent to the clients of this process, too, when the bus has taken
// them; Target.Local cannot be recovered; acks, and events that ask for one, may overtake others.
// See docs/cluster.md.
//
// What Target.Join, Leave and Disconnect do does not reach a client that is away.
//
// The official clients 4.6 and newer know recovery. The server sends each event for them with
// one more argument, a text, which clients 3.0 to 4.5 hand to their listeners too: nothing
// on the wire tells them apart. Clients before 3.0, and other namespaces than Namespaces, notice
// nothing.
type Recovery struct {
	// MaxDisconnection is how long a client may be away; 2 min. Events are kept longer, by
	// the time in which a dead connection is noticed, PingInterval and PingTimeout.
	MaxDisconnection time.Duration
	// MaxSessions is how many clients may be away at once; 10 000. One more takes the place of
	// the one that is away for longest.
	MaxSessions int
	// MaxEvents and MaxBytes are how much is kept of each namespace; 10 000 events and
	// 16 MiB. Attachments count, and some bytes for each event.
	MaxEvents int
	MaxBytes  int
	// MaxTotalBytes is how much is kept of all namespaces together, such as the many that
	// match a pattern; 256 MiB, or MaxBytes when that is more. Where the next event would be too
	// much, its namespace forgets the oldest of its own.
	MaxTotalBytes int
	// SkipConnect does not ask the policies, OnConnect and the guards again about a client that
	// is recovered, as Node's server does not. Without it they are asked, and Socket.Recovered
	// tells them; a client that they refuse has no session any more.
	SkipConnect bool
	// FirstEvent is the name of the event with which a client gets its first offset, when it
	// connects; "recovery". Without that event a client could not be recovered before another
	// one has come. Listeners see it when they listen to all events. NoFirstEvent turns it
	// off.
	FirstEvent   string
	NoFirstEvent bool
	// StoreLive keeps the sessions of clients that are connected stored, too, where the bus is a
	// cluster.Journal, so that clients are recovered by another server after theirs was killed.
	// That is a write to the bus for each client that connects, for each room that a client
	// enters or leaves, and for each client each PingInterval, and one more when the values of
	// its RestoredKeys have changed. What a client did in the last moments before the end may not
	// be stored, nor what a handler has done to the values that still ran. A client that comes back
	// to a server that cannot reach the bus is new: another one may have had it meanwhile.
	StoreLive bool
	// Namespaces are the names of the namespaces and the patterns of OfPattern whose clients
	// can be recovered; nil means all, and those of OfFunc are among them only then.
	Namespaces []string
}

// What else bounds recovery.
const (
	// takeoverTime is how long a client that is back waits for the end of its old socket.
	takeoverTime = time.Second
	// maxLeftRooms is how many rooms that a socket has left are remembered.
	maxLeftRooms = 256
	// recoverableCost is what a kept event costs besides its text.
	recoverableCost = 200
)

// recoveryDefaults fills in the defaults of Options.Recovery, in a copy.
func (o *Options) recoveryDefaults() {
	if o.Recovery == nil {
		return
	}
	r := *o.Recovery
	defaultTo("Recovery.MaxDisconnection", &r.MaxDisconnection, 2*time.Minute)
	defaultTo("Recovery.MaxSessions", &r.MaxSessions, 10_000)
	defaultTo("Recovery.MaxEvents", &r.MaxEvents, 10_000)
	defaultTo("Recovery.MaxBytes", &r.MaxBytes, 16<<20)
	defaultTo("Recovery.MaxTotalBytes", &r.MaxTotalBytes, max(256<<20, r.MaxBytes))
	if r.FirstEvent == "" {
		r.FirstEvent = "recovery"
	}
	if ReservedEvent(r.FirstEvent) {
		panic("sio: Options.Recovery.FirstEvent: " + errReserved(r.FirstEvent).Error())
	}
	o.Recovery = &r
}

// Recovered reports whether the socket goes on where an earlier one of the same client has
// ended: it has that one's id, its rooms and the values of its RestoredKeys, and the client gets
// what it has missed, behind the answer to its CONNECT. See Options.Recovery.
func (s *Socket) Recovered() bool { return s.recovered }

// BindRecovery says to whom the connection belongs: what its client can recover are sessions of
// connections with the same key alone, so the secret of a session is of no use to others. Call it
// in Options.OnHandshake; later calls concern the namespaces that are joined later. Several keys
// count together. The session bridge calls it with the user or the web session.
func (c *Conn) BindRecovery(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, _ := json.Marshal(key) // so that two keys are not taken for one
	c.bound += string(text)
}

// boundTo is the key of the connection.
func (c *client) boundTo() string {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return ""
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.bound
}

// recoveryCounts are part of Stats.
type recoveryCounts struct{ recovered, refused, dropped atomic.Int64 }

// recover gives a new socket the session that its client asks for, or else one of its own.
func (c *client) recover(s *Socket, p *packet.Packet) {
	r := c.srv.recovery
	if r == nil || c.vs.Dialect().Name() != "eio4" {
		return
	}
	if !r.recovers(s.ns) {
		return
	}
	pid, offset := recoveryAuth(p.Data)
	if pid != "" {
		rec, here := r.claim(s, pid, offset)
		if !here {
			rec = r.fetch(s, pid, offset)
		}
		if rec != nil {
			c.srv.recoveries.recovered.Add(1)
			rec.restore(s)
			return
		}
		c.srv.recoveries.refused.Add(1)
	}
	s.recovery = r.fresh(s)
}

// recovers reports whether the clients of a namespace can be recovered.
func (r *recovery) recovers(n *Namespace) bool {
	return r.opts.Namespaces == nil || slices.ContainsFunc(r.opts.Namespaces, n.isCalled)
}

// isCalled reports whether a name is that of the namespace or of its pattern.
func (n *Namespace) isCalled(name string) bool {
	name = cleanPath(name)
	return name == n.path || n.parent != nil && name == n.parent.path
}

// recoveryAuth is what a client says in its CONNECT, beside the application's own.
func recoveryAuth(data []byte) (pid, offset string) {
	if len(data) == 0 {
		return "", ""
	}
	var auth struct{ PID, Offset any }
	_ = json.Unmarshal(data, &auth)
	pid, _ = auth.PID.(string)
	offset, _ = auth.Offset.(string)
	return pid, offset
}

// welcomed is the answer to a CONNECT.
func (s *Socket) welcomed() []byte {
	if s.recovery == nil {
		return []byte(`{"sid":"` + s.id + `"}`)
	}
	return []byte(`{"sid":"` + s.id + `","pid":"` + s.recovery.pid + `"}`)
}

// withOffset is the array of an event with an offset behind its arguments.
func withOffset(data []byte, offset string) []byte {
	out := make([]byte, 0, len(data)+len(offset)+3)
	out = append(out, data[:len(data)-1]...)
	out = append(out, ',', '"')
	out = append(out, offset...)
	return append(out, '"', ']')
}
