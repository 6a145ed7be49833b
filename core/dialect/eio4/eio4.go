// Package eio4 is the dialect of Socket.IO clients 3.x and 4.x: Engine.IO
// protocol 4 under Socket.IO protocol 5.
package eio4

import (
	"encoding/json"

	"github.com/siokit/siokit/core/dialect"
	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/packet"
	"github.com/siokit/siokit/core/packet/engineio"
	"github.com/siokit/siokit/core/packet/socketio"
)

// Dialect implements dialect.Dialect. The zero value keeps no limits; use New.
type Dialect struct{ limits packet.Limits }

var _ dialect.Dialect = Dialect{}

// New returns the dialect with the limits that its decoders keep.
func New(limits packet.Limits) Dialect { return Dialect{limits} }

// Name implements dialect.Dialect.
func (Dialect) Name() string { return "eio4" }

// Rules implements dialect.Dialect.
func (Dialect) Rules() dialect.Rules { return dialect.Rules{Heartbeat: dialect.ServerPings} }

// Recognise implements dialect.Dialect: the version is in the query.
func (Dialect) Recognise(x host.Exchange) bool { return x.Query("EIO") == "4" }

// control are the parameters that decide about a request; doubled ones are refused.
var control = [...]string{"EIO", "transport", "sid"}

// Parse implements dialect.Dialect.
func (Dialect) Parse(x host.Exchange) (dialect.Request, *dialect.Refusal) {
	raw := x.RawQuery()
	for _, key := range control {
		if host.QueryCount(raw, key) > 1 {
			return dialect.Request{}, &dialect.Refusal{Code: dialect.BadRequest, Context: "parameter " + key + " occurs twice"}
		}
	}
	req := dialect.Request{Transport: x.Query("transport"), SID: x.Query("sid")}
	if req.SID == "" && host.QueryCount(raw, "sid") > 0 {
		return req, &dialect.Refusal{Code: dialect.UnknownSID, Context: "empty sid"}
	}
	return req, nil
}

// Refuse implements dialect.Dialect: a JSON object with code and message.
func (Dialect) Refuse(x host.Exchange, r *dialect.Refusal) error {
	x.SetHeader("Content-Type", "application/json")
	body, _ := json.Marshal(struct {
		Code    dialect.Code `json:"code"`
		Message string       `json:"message"`
	}{r.Code, r.Text()})
	return x.Reply(r.HTTPStatus(), body)
}

// Open implements dialect.Dialect (Engine.IO protocol 4, "Handshake").
func (Dialect) Open(o dialect.Opening) *packet.Message {
	if o.Upgrades == nil {
		o.Upgrades = []string{}
	}
	body, _ := json.Marshal(struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{o.SID, o.Upgrades, o.PingInterval.Milliseconds(), o.PingTimeout.Milliseconds(), o.MaxPayload})
	return packet.TextMessage("0" + string(body))
}

// Decode implements dialect.Dialect.
func (Dialect) Decode(f packet.Frame) (packet.Unit, error) { return engineio.DecodeV4(f) }

// DecodePayload implements dialect.Dialect. Version 4 payloads are always text;
// the content type of the binary payloads of version 3 is refused.
func (d Dialect) DecodePayload(body []byte, contentType string, yield func(packet.Unit) bool) error {
	if contentType == "application/octet-stream" {
		return packet.Malformed("binary payloads belong to Engine.IO 3")
	}
	return engineio.DecodePayloadV4(body, d.limits.PayloadPackets, yield)
}

// AppendPayload implements dialect.Dialect.
func (Dialect) AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string) {
	for _, m := range ms {
		dst = engineio.AppendPayloadV4(dst, m)
	}
	return dst, "text/plain; charset=UTF-8"
}

// Control implements dialect.Dialect.
func (Dialect) Control(u packet.Unit) *packet.Message {
	if u.Binary {
		return packet.BinaryMessage(u.Data)
	}
	return packet.NewMessage(1+len(u.Data), false, func(b []byte) []byte {
		return append(append(b, '0'+byte(u.Kind)), u.Data...)
	})
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
