package sio

import (
	"sync"

	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

// broadcast is one packet on its way to many sockets.
type broadcast struct {
	srv     *Server
	packet  packet.Packet
	encoded [5]struct {
		dialect string // "offset": that of clients which can be recovered
		m       *packet.Message
	}
	n      int
	out    virtsocket.Fanout
	offset string // for clients that can be recovered; the lock of the namespace's log is held then
	stamp  stamp
	// position is that of the event in the journal of the cluster, 0 for none; pinned are sockets
	// that are seen to by onItsWay.sendTo.
	position uint64
	pinned   map[*Socket]bool
	unplaced bool // it should have a position
}

// broadcasts are used again: they are large, and live on the heap.
var broadcasts = sync.Pool{New: func() any { return new(broadcast) }}

func (s *Server) newBroadcast(p packet.Packet) *broadcast {
	b := broadcasts.Get().(*broadcast)
	b.srv, b.packet = s, p
	b.out.Begin(s.hub)
	return b
}

// done has the rest written, and gives b back.
func (b *broadcast) done() {
	if b.packet.HasID {
		b.out.Hurry()
	} else {
		b.out.Done()
	}
	b.out.Begin(nil)
	clear(b.encoded[:b.n])
	b.srv, b.packet, b.n, b.offset, b.position, b.stamp, b.unplaced = nil, packet.Packet{}, 0, "", 0, stamp{}, false
	broadcasts.Put(b)
}

// message is the packet for the client generation of a socket; nil when that has nothing of
// the kind.
func (b *broadcast) message(s *Socket) *packet.Message {
	d := s.client.vs.Dialect()
	name, offset := d.Name(), s.recovery != nil && b.offset != ""
	if offset {
		name = "offset"
	}
	var m *packet.Message
	known := false
	for i := range b.encoded[:b.n] {
		if b.encoded[i].dialect == name {
			m, known = b.encoded[i].m, true
		}
	}
	if !known {
		if offset {
			p := b.packet
			p.Data = withOffset(p.Data, b.offset)
			m = d.Encode(&p, false)
		} else {
			m = d.Encode(&b.packet, false)
		}
		b.srv.encodes.Add(1)
		if b.n < len(b.encoded) {
			b.encoded[b.n].dialect, b.encoded[b.n].m = name, m
			b.n++
		}
	}
	return m
}

func (b *broadcast) send(s *Socket, volatile bool) {
	if _, apart := b.pinned[s]; apart {
		return
	}
	if rec := s.recovery; rec != nil && b.offset != "" {
		if b.position > 0 && b.position <= rec.upTo || !rec.deliver(b.stamp, volatile) {
			return
		}
		if b.unplaced {
			rec.unplaced()
		}
	}
	m := b.message(s)
	if m == nil {
		return
	}
	if s.state.Load() == stateConnected {
		b.out.Send(s.client.vs, m, volatile)
		return
	}
	_ = s.sendMessage(m, volatile)
}
