// Package eio3 is the dialect of Socket.IO clients 1.x and 2.x: Engine.IO
// protocol 3 under Socket.IO protocol 4. The client sends the heartbeats, the
// server connects the default namespace.
package eio3

import (
	"slices"
	"sync/atomic"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/codec/engineio"
	"github.com/siokit/siokit/core/internal/codec/socketio"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio"
	"github.com/siokit/siokit/core/internal/packet"
)

// Repair says what is done about clients of Socket.IO 1.x, which encode and decode
// text as UTF-8 twice when they poll, those of 1.0 on websockets too. Nothing in their
// requests tells them from 2.x.
type Repair uint8

// The choices.
const (
	// RepairDetected reads a packet as encoded twice when it cannot be much
	// else: no character above U+00FF, and the characters are UTF-8 when read as
	// bytes. The first text beyond ASCII that is anything else proves that the
	// client encodes once, and nothing of the session is touched from then on.
	RepairDetected Repair = iota
	// RepairNever leaves text as it comes: for fleets of 2.x alone.
	RepairNever
	// RepairAlways reads whatever can be read so as encoded twice, in every
	// packet: for fleets of 1.x alone. Text to a websocket is encoded twice only once
	// the client has done so there, because those of 1.1 and later do not.
	RepairAlways
	// RepairEverywhere is RepairAlways for fleets of 1.0 alone: text to a websocket
	// is encoded twice as well, from the first one on.
	RepairEverywhere
)

// Dialect implements dialect.Dialect. Use New.
type Dialect struct {
	eio.Base
	limits *packet.Limits // shared by all decoders
	repair Repair
	more   Settings
}

var _ dialect.Guesser = Dialect{}

// New returns the dialect with the limits that its decoders keep.
func New(limits packet.Limits, repair Repair) Dialect {
	return Dialect{limits: &limits, repair: repair}
}

// Name implements dialect.Dialect.
func (Dialect) Name() string { return "eio3" }

var rules = dialect.Rules{Heartbeat: dialect.ClientPings, ImplicitConnect: true, Repairs: true, Accepted: "ok", Type: "text/html"}

// Rules implements dialect.Dialect.
func (Dialect) Rules() *dialect.Rules { return &rules }

// Recognise implements dialect.Dialect: the version is in the query. The bundles
// of 1.0 for browsers say 2 and mean 3.
func (Dialect) Recognise(x host.Exchange) bool {
	v := x.Query("EIO")
	return v == "3" || v == "2"
}

// SocketID implements dialect.Dialect: clients derive it from the session's id.
func (Dialect) SocketID(sid, namespace string) string {
	if namespace == "/" {
		return sid
	}
	return namespace + "#" + sid
}

// Decode implements dialect.Dialect.
func (Dialect) Decode(f packet.Frame) (packet.Unit, error) { return engineio.DecodeV3(f) }

// Payloads implements dialect.Dialect.
func (d Dialect) Payloads(req dialect.Request) packet.Payloads {
	p := &payloads{limit: d.limits.PayloadPackets, repair: d.repair, base64: req.Base64, binary: req.Binary, jsonp: req.Transport == dialect.JSONP}
	if chosen, ok := req.Own.(Repair); ok {
		p.repair = chosen
	}
	p.twice.Store(p.repair == RepairAlways)
	p.everywhere = p.repair == RepairEverywhere
	p.frames.Store(p.everywhere)
	return p
}

// payloads is the framing of one session. Its requests with a body come one at a time.
type payloads struct {
	limit         int
	repair        Repair
	base64, jsonp bool
	binary        bool        // every payload has the binary form
	twice         atomic.Bool // the client decodes text twice, where a payload has the text form
	frames        atomic.Bool // so it does on a websocket: Outgoing encodes its text twice
	shown         bool        // it has shown on a websocket that it encodes once there
	everywhere    bool        // RepairEverywhere: Outgoing encodes twice while the client polls, too
}

// Unwrap implements packet.Payloads.
func (p *payloads) Unwrap(body []byte) ([]byte, error) {
	if p.jsonp {
		return eio.Unwrap(body)
	}
	return body, nil
}

// DecodePayload implements packet.Payloads.
func (p *payloads) DecodePayload(body []byte, contentType string, yield func(packet.Unit) bool) error {
	switch {
	case contentType == engineio.BinaryV3:
		return engineio.DecodeBinaryPayloadV3(body, p.limit, yield)
	}
	return engineio.DecodePayloadV3(body, p.limit, func(text []byte) []byte {
		once, _ := p.once(text)
		return once
	}, yield)
}

// once returns what is to be read in place of the text of a message, on any transport.
// plain is set when the text shows that the client encodes once.
func (p *payloads) once(text []byte) (once []byte, plain bool) {
	if p.repair == RepairNever {
		return text, false
	}
	once, plain = engineio.Twice(text)
	switch {
	case p.repair != RepairDetected:
	case plain:
		p.repair = RepairNever
		p.twice.Store(false)
	case len(once) != len(text):
		p.twice.Store(true)
	}
	return once, plain
}

// Repair implements dialect.Repairer, for the text of a websocket. A client that has
// encoded twice while it polled may be of 1.1 or later, which encodes once here. So
// this text alone tells whether the client decodes twice here.
func (p *payloads) Repair(text []byte) []byte {
	once, plain := p.once(text)
	switch {
	case p.everywhere || p.shown:
	case plain:
		p.shown = true
		p.frames.Store(false)
	case len(once) != len(text):
		p.frames.Store(true)
	}
	return once
}

// Outgoing implements dialect.Repairer: a client that cannot receive binary gets
// base64, and one that decodes the text of websockets twice gets it so. A session that
// has come to a websocket never polls again. But with everywhere a message may wait for
// a poll as well, and AppendPayload has to know.
func (p *payloads) Outgoing(m *packet.Message) *packet.Message {
	if p.base64 {
		m = engineio.PlainV3(m)
	}
	if p.frames.Load() {
		m = engineio.TwiceV3(m)
	}
	return m
}

// AppendPayload implements packet.Payloads. A batch with binary parts has the
// binary form, in which every client reads text as it is.
func (p *payloads) AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string) {
	form := engineio.AppendPayloadV3
	switch {
	case p.binary || slices.ContainsFunc(ms, func(m *packet.Message) bool { return m.Binary() || len(m.Attachments()) > 0 && !m.Texts() }):
		for _, m := range ms {
			if p.everywhere {
				m = engineio.OnceV3(m)
			}
			dst = engineio.AppendBinaryPayloadV3(dst, m)
		}
		return dst, engineio.BinaryV3
	case p.twice.Load():
		form = engineio.AppendTwicePayloadV3
	}
	for _, m := range ms {
		dst = form(dst, m)
	}
	return dst, "text/plain; charset=UTF-8"
}

// Control implements dialect.Dialect.
func (Dialect) Control(u packet.Unit) *packet.Message {
	if u.Binary {
		return packet.BinaryMessage(typed(u.Kind, u.Data))
	}
	return eio.Text(u)
}

// typed is a binary part behind its type.
func typed(k packet.Kind, data []byte) []byte {
	return append(append(make([]byte, 0, 1+len(data)), byte(k)), data...)
}

// Encode implements dialect.Dialect.
func (Dialect) Encode(p *packet.Packet, reuse bool) *packet.Message {
	m := packet.NewMessage(1+socketio.SizeRev5(p), reuse, func(b []byte) []byte {
		return socketio.AppendRev4(append(b, '0'+byte(packet.MessageUnit)), p)
	})
	for _, part := range p.Attachments {
		m.Attach(typed(packet.MessageUnit, part))
	}
	return m
}

// NewDecoder implements dialect.Dialect.
func (d Dialect) NewDecoder() packet.Decoder { return socketio.NewRev4Decoder(d.limits) }
