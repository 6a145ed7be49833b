package nodewire

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/msgpack"
)

// ParseAdapter reads what has come in channel c of the sharded wire, or beside streams, into
// m, as [ParseClassic] does.
func ParseAdapter(b []byte, c Channel, m *cluster.Message) error {
	v, err := parse(b)
	if err != nil {
		return err
	}
	node, id := m.Node, m.ID
	reset(m)
	p := parser{m: m, node: node, id: id}
	if v.kind() != msgpack.Map {
		p.fail("a message that is %v", v.kind())
		return p.err
	}
	var f fields
	f.take(v)
	m.Node = p.name(f.uid, "uid", node)
	m.Namespace = p.name(f.nsp, "nsp", c.Namespace)
	if m.Namespace != c.Namespace {
		p.fail("a message for the namespace %.100q in the channel of %.100q", m.Namespace, c.Namespace)
	}
	p.adapter(typ(f.typ), f.data)
	if response(m.Kind) {
		m.To = c.Node
	}
	return p.err
}

// ParseEntry reads an entry of a stream into m, as [ParseClassic] does.
func ParseEntry(e *Entry, m *cluster.Message) error {
	data := e.Data
	if len(data) > maxMessage {
		return fmt.Errorf("%w: more than %d bytes", errMalformed, maxMessage)
	}
	if len(data) > 0 && data[0] != '{' {
		var err error
		if data, err = base64.StdEncoding.AppendDecode(nil, data); err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
	}
	v, err := parse(data)
	if err != nil {
		return err
	}
	t, err := strconv.ParseUint(e.Type, 10, 8)
	if err != nil || !validNamespace(e.Namespace) || !validName(e.Node) {
		return fmt.Errorf("%w: an entry of the type %.20q for the namespace %.100q", errMalformed, e.Type, e.Namespace)
	}
	node, id := m.Node, m.ID
	reset(m)
	m.Node, m.Namespace = e.Node, e.Namespace
	p := parser{m: m, node: node, id: id}
	p.adapter(int(t), v)
	return p.err
}

// adapter reads the data of a message of ClusterAdapter.
func (p *parser) adapter(t int, v value) {
	if v.kind() != msgpack.Map {
		p.fail("the data of a message of type %d is %v", t, v.kind())
		return
	}
	var f fields
	f.take(v)
	m := p.m
	switch t {
	case adapterBroadcast:
		m.Kind = cluster.Emit
		m.ID = p.name(f.requestID, "requestId", p.id)
		p.packet(f.packet)
		p.target(f.opts)
		return
	case adapterJoin, adapterLeave:
		m.Kind = cluster.Join
		if t == adapterLeave {
			m.Kind = cluster.Leave
		}
		p.target(f.opts)
		m.Names = p.texts(f.rooms, "rooms", m.Names)
		return
	case adapterDisconnect:
		m.Kind = cluster.Disconnect
		if f.close.isTrue() {
			m.Kind = cluster.Close
		}
		p.target(f.opts)
		return
	case adapterServerEvent:
		m.Kind = cluster.ServerEvent
		m.ID = p.name(f.requestID, "requestId", p.id)
		p.event(f.packet, false)
		return
	}
	p.request(f.requestID)
	switch t {
	case adapterFetch:
		m.Kind = cluster.Fetch
		p.target(f.opts)
	case adapterSockets:
		m.Kind = cluster.Sockets
		p.sockets(f.sockets)
	case adapterServerResponse:
		m.Kind = cluster.Answer
		p.argument(f.packet, false)
	case adapterClientCount:
		m.Kind = cluster.Asked
		p.clientCount(f.clientCount)
	case adapterAck:
		m.Kind = cluster.Acked
		p.argument(f.packet, false)
	default:
		p.err = fmt.Errorf("%w: a message of unknown type %d", errMalformed, t)
	}
}
