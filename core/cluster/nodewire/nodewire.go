// Package nodewire turns messages between the nodes of a cluster into what the adapters of
// Socket.IO for Node publish in Redis, and back, byte for byte. There are three wires:
//
//   - classic: createAdapter of @socket.io/redis-adapter, and @socket.io/redis-emitter;
//   - sharded: createShardedAdapter of the same package, for Redis 7;
//   - streams: @socket.io/redis-streams-adapter.
//
// Only nodes with the same adapter and the same prefix hear each other. What no process of
// Node understands is [ErrNotOnWire]; backends send that in siokit's own form, on a channel
// of its own.
//
// A process of Node ends when it receives a message of a wrong shape. So the functions that
// write take nothing but a whole [cluster.Message], check all of it, and write all that Node
// needs. Whoever may publish in such a Redis can end all processes of the cluster.
package nodewire

import (
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/siokit/siokit/core/cluster"
)

// ErrNotOnWire: Node has no such message, or would come to harm by this one. A backend sends
// the message to nodes of siokit alone.
var ErrNotOnWire = errors.New("nodewire: not for Node")

// errMalformed is wrapped by the errors about messages that nobody should be sent.
var errMalformed = errors.New("nodewire: malformed message")

// The bounds of a message, for what is written and for what is read.
const (
	maxMessage = 64 << 20 // bytes
	maxText    = 64 << 10 // bytes of a room, a namespace, an id

	// maxArguments bounds an event that is written: Node calls listeners with the arguments
	// on its stack, and ends when that is full.
	maxArguments = 10_000
)

// Use is what a channel carries.
type Use uint8

// The uses. ClusterAdapter, the base of the sharded wire and of streams, has no requests
// apart from broadcasts.
const (
	Broadcasts Use = iota
	Requests
	Responses
)

// Channel is a channel of Redis. A backend keeps the Channel for each name to which it has
// subscribed: names cannot be taken apart when a namespace or a room has a # in it.
type Channel struct {
	Use Use
	// Namespace is the namespace with its slash.
	Namespace string
	// Room: the broadcasts to this one room; "" for all others.
	Room string
	// Node: the responses to this one node; "" for the channel of all, which the classic
	// wire has for nodes older than version 7.1 of the adapter.
	Node string
}

// AppendClassic appends the name of the channel on the classic wire. The prefix is
// "socket.io" unless the option key says otherwise.
func (c Channel) AppendClassic(b []byte, prefix string) []byte {
	b = append(b, prefix...)
	switch c.Use {
	case Requests:
		b = append(b, "-request"...)
	case Responses:
		b = append(b, "-response"...)
	}
	return c.append(b)
}

// AppendAdapter appends the name of the channel on the sharded wire and beside streams. The
// prefix is "socket.io" unless the option channelPrefix says otherwise.
func (c Channel) AppendAdapter(b []byte, prefix string) []byte {
	return c.append(append(b, prefix...))
}

func (c Channel) append(b []byte) []byte {
	b = append(append(append(b, '#'), c.Namespace...), '#')
	for _, part := range [...]string{c.Room, c.Node} {
		if part != "" {
			b = append(append(b, part...), '#')
		}
	}
	return b
}

// ClassicChannel is where m belongs on the classic wire. Answers go to the channel of m.To;
// clear Node for nodes that do not listen to their own.
func ClassicChannel(m *cluster.Message) Channel {
	c := Channel{Use: Requests, Namespace: m.Namespace}
	switch {
	case response(m.Kind):
		c.Use, c.Node = Responses, m.To
	case m.Kind == cluster.Emit && m.ID == "":
		c.Use = Broadcasts
		if len(m.Rooms) == 1 {
			c.Room = m.Rooms[0]
		}
	}
	return c
}

// Mode is the option subscriptionMode of the sharded wire: which rooms have a channel of
// their own. All nodes of a cluster must have the same.
type Mode uint8

// The modes.
const (
	// Dynamic is Node's default: all rooms do, but for those whose names have 20
	// characters, as Node's socket ids have.
	Dynamic Mode = iota
	// Static: no room does. Streams use it.
	Static
	// DynamicPrivate: all rooms do.
	DynamicPrivate
)

// Apart reports whether the broadcasts to a room have a channel of their own.
func (m Mode) Apart(room string) bool {
	switch m {
	case Dynamic:
		units := 0
		for _, r := range room {
			units += utf16.RuneLen(r)
		}
		return units != 20
	case DynamicPrivate:
		return true
	}
	return false
}

// AdapterChannel is where m belongs on the sharded wire, and, in the mode Static, beside
// streams.
func AdapterChannel(m *cluster.Message, mode Mode) Channel {
	c := Channel{Namespace: m.Namespace}
	switch {
	case response(m.Kind):
		c.Use, c.Node = Responses, m.To
	case m.Kind == cluster.Emit && m.ID == "" && len(m.Rooms) == 1 && mode.Apart(m.Rooms[0]):
		c.Room = m.Rooms[0]
	}
	return c
}

// response reports whether messages of a kind are for the one node that has asked.
func response(k cluster.Kind) bool { return k >= cluster.Sockets && k <= cluster.Acked }

// emitter is the uid of those that serve nobody.
const emitter = "emitter"

func emits(m *cluster.Message) bool { return m.Node == "" || m.Node == emitter }

// reservedEvents cut a client off that is sent them.
func reservedEvent(name []byte) bool {
	switch string(name) {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// reservedServerEvent: Node would take such an event for one of its own, and most
// applications end by that; an "error" ends those that do not listen to it.
func reservedServerEvent(name []byte) bool {
	switch string(name) {
	case "connect", "connection", "new_namespace", "error":
		return true
	}
	return false
}

// validNamespace reports whether a namespace has its slash.
func validNamespace(nsp string) bool { return strings.HasPrefix(nsp, "/") && validName(nsp) }

// validName reports whether a name arrives as it is sent.
func validName(name string) bool { return len(name) <= maxText && utf8.ValidString(name) }
