package socketio

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// AppendRev4 appends the text of p in revision 4, the protocol of Socket.IO 1.x
// and 2.x: that of revision 5, but a connect is answered without payload and an
// error is a value of any type. JSON is written in ASCII: clients 1.x fail on
// anything else when they poll.
func AppendRev4(dst []byte, p *packet.Packet) []byte {
	switch p.Type {
	case packet.Connect:
		return appendHeader(dst, p)
	case packet.ConnectError:
		return jsontext.AppendASCII(appendHeader(dst, p), errorRev4(p.Data))
	case packet.Failure:
		q := *p
		q.Type = packet.ConnectError
		return jsontext.AppendASCII(appendHeader(dst, &q), p.Data)
	}
	return jsontext.AppendASCII(appendHeader(dst, p), p.Data)
}

// errorRev4 is the value of a refusal: the error's data if there is any, or else
// its message. Only a namespace that does not exist is reported by an object.
func errorRev4(data json.RawMessage) json.RawMessage {
	var e struct{ Message, Data json.RawMessage }
	if string(data) == packet.InvalidNamespace || json.Unmarshal(data, &e) != nil {
		return data
	}
	if e.Data != nil {
		return e.Data
	}
	return e.Message
}

// Rev4Decoder decodes the packets of one connection in revision 4: those of
// revision 5, but a connect has its parameters in a query behind the namespace.
type Rev4Decoder struct{ Rev5Decoder }

// NewRev4Decoder returns a decoder that keeps limits.
func NewRev4Decoder(limits *packet.Limits) *Rev4Decoder {
	return &Rev4Decoder{Rev5Decoder{limits: limits, query: true}}
}

// Text implements packet.Decoder.
func (d *Rev4Decoder) Text(data []byte) (*packet.Packet, error) {
	p, err := d.Rev5Decoder.Text(data)
	if err != nil || p == nil || p.Type != packet.Connect {
		return p, err
	}
	p.Data = nil // an auth payload is of revision 5; this one's reference ignores it
	if ns, query, ok := strings.Cut(p.Namespace, "?"); ok {
		p.Namespace = ns
		return p, setQuery(p, query, d.limits)
	}
	return p, nil
}

// setQuery notes the parameters of a connect, as text and as an object.
func setQuery(p *packet.Packet, query string, limits *packet.Limits) error {
	if limits.Auth > 0 && len(query) > limits.Auth {
		return packet.Malformed("a query of %d bytes", len(query))
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return packet.Malformed("the query of a namespace: %v", err)
	}
	p.Query = query
	first := make(map[string]string, len(values))
	for k, v := range values {
		first[k] = v[0]
	}
	p.Data, err = json.Marshal(first)
	return err
}
