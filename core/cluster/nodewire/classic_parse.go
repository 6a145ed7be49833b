package nodewire

import (
	"fmt"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/msgpack"
)

// ParseClassic reads what has come in channel c of the classic wire into m. It takes the
// memory of m's lists, unless they are long, and of its texts where they are the same as
// before; Data, the Data and Handshake of Sockets, and Attachments may point into b.
//
// Node is "" or "emitter" for what an emitter has published. The one value of an Answer or
// Acked becomes an array of one argument; null when there is none. Rooms and names of events
// that are numbers become texts. The times in an event become texts.
//
// Whatever b is, ParseClassic does not panic. What would end a process of Node, or cut off
// its clients, is an error, and m is then of no use.
func ParseClassic(b []byte, c Channel, m *cluster.Message) error {
	v, err := parse(b)
	if err != nil {
		return err
	}
	node, id := m.Node, m.ID
	reset(m)
	m.Namespace = c.Namespace
	p := parser{m: m, node: node, id: id}
	switch {
	case c.Use == Broadcasts:
		p.classicBroadcast(v)
	case v.kind() != msgpack.Map:
		p.fail("a message that is %v", v.kind())
	case c.Use == Requests:
		p.classicRequest(v)
	default:
		m.To = c.Node
		p.classicResponse(v)
	}
	return p.err
}

func (p *parser) classicBroadcast(v value) {
	if v.kind() != msgpack.Array {
		p.fail("a broadcast that is %v", v.kind())
		return
	}
	m := p.m
	m.Kind = cluster.Emit
	n := 0
	v.array(func(v value) {
		switch n {
		case 0:
			m.Node = p.name(v, "uid", p.node)
		case 1:
			nsp := p.name(p.packet(v), "nsp", m.Namespace)
			if nsp == "" {
				nsp = "/" // as Node takes it
			}
			if nsp != m.Namespace {
				p.fail("an event for the namespace %.100q in the channel of %.100q", nsp, m.Namespace)
			}
		case 2:
			p.target(v)
		}
		n++
	})
	if n < 3 {
		p.fail("a broadcast without opts")
	}
}

func (p *parser) classicRequest(v value) {
	var f fields
	f.take(v)
	m := p.m
	m.Node = p.name(f.uid, "uid", p.node)
	switch t := typ(f.typ); t {
	case classicSockets:
		m.Kind, m.OnlyIDs = cluster.Fetch, true
		p.request(f.requestID)
		m.Rooms = p.texts(f.rooms, "rooms", m.Rooms)
	case classicAllRooms:
		m.Kind = cluster.ListRooms
		p.request(f.requestID)
	case classicJoin, classicLeave:
		m.Kind = cluster.Join
		if t == classicLeave {
			m.Kind = cluster.Leave
		}
		p.target(f.opts)
		m.Names = p.texts(f.rooms, "rooms", m.Names)
	case classicDisconnect:
		m.Kind = cluster.Disconnect
		if f.close.isTrue() {
			m.Kind = cluster.Close
		}
		p.target(f.opts)
	case classicFetch:
		m.Kind = cluster.Fetch
		p.request(f.requestID)
		p.target(f.opts)
	case classicServerEvent:
		m.Kind = cluster.ServerEvent
		m.ID = p.name(f.requestID, "requestId", p.id)
		p.event(f.data, true)
	case classicBroadcast:
		m.Kind = cluster.Emit
		p.request(f.requestID)
		p.packet(f.packet)
		p.target(f.opts)
	default:
		p.err = fmt.Errorf("%w: a request of unknown type", errMalformed)
	}
}

// classicResponse: two of the responses have no type, and are known by what is in them.
func (p *parser) classicResponse(v value) {
	var f fields
	f.take(v)
	m := p.m
	p.request(f.requestID)
	switch typ(f.typ) {
	case classicServerEvent:
		m.Kind = cluster.Answer
		p.argument(f.data, true)
		return
	case classicClientCount:
		m.Kind = cluster.Asked
		p.clientCount(f.clientCount)
		return
	case classicAck:
		m.Kind = cluster.Acked
		p.argument(f.packet, true)
		return
	}
	switch {
	case f.sockets.there():
		m.Kind = cluster.Sockets
		p.sockets(f.sockets)
	case f.rooms.there():
		m.Kind = cluster.Rooms
		m.Names = p.texts(f.rooms, "rooms", m.Names)
	default:
		p.fail("a response of unknown type")
	}
}
