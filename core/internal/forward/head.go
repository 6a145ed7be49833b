package forward

import (
	"crypto/tls"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/siokit/siokit/core/host"
)

// head is what the other end is told of a request.
type head struct {
	method, path, query, remote string
	headers                     [][2]string
	details                     host.Details // without Values and Believes
	tls                         *tls.ConnectionState
}

// appendHead writes what there is to know of a request.
func appendHead(b []byte, x host.Exchange) []byte {
	b = appendText(appendText(appendText(appendText(b, x.Method()), x.Path()), x.RawQuery()), x.RemoteAddr())
	var headers [][2]string
	x.EachHeader(func(k, v string) { headers = append(headers, [2]string{k, v}) })
	b = binary.AppendUvarint(b, uint64(len(headers)))
	for _, h := range headers {
		b = appendText(appendText(b, h[0]), h[1])
	}
	var d host.Details
	if known, ok := host.As[host.Detailer](x); ok {
		d = known.Details()
	}
	b = appendText(appendText(appendText(b, d.URL), d.ClientIP), d.RoutePattern)
	b = binary.AppendUvarint(b, uint64(len(d.Params)))
	for _, k := range slices.Sorted(maps.Keys(d.Params)) {
		b = appendText(appendText(b, k), d.Params[k])
	}
	t := x.TLS()
	if t == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(append(b, 1), uint64(t.Version))
	b = binary.AppendUvarint(b, uint64(t.CipherSuite))
	return appendText(appendText(b, t.ServerName), t.NegotiatedProtocol)
}

// parseHead reads what appendHead has written.
func parseHead(data []byte) (h head, ok bool) {
	p := parser{data: data}
	h.method, h.path, h.query, h.remote = p.text(), p.text(), p.text(), p.text()
	for n := p.number(); n > 0 && !p.bad; n-- {
		h.headers = append(h.headers, [2]string{p.text(), p.text()})
	}
	h.details.URL, h.details.ClientIP, h.details.RoutePattern = p.text(), p.text(), p.text()
	for n := p.number(); n > 0 && !p.bad; n-- {
		if h.details.Params == nil {
			h.details.Params = make(map[string]string)
		}
		k := p.text()
		h.details.Params[k] = p.text()
	}
	if p.number() == 1 {
		h.tls = &tls.ConnectionState{HandshakeComplete: true}
		version, suite := p.number(), p.number()
		p.bad = p.bad || version > math.MaxUint16 || suite > math.MaxUint16
		h.tls.Version, h.tls.CipherSuite = uint16(version), uint16(suite)
		h.tls.ServerName, h.tls.NegotiatedProtocol = p.text(), p.text()
	}
	return h, !p.bad && len(p.data) == 0
}

// header is the first value of a header.
func (h *head) header(key string) string {
	for _, kv := range h.headers {
		if strings.EqualFold(kv[0], key) {
			return kv[1]
		}
	}
	return ""
}
