// Package eio4 is the dialect of Socket.IO clients 3.x and 4.x: Engine.IO
// protocol 4 under Socket.IO protocol 5.
package eio4

import (
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/codec/engineio"
	"github.com/siokit/siokit/core/internal/codec/socketio"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/eio"
	"github.com/siokit/siokit/core/internal/packet"
)

// Dialect implements dialect.Dialect. Use New.
type Dialect struct {
	eio.Base
	limits *packet.Limits // shared by all decoders
	plain  *payloads
	script *jsonp
}

var _ dialect.Guesser = Dialect{}

// New returns the dialect with the limits that its decoders keep.
func New(limits packet.Limits) Dialect {
	p := payloads{limits.PayloadPackets}
	return Dialect{limits: &limits, plain: &p, script: &jsonp{p}}
}

// Name implements dialect.Dialect.
func (Dialect) Name() string { return "eio4" }

var rules = dialect.Rules{Heartbeat: dialect.ServerPings, Accepted: "ok", Type: "text/html"}

// Rules implements dialect.Dialect.
func (Dialect) Rules() *dialect.Rules { return &rules }

// Recognise implements dialect.Dialect: the version is in the query.
func (Dialect) Recognise(x host.Exchange) bool { return x.Query("EIO") == "4" }

// Guess implements dialect.Guesser: clients of this generation say so.
func (Dialect) Guess(host.Exchange) bool { return false }

// SocketID implements dialect.Dialect: the CONNECT answer tells it.
func (Dialect) SocketID(string, string) string { return "" }

// Decode implements dialect.Dialect.
func (Dialect) Decode(f packet.Frame) (packet.Unit, error) { return engineio.DecodeV4(f) }

// Payloads implements dialect.Dialect.
func (d Dialect) Payloads(req dialect.Request) packet.Payloads {
	if req.Transport == dialect.JSONP {
		return d.script
	}
	return d.plain
}

type payloads struct{ limit int }

// Unwrap implements packet.Payloads.
func (*payloads) Unwrap(body []byte) ([]byte, error) { return body, nil }

// DecodePayload implements packet.Payloads. Version 4 payloads are always text;
// the content type of the binary payloads of version 3 is refused.
func (p *payloads) DecodePayload(body []byte, contentType string, yield func(packet.Unit) bool) error {
	if contentType == "application/octet-stream" {
		return packet.Malformed("binary payloads belong to Engine.IO 3")
	}
	return engineio.DecodePayloadV4(body, p.limit, yield)
}

// AppendPayload implements packet.Payloads.
func (*payloads) AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string) {
	payload := dst[len(dst):] // what is in front of it is none of its packets
	for _, m := range ms {
		payload = engineio.AppendPayloadV4(payload, m)
	}
	if len(dst) > 0 {
		payload = append(dst, payload...)
	}
	return payload, "text/plain; charset=UTF-8"
}

// jsonp has its payloads in a form field.
type jsonp struct{ payloads }

// Unwrap implements packet.Payloads.
func (*jsonp) Unwrap(body []byte) ([]byte, error) { return eio.Unwrap(body) }

// Control implements dialect.Dialect.
func (Dialect) Control(u packet.Unit) *packet.Message {
	if u.Binary {
		return packet.BinaryMessage(u.Data)
	}
	return eio.Text(u)
}

// Encode implements dialect.Dialect.
func (Dialect) Encode(p *packet.Packet, reuse bool) *packet.Message {
	m := packet.NewMessage(1+socketio.SizeRev5(p), reuse, func(b []byte) []byte {
		return socketio.AppendRev5(append(b, '0'+byte(packet.MessageUnit)), p)
	})
	if len(p.Attachments) > 0 {
		m.Attach(p.Attachments...)
	}
	return m
}

// NewDecoder implements dialect.Dialect.
func (d Dialect) NewDecoder() packet.Decoder { return socketio.NewRev5Decoder(d.limits) }
