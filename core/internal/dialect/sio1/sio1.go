// Package sio1 is the dialect of Socket.IO clients 0.7 to 0.9: protocol revision
// 1, without an engine below it. The handshake is an exchange of its own, the
// transport is in the path, and a newer request replaces an older one.
package sio1

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/codec/socketio"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/dialect/legacy"
	"github.com/siokit/siokit/core/internal/httpreq"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// version is the first segment of every path.
const version = "1"

// Dialect implements dialect.Dialect. Use New.
type Dialect struct {
	legacy.Base
	limits *packet.Limits // shared by all decoders
}

var (
	_ dialect.Greeter = Dialect{}
	_ dialect.Single  = Dialect{}
)

// New returns the dialect with the limits that its decoders keep.
func New(limits packet.Limits) Dialect { return Dialect{limits: &limits} }

// Name implements dialect.Dialect.
func (Dialect) Name() string { return "sio1" }

var rules = legacy.Rules("1")

// Rules implements dialect.Dialect.
func (Dialect) Rules() *dialect.Rules { return &rules }

// Recognise implements dialect.Dialect: the path begins with a version.
func (Dialect) Recognise(x host.Exchange) bool {
	first, _, _ := strings.Cut(x.Path(), "/")
	_, err := strconv.ParseUint(first, 10, 16)
	return err == nil
}

// Parse implements dialect.Dialect.
func (d Dialect) Parse(x host.Exchange) (dialect.Request, *dialect.Refusal) {
	v, rest, _ := strings.Cut(x.Path(), "/")
	if v != version {
		return dialect.Request{}, &dialect.Refusal{
			Code: dialect.UnsupportedVersion, Status: http.StatusInternalServerError, Message: "Protocol version not supported.",
		}
	}
	var req dialect.Request
	raw := x.RawQuery()
	req.End = httpreq.QueryCount(raw, "disconnect") > 0
	wire, sid, both := strings.Cut(rest, "/")
	switch {
	case rest == "" && !req.End:
		return d.parseHandshake(x)
	case req.End:
		// Behind two slashes, or a transport; a router may have made one of the two.
		if !both {
			sid = wire
		}
		req.SID = strings.Trim(sid, "/")
		if req.SID == "" {
			return req, &dialect.Refusal{Code: dialect.UnknownSID}
		}
		return req, nil
	case sid == "" && httpreq.WantsUpgrade(x):
		return req, &dialect.Refusal{Code: dialect.UnknownSID, Context: "no session in the path"}
	case sid == "": // some clients name a transport before they have a session
		return d.parseHandshake(x)
	}
	req.SID = sid
	if req.Transport = legacy.Transport(wire); req.Transport == "" {
		return req, &dialect.Refusal{Code: dialect.UnknownTransport}
	}
	switch req.Transport {
	case dialect.HTMLFile:
		req.Script = htmlfile
	case dialect.XHRMultipart:
		if dialect.ValidSID(sid) { // else it would be anybody's text in our answer
			req.Script.Head = sid
		}
	case dialect.JSONP:
		index := x.Query("i")
		if index == "" {
			index = "0"
		}
		if !dialect.ScriptIndex(index) || httpreq.QueryCount(raw, "i") > 1 {
			return req, &dialect.Refusal{Code: dialect.BadRequest, Context: "i is not an index"}
		}
		req.Script = packet.Script{Before: "io.j[" + index + "](", After: ");"}
	}
	return req, nil
}

// htmlfile is the page of a forever iframe. Browsers show nothing of it before
// some bytes have come, hence the spaces.
var htmlfile = packet.Script{
	Head:   "<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>" + strings.Repeat(" ", 173),
	Before: "<script>_(",
	After:  ");</script>",
}

func (Dialect) parseHandshake(x host.Exchange) (dialect.Request, *dialect.Refusal) {
	raw := x.RawQuery()
	if n := httpreq.QueryCount(raw, "jsonp"); n > 1 || n == 1 && !dialect.ScriptIndex(x.Query("jsonp")) {
		return dialect.Request{}, &dialect.Refusal{Code: dialect.BadRequest, Context: "jsonp is not an index"}
	}
	if m := x.Method(); m != http.MethodGet && m != http.MethodPost {
		return dialect.Request{}, &dialect.Refusal{Code: dialect.BadHandshakeMethod}
	}
	req := dialect.Request{}
	if httpreq.QueryCount(raw, "jsonp") > 0 {
		req.Transport = dialect.JSONP
	}
	return req, nil
}

// Refuse implements dialect.Dialect: a text, or for the handshake of a script
// the script that reports it.
func (Dialect) Refuse(x host.Exchange, r *dialect.Refusal) error {
	status, text := r.HTTPStatus(), r.Text()
	if r.Code == dialect.Forbidden && r.Message == "" {
		text = "handshake unauthorized"
		if r.Context == "origin" {
			text = "handshake bad origin"
		}
	}
	if index := x.Query("jsonp"); r.Code == dialect.Forbidden && dialect.ScriptIndex(index) {
		script(x)
		body := jsontext.AppendScript([]byte("io.j["+index+"](new Error("), []byte(text), false)
		return x.Reply(http.StatusOK, append(body, "));"...))
	}
	return legacy.ReplyText(x, status, text)
}

func script(x host.Exchange) {
	x.SetHeader("Content-Type", "application/javascript")
	x.SetHeader("X-Content-Type-Options", "nosniff")
}

// Greet implements dialect.Greeter: session, heartbeat timeout, close timeout
// and transports between colons.
func (Dialect) Greet(x host.Exchange, o dialect.Opening) error {
	line := strings.Join([]string{o.SID, seconds(o.PingInterval + o.PingTimeout), seconds(o.CloseTimeout), strings.Join(legacy.Offered(o.Transports), ",")}, ":")
	if index := x.Query("jsonp"); index != "" {
		script(x)
		body := jsontext.AppendScript([]byte("io.j["+index+"]("), []byte(line), false)
		return x.Reply(http.StatusOK, append(body, ");"...))
	}
	x.SetHeader("Content-Type", "text/plain")
	return x.Reply(http.StatusOK, []byte(line))
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// Open implements dialect.Dialect: the connect packet of the default namespace,
// which is connected by this, whatever becomes of it.
func (Dialect) Open(dialect.Opening) *packet.Message { return packet.TextMessage("1::") }

var (
	reconnect = "7:::" + socketio.Rev1Reconnect
	booted    = "0::"
)

// UnknownSession implements dialect.Dialect: clients connect again when they are told
// that they have not.
func (Dialect) UnknownSession() *packet.Message { return packet.TextMessage(reconnect) }

// CloseMessage implements dialect.Dialect. A client that is to come back is not told
// to, as a stranger is: it would say goodbye on its part, and say it to its next
// session when a request of its own is under way. A poll that fails makes it
// connect again without a word.
func (Dialect) CloseMessage(again bool) *packet.Message {
	if again {
		return nil
	}
	return packet.TextMessage(booted)
}

// Decode implements dialect.Dialect. It reads one packet: see FramePayloads.
func (Dialect) Decode(f packet.Frame) (packet.Unit, error) {
	if f.Binary {
		return packet.Unit{}, packet.Malformed("binary in revision 1")
	}
	return unit(f.Data), nil
}

// unit tells the transport's packets from the others.
func unit(b []byte) packet.Unit {
	switch {
	case len(b) == 0:
		return packet.Unit{Kind: packet.Noop} // an empty body, which the reference ignores
	case b[0] == '2' && (len(b) == 1 || b[1] == ':'):
		return packet.Unit{Kind: packet.Pong}
	case b[0] == '8' && (len(b) == 1 || b[1] == ':'):
		return packet.Unit{Kind: packet.Noop}
	}
	return packet.Unit{Kind: packet.MessageUnit, Data: b}
}

// Single implements dialect.Single: nearly every frame is one packet.
func (Dialect) Single(data []byte) (packet.Unit, bool) {
	if !socketio.SinglePayloadRev1(data) {
		return packet.Unit{}, false
	}
	return unit(data), true
}

// Payloads implements dialect.Dialect.
func (d Dialect) Payloads(req dialect.Request) packet.Payloads {
	return payloads{d.limits.PayloadPackets, req.Transport == dialect.JSONP}
}

type payloads struct {
	limit int
	jsonp bool
}

// Unwrap implements packet.Payloads: jsonp has a JSON string in the form field "d".
func (p payloads) Unwrap(body []byte) ([]byte, error) {
	if !p.jsonp {
		return body, nil
	}
	d, err := httpreq.FormField(body, "d")
	if err != nil {
		return nil, packet.Malformed("jsonp: %v", err)
	}
	var text string
	if err := json.Unmarshal([]byte(d), &text); err != nil {
		return nil, packet.Malformed("jsonp: %v", err)
	}
	return []byte(text), nil
}

// DecodePayload implements packet.Payloads.
func (p payloads) DecodePayload(body []byte, _ string, yield func(packet.Unit) bool) error {
	return socketio.DecodePayloadRev1(body, p.limit, func(b []byte) bool { return yield(unit(b)) })
}

// AppendPayload implements packet.Payloads.
func (payloads) AppendPayload(dst []byte, ms []*packet.Message) ([]byte, string) {
	return socketio.AppendPayloadRev1(dst, ms), legacy.TextType
}

// Control implements dialect.Dialect. Heartbeats look alike both ways.
func (Dialect) Control(u packet.Unit) *packet.Message {
	switch u.Kind {
	case packet.Ping, packet.Pong:
		return packet.TextMessage("2::")
	case packet.Noop:
		return packet.TextMessage("8::")
	case packet.Close:
		return packet.TextMessage(booted)
	}
	return packet.TextMessage(string(packet.ApplicationText(u.Data)))
}

// Encode implements dialect.Dialect.
func (Dialect) Encode(p *packet.Packet, reuse bool) *packet.Message {
	if p.Type == packet.Connect && p.Namespace == "/" {
		return nil // the first message was that
	}
	return packet.NewMessage(socketio.SizeRev5(p), reuse, func(b []byte) []byte { return socketio.AppendRev1(b, p) })
}

// NewDecoder implements dialect.Dialect.
func (d Dialect) NewDecoder() packet.Decoder { return socketio.NewRev1Decoder(d.limits) }
