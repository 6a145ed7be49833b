// Package sio06 is the dialect of Socket.IO clients 0.6, which know texts and
// JSON values and nothing else: no namespaces, no events, no acks. They live in
// the default namespace. It is off unless named.
package sio06

import (
	"net/http"
	"slices"
	"strings"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/codec/socketio"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/legacy"
	"github.com/siokit/siokit/core/internal/httpreq"
	"github.com/siokit/siokit/core/internal/packet"
)

// Dialect implements dialect.Dialect. Use New.
type Dialect struct {
	legacy.Base
	limits *packet.Limits // shared by all decoders
}

var _ dialect.Dialect = Dialect{}

// New returns the dialect with the limits that its decoders keep.
func New(limits packet.Limits) Dialect { return Dialect{limits: &limits} }

// Name implements dialect.Dialect.
func (Dialect) Name() string { return "sio06" }

var rules = legacy.Rules("ok")

// Rules implements dialect.Dialect.
func (Dialect) Rules() *dialect.Rules { return &rules }

// Recognise implements dialect.Dialect: the path begins with a transport.
func (Dialect) Recognise(x host.Exchange) bool {
	first, _, _ := strings.Cut(x.Path(), "/")
	return legacy.Transport(first) != ""
}

// Parse implements dialect.Dialect: transport/session/anything, where anything
// of jsonp ends in its index. A client without a session leaves its segment
// empty or out; what stands there is then a time, which no session id looks like.
func (Dialect) Parse(x host.Exchange) (dialect.Request, *dialect.Refusal) {
	segments := slices.DeleteFunc(strings.Split(x.Path(), "/"), func(s string) bool { return s == "" })
	req := dialect.Request{Transport: legacy.Transport(segments[0])}
	if len(segments) > 1 && strings.Trim(segments[1], "0123456789") != "" {
		req.SID = segments[1]
	}
	switch req.Transport {
	case dialect.HTMLFile:
		req.Script = htmlfile
	case dialect.JSONP:
		index := segments[len(segments)-1]
		if x.Method() == http.MethodPost || len(segments) == 1 {
			index = "0"
		}
		if !dialect.ScriptIndex(index) {
			return req, &dialect.Refusal{Code: dialect.BadRequest, Context: "the path does not end in an index"}
		}
		req.Script = packet.Script{Before: "io.JSONP[" + index + "]._(", After: ");"}
	}
	return req, nil
}

var htmlfile = packet.Script{
	Head:   "<html><body>" + strings.Repeat(" ", 244),
	Before: "<script>parent.s._(",
	After:  ", document);</script>",
}

// Refuse implements dialect.Dialect: a text.
func (Dialect) Refuse(x host.Exchange, r *dialect.Refusal) error {
	status, text := r.HTTPStatus(), r.Text()
	if r.Code == dialect.Forbidden && r.Message == "" {
		status, text = http.StatusUnauthorized, "unauthorized"
	}
	return legacy.ReplyText(x, status, text)
}

func frame(data string) *packet.Message {
	return packet.TextMessage(string(socketio.AppendFrame06(nil, data)))
}

// Open implements dialect.Dialect: the session id is the first message.
func (Dialect) Open(o dialect.Opening) *packet.Message { return frame(o.SID) }

// UnknownSession implements dialect.Dialect: an unknown session is an error.
func (Dialect) UnknownSession() *packet.Message { return nil }

// CloseMessage implements dialect.Dialect: there are no words for it.
func (Dialect) CloseMessage(bool) *packet.Message { return nil }

// Decode implements dialect.Dialect; it is not used: see FramePayloads.
func (Dialect) Decode(f packet.Frame) (packet.Unit, error) { return unit(f.Data), nil }

func unit(b []byte) packet.Unit {
	if socketio.IsHeartbeat06(b) {
		return packet.Unit{Kind: packet.Pong}
	}
	return packet.Unit{Kind: packet.MessageUnit, Data: b}
}

// Payloads implements dialect.Dialect.
func (d Dialect) Payloads(req dialect.Request) packet.Payloads {
	return payloads{d.limits.PayloadPackets}
}

type payloads struct{ limit int }

// Unwrap implements packet.Payloads: every body is a form with the field "data".
func (payloads) Unwrap(body []byte) ([]byte, error) {
	data, err := httpreq.FormField(body, "data")
	if err != nil {
		return nil, packet.Malformed("%v", err)
	}
	return []byte(data), nil
}

// DecodePayload implements packet.Payloads.
func (p payloads) DecodePayload(body []byte, _ string, yield func(packet.Unit) bool) error {
	return socketio.DecodePayload06(body, p.limit, func(b []byte) bool { return yield(unit(b)) })
}

// AppendPayload implements packet.Payloads.
func (payloads) AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string) {
	for _, m := range ms {
		dst = append(dst, m.Data()...)
	}
	return dst, legacy.TextType
}

// Control implements dialect.Dialect. A poll without messages has an empty answer.
func (Dialect) Control(u packet.Unit) *packet.Message {
	switch u.Kind {
	case packet.Ping, packet.Pong:
		return frame(socketio.Heartbeat06)
	case packet.MessageUnit:
		return frame(string(packet.ApplicationText(u.Data)))
	}
	return packet.TextMessage("")
}

// Encode implements dialect.Dialect.
func (Dialect) Encode(p *packet.Packet, reuse bool) *packet.Message {
	body, ok := socketio.Append06(nil, p)
	if !ok {
		return nil
	}
	return packet.NewMessage(len(body), reuse, func(b []byte) []byte { return append(b, body...) })
}

// NewDecoder implements dialect.Dialect.
func (d Dialect) NewDecoder() packet.Decoder { return socketio.NewDecoder06(d.limits) }
