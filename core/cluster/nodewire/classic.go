package nodewire

import (
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/msgpack"
)

// The types of requests and responses of the classic wire.
const (
	classicSockets = iota
	classicAllRooms
	classicJoin
	classicLeave
	classicDisconnect
	classicFetch
	classicServerEvent
	classicBroadcast
	classicClientCount
	classicAck
)

// AppendClassic appends m as it is published in [ClassicChannel] of the classic wire. With
// the Node "" or "emitter" it is what @socket.io/redis-emitter publishes.
//
// Of an Answer or Acked Node knows the first argument alone. A Fetch with OnlyIDs and without
// Except is the request of older adapters for ids. Binary in a ServerEvent and in an Answer
// arrives as what JSON.stringify makes of a Buffer, as between processes of Node.
//
// An error leaves b as it was: it is [ErrNotOnWire], or m is not what its kind says.
func AppendClassic(b []byte, m *cluster.Message) ([]byte, error) {
	w := writer{b: b, start: len(b), json: true, buffers: true, dialect: msgpack.Notepack3}
	if w.check(m); w.err != nil {
		return b, w.err
	}
	switch {
	case m.Kind == cluster.Acked:
		w.json = false
		w.object(3)
		w.key("type")
		w.uint(classicAck)
		w.key("requestId")
		w.text(m.ID)
		w.key("packet")
		w.first(m)
	case response(m.Kind):
		w.classicResponse(m)
	case m.Kind == cluster.Emit:
		w.json = false
		w.classicEmit(m)
	default:
		w.classicRequest(m)
	}
	return w.done(b)
}

func (w *writer) classicEmit(m *cluster.Message) {
	if m.ID == "" {
		w.array(3)
		w.text(uid(m))
		w.packet(m, true)
		w.target(m, true, emits(m))
		return
	}
	w.object(5)
	w.key("uid")
	w.text(m.Node)
	w.key("requestId")
	w.text(m.ID)
	w.key("type")
	w.uint(classicBroadcast)
	w.key("packet")
	w.packet(m, true)
	w.key("opts")
	w.target(m, true, false)
}

func uid(m *cluster.Message) string {
	if emits(m) {
		return emitter
	}
	return m.Node
}

// classicRequest writes a request, which is JSON.
func (w *writer) classicRequest(m *cluster.Message) {
	w.object(0)
	if !emits(m) || m.Kind == cluster.ServerEvent {
		w.key("uid")
		w.text(uid(m))
	}
	if m.ID != "" && (m.Kind == cluster.Fetch || m.Kind == cluster.ListRooms || m.Kind == cluster.ServerEvent) {
		w.key("requestId")
		w.text(m.ID)
	}
	w.key("type")
	switch m.Kind {
	case cluster.Join, cluster.Leave:
		if m.Kind == cluster.Join {
			w.uint(classicJoin)
		} else {
			w.uint(classicLeave)
		}
		w.key("opts")
		w.target(m, false, false)
		w.key("rooms")
		w.texts(m.Names)
	case cluster.Disconnect, cluster.Close:
		w.uint(classicDisconnect)
		w.key("opts")
		w.target(m, false, false)
		w.key("close")
		w.bool(m.Kind == cluster.Close)
	case cluster.Fetch:
		if m.OnlyIDs && len(m.Except) == 0 {
			w.uint(classicSockets)
			w.key("rooms")
			w.texts(m.Rooms)
			break
		}
		w.uint(classicFetch)
		w.key("opts")
		w.target(m, false, false)
	case cluster.ListRooms:
		w.uint(classicAllRooms)
	case cluster.ServerEvent:
		w.uint(classicServerEvent)
		w.key("data")
		w.event(m)
	}
	w.end('}')
}

// classicResponse writes a response that is JSON.
func (w *writer) classicResponse(m *cluster.Message) {
	w.object(0)
	switch m.Kind {
	case cluster.Answer:
		w.key("type")
		w.uint(classicServerEvent)
	case cluster.Asked:
		w.key("type")
		w.uint(classicClientCount)
	}
	w.key("requestId")
	w.text(m.ID)
	switch m.Kind {
	case cluster.Sockets:
		w.sockets(m, m.OnlyIDs)
	case cluster.Rooms:
		w.key("rooms")
		w.texts(m.Names)
	case cluster.Answer:
		w.key("data")
		w.first(m)
	case cluster.Asked:
		w.clientCount(m)
	}
	w.end('}')
}
