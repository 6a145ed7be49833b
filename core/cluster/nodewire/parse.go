package nodewire

import (
	"fmt"
	"math"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/msgpack"
	"github.com/siokit/siokit/core/internal/packet"
)

// fields are the members of messages, of whatever wire and type.
type fields struct {
	typ, uid, nsp, requestID, opts, rooms, packet, data, close, sockets, clientCount value
}

func (f *fields) take(v value) {
	v.object(func(key []byte, v value) {
		switch string(key) {
		case "type":
			f.typ = v
		case "uid":
			f.uid = v
		case "nsp":
			f.nsp = v
		case "requestId":
			f.requestID = v
		case "opts":
			f.opts = v
		case "rooms":
			f.rooms = v
		case "packet":
			f.packet = v
		case "data":
			f.data = v
		case "close":
			f.close = v
		case "sockets":
			f.sockets = v
		case "clientCount":
			f.clientCount = v
		}
	})
}

// parser fills a message. After an error it goes on, and what it fills is of no use.
type parser struct {
	m    *cluster.Message
	node string // of the message before, as the next is
	id   string
	err  error
}

// keptLen is how long a list may be whose memory is used again.
const keptLen = 1024

func kept[T any](list []T) []T {
	if cap(list) > keptLen {
		return nil
	}
	return list[:0]
}

// reset empties m, but for the memory of its lists.
func reset(m *cluster.Message) {
	*m = cluster.Message{Rooms: kept(m.Rooms), Except: kept(m.Except), Names: kept(m.Names),
		Attachments: kept(m.Attachments), Sockets: kept(m.Sockets)}
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %w", errMalformed, fmt.Errorf(format, args...))
	}
}

// name reads a text that may be missing.
func (p *parser) name(v value, what, before string) string {
	if !v.there() {
		return ""
	}
	s, ok := v.text(before)
	if !ok {
		p.fail("%s is %v, or too long", what, v.kind())
	}
	return s
}

// request reads the id of a request that must be there.
func (p *parser) request(v value) {
	if p.m.ID = p.name(v, "requestId", p.id); p.m.ID == "" {
		p.fail("no requestId")
	}
}

// texts reads a list into the memory of one that is empty now.
func (p *parser) texts(v value, what string, list []string) []string {
	list = list[:0]
	if v.kind() != msgpack.Array {
		p.fail("%s is %v", what, v.kind())
		return list
	}
	v.array(func(v value) {
		n := len(list)
		before := ""
		if n < cap(list) {
			before = list[:n+1][n]
		}
		s, ok := v.text(before)
		if !ok {
			p.fail("%v among %s, or too long a text", v.kind(), what)
			return
		}
		list = append(list, s)
	})
	return list
}

// target reads the opts. Node ends without them; what they lack is empty.
func (p *parser) target(v value) {
	if v.kind() != msgpack.Map {
		p.fail("opts is %v", v.kind())
		return
	}
	m := p.m
	v.object(func(key []byte, v value) {
		if !v.there() {
			return
		}
		switch string(key) {
		case "rooms":
			m.Rooms = p.texts(v, "rooms", m.Rooms)
		case "except":
			m.Except = p.texts(v, "except", m.Except)
		case "flags":
			p.flags(v)
		}
	})
}

func (p *parser) flags(v value) {
	if v.kind() != msgpack.Map {
		p.fail("flags is %v", v.kind())
		return
	}
	m := p.m
	v.object(func(key []byte, v value) {
		switch string(key) {
		case "volatile":
			m.Volatile = v.isTrue()
		case "expectSingleResponse":
			m.Single = v.isTrue()
		case "timeout":
			if ms, ok := v.number(); ok {
				m.Timeout = time.Duration(min(ms, maxTimeout) * float64(time.Millisecond))
			}
		}
	})
}

// packet reads the packet of an Emit, and returns its namespace. Node's clients are cut off
// by packets of other types.
func (p *parser) packet(v value) (nsp value) {
	if v.kind() != msgpack.Map {
		p.fail("packet is %v", v.kind())
		return value{}
	}
	var f fields
	f.take(v)
	if t, ok := f.typ.number(); !ok || t != packetEvent {
		p.fail("a packet whose type is not that of an event")
	}
	p.event(f.data, false)
	return f.nsp
}

// event reads an array of an event's name and its arguments. With buffers, what JSON has
// made of binary becomes binary again.
func (p *parser) event(v value, buffers bool) {
	if v.kind() != msgpack.Array {
		p.fail("the data of an event is %v", v.kind())
		return
	}
	p.json(nil, v, buffers)
	if p.err != nil {
		return
	}
	m := p.m
	c := jsontext.Cursor{Data: m.Data}
	c.Kind()
	c.At++
	switch k := c.Kind(); {
	case k == '-' || k >= '0' && k <= '9': // Node takes numbers as names
		name := number(c.Skip())
		m.Data = append(jsontext.AppendString([]byte{'['}, name), m.Data[c.At:]...)
		return
	case k != '"':
		p.fail("an event without a name")
		return
	}
	if name := jsontext.Unquote(c.Skip()); m.Kind == cluster.Emit && reservedEvent(name) {
		p.fail("the event %q cuts clients off", name)
	}
}

// argument reads one value, which becomes an array of one argument.
func (p *parser) argument(v value, buffers bool) {
	if v.kind() == msgpack.None {
		p.m.Data = []byte("[null]")
		return
	}
	p.json(make([]byte, 1, len(v.raw)+len(v.raw)/4+16), v, buffers)
}

// json reads Data and Attachments. With dst, which has room for a bracket, the value is put
// into an array.
func (p *parser) json(dst []byte, v value, buffers bool) {
	m := p.m
	m.Attachments = m.Attachments[:0]
	var err error
	if dst != nil {
		dst[0] = '['
	}
	m.Data, err = v.appendJSON(dst, &m.Attachments)
	if err == nil && v.json && buffers {
		m.Data, err = takeBuffers(m.Data, &m.Attachments)
	}
	if err != nil {
		p.fail("%w", err)
		return
	}
	if dst != nil {
		m.Data = append(m.Data, ']')
	}
}

// sockets reads the answer to a Fetch, ids alone among them.
func (p *parser) sockets(v value) {
	m := p.m
	if v.kind() != msgpack.Array {
		p.fail("sockets is %v", v.kind())
		return
	}
	v.array(func(v value) {
		if n := len(m.Sockets); n < cap(m.Sockets) {
			m.Sockets = m.Sockets[:n+1]
		} else {
			m.Sockets = append(m.Sockets, cluster.Socket{})
		}
		s := &m.Sockets[len(m.Sockets)-1]
		s.Rooms, s.Data, s.Handshake = s.Rooms[:0], nil, nil
		if v.kind() != msgpack.Map {
			m.OnlyIDs = true
			s.ID = p.name(v, "the id of a socket", s.ID)
		} else {
			p.socket(v, s)
		}
		if s.ID == "" {
			p.fail("a socket without an id")
		}
	})
}

func (p *parser) socket(v value, s *cluster.Socket) {
	id := ""
	v.object(func(key []byte, v value) {
		if !v.there() {
			return
		}
		switch string(key) {
		case "id":
			id = p.name(v, "the id of a socket", s.ID)
		case "rooms":
			s.Rooms = p.texts(v, "the rooms of a socket", s.Rooms)
		case "data":
			s.Data = p.declared(v)
		case "handshake":
			s.Handshake = p.declared(v)
		}
	})
	s.ID = id
}

func (p *parser) declared(v value) []byte {
	text, err := v.appendJSON(nil, nil)
	if err != nil {
		p.fail("a socket: %w", err)
		return nil
	}
	return text
}

// clientCount reads how many clients were asked.
func (p *parser) clientCount(v value) {
	n, ok := v.number()
	if !ok || n > packet.MaxID || n != math.Trunc(n) {
		p.fail("clientCount is no count")
		return
	}
	p.m.Number = int(n)
}

// typ reads the type of a message, -1 for none.
func typ(v value) int {
	if n, ok := v.number(); ok && n < 100 && n == math.Trunc(n) {
		return int(n)
	}
	return -1
}
