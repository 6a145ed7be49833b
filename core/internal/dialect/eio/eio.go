// Package eio is what the dialects of Engine.IO 3 and 4 share: their
// requests, their errors, and the first packet.
package eio

import (
	"encoding/json"
	"slices"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/dialect"
	"github.com/siokit/siokit/core/internal/httpreq"
	"github.com/siokit/siokit/core/internal/packet"
)

// Base is what the dialects of Engine.IO 3 and 4 have in common. Each embeds Base
// and shows what differs.
type Base struct{}

// Resumes is the session id of a request that names no version.
func (Base) Resumes(x host.Exchange) string {
	if x.Query("EIO") != "" {
		return ""
	}
	return x.Query("sid")
}

// Refuse answers with a JSON object of code and message, to a message over the
// limit with nothing, as the reference does: clients show the text as a detail.
func (Base) Refuse(x host.Exchange, r *dialect.Refusal) error {
	if r.Cause == dialect.CauseTooLarge {
		return x.Reply(r.HTTPStatus(), nil)
	}
	x.SetHeader("Content-Type", "application/json")
	body, _ := json.Marshal(struct {
		Code    dialect.Code `json:"code"`
		Message string       `json:"message"`
	}{r.Code, r.Text()})
	return x.Reply(r.HTTPStatus(), body)
}

// Open is the first packet ("Handshake" of the protocol).
func (Base) Open(o dialect.Opening) *packet.Message {
	upgrades := []string{}
	if o.Upgrade && slices.Contains(o.Transports, dialect.WebSocket) {
		upgrades = append(upgrades, dialect.WebSocket)
	}
	body, _ := json.Marshal(struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{o.SID, upgrades, o.PingInterval.Milliseconds(), o.PingTimeout.Milliseconds(), o.MaxPayload})
	return packet.TextMessage("0" + string(body))
}

// UnknownSession is nil: an unknown session is an error.
func (Base) UnknownSession() *packet.Message { return nil }

// CloseMessage is the close packet.
func (Base) CloseMessage(bool) *packet.Message { return Text(packet.Unit{Kind: packet.Close}) }

// Text is the message of a unit without binary data.
func Text(u packet.Unit) *packet.Message {
	text := packet.ApplicationText(u.Data)
	return packet.NewMessage(1+len(text), false, func(b []byte) []byte {
		return append(append(b, '0'+byte(u.Kind)), text...)
	})
}

// control are the parameters that decide about a request; doubled ones are refused.
var control = [...]string{"EIO", "transport", "sid", "j"}

// Parse reads a request from its query, whatever its path. With a parameter "j" a poll is
// one of jsonp. An empty sid is none.
func (Base) Parse(x host.Exchange) (dialect.Request, *dialect.Refusal) {
	raw := x.RawQuery()
	for _, key := range control {
		if httpreq.QueryCount(raw, key) > 1 {
			return dialect.Request{}, &dialect.Refusal{Code: dialect.BadRequest, Context: "parameter " + key + " occurs twice"}
		}
	}
	req := dialect.Request{Transport: x.Query("transport"), SID: x.Query("sid"), Base64: httpreq.QueryCount(raw, "b64") > 0}
	switch req.Transport {
	case dialect.WebSocket:
	case dialect.Polling:
		if httpreq.QueryCount(raw, "j") == 0 {
			break
		}
		index := x.Query("j")
		if !dialect.ScriptIndex(index) {
			return req, &dialect.Refusal{Code: dialect.BadRequest, Context: "j is not an index"}
		}
		req.Transport, req.Base64 = dialect.JSONP, true
		req.Script = packet.Script{Before: "___eio[" + index + "](", After: ");"}
	default:
		return req, &dialect.Refusal{Code: dialect.UnknownTransport}
	}
	return req, nil
}

// Unwrap returns the payload of a jsonp body, the form field "d". Browsers turn
// line ends of a form into CR LF, so clients escape them: \n stands for a line end,
// and \\n for the two characters backslash and n.
func Unwrap(body []byte) ([]byte, error) {
	d, err := httpreq.FormField(body, "d")
	if err != nil {
		return nil, packet.Malformed("jsonp: %v", err)
	}
	out := make([]byte, 0, len(d))
	for i := 0; i < len(d); i++ {
		switch {
		case d[i] != '\\':
			out = append(out, d[i])
		case i+1 < len(d) && d[i+1] == 'n':
			out = append(out, '\n')
			i++
		case i+2 < len(d) && d[i+1] == '\\' && d[i+2] == 'n':
			out = append(out, '\\', 'n')
			i += 2
		default:
			out = append(out, '\\')
		}
	}
	return out, nil
}
