package sio

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"

	"github.com/siokit/siokit/core/host"
)

// Request is a copy of the HTTP request that opened the connection. It never
// changes and may be kept for ever; the framework's own objects are recycled
// when their handler returns. Its maps are shared: do not write to them.
type Request struct {
	Method       string
	Host         string
	RawQuery     string
	RemoteAddr   string // the peer of the TCP connection
	ClientIP     string // the client as the framework sees it, behind its trusted proxies
	Header       http.Header
	TLS          *tls.ConnectionState // nil without TLS
	RoutePattern string               // the host's route, "" when it has none
	Params       map[string]string    // its parameters
	Values       map[string]any       // what the adapter's Keep picked

	target string // path and query; RawQuery is its end
}

// NewRequest copies the request of an exchange. It is for code that looks at
// requests beyond the first, inside Conn.OnExchange.
func NewRequest(x host.Exchange) *Request {
	r := &Request{
		Method:     x.Method(),
		RawQuery:   x.RawQuery(),
		RemoteAddr: x.RemoteAddr(),
		Header:     make(http.Header, 8),
		TLS:        x.TLS(),
	}
	x.EachHeader(func(k, v string) {
		if k == "Host" {
			r.Host = v
			return
		}
		r.Header.Add(k, v)
	})
	if d, ok := x.(host.Detailer); ok {
		more := d.Details()
		r.ClientIP, r.RoutePattern, r.Params, r.Values = more.ClientIP, more.RoutePattern, more.Params, more.Values
		r.target = more.URL
		if _, query, ok := strings.Cut(more.URL, "?"); ok && query == r.RawQuery {
			r.RawQuery = query // one piece of memory
		}
	}
	if r.ClientIP == "" {
		r.ClientIP = hostOnly(r.RemoteAddr)
	}
	return r
}

// URL is the address that the client has used, with the scheme of the connection
// to this process and the path above the mount point; every call returns a new one.
func (r *Request) URL() *url.URL {
	u, err := url.ParseRequestURI(r.target)
	if err != nil {
		u = &url.URL{RawQuery: r.RawQuery}
	}
	u.Scheme, u.Host = "http", r.Host
	if r.Secure() {
		u.Scheme = "https"
	}
	return u
}

// Query parses the query of the handshake; every call returns a new map.
func (r *Request) Query() url.Values {
	v, _ := url.ParseQuery(r.RawQuery)
	return v
}

// Cookie returns the named cookie of the handshake or http.ErrNoCookie.
func (r *Request) Cookie(name string) (*http.Cookie, error) {
	return (&http.Request{Header: r.Header}).Cookie(name)
}

// Secure reports whether the connection to this process is encrypted.
func (r *Request) Secure() bool { return r.TLS != nil }

func hostOnly(addr string) string {
	if u, err := url.Parse("//" + addr); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return addr
}
