package sio

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/internal/keep"
)

// Request is a copy of the HTTP request that opened the connection. It never changes
// and may be kept; the framework's own objects are used again when their handler has
// returned. Its maps are shared: do not write to them.
type Request struct {
	Method     string
	Host       string
	RawQuery   string
	RemoteAddr string // the peer of the TCP connection, unless a middleware of net/http has replaced it
	// ClientIP is the client's address as the framework sees it, behind its trusted
	// proxies. These frameworks believe the header of every client, so that the client
	// chooses the address:
	//   - gin (X-Forwarded-For), until gin.Engine.SetTrustedProxies is called;
	//   - echo v4 (X-Real-IP too), until echo.Echo.IPExtractor is set;
	//   - echo v5 with echo.LegacyIPExtractor;
	//   - fiber v2 with ProxyHeader and without EnableTrustedProxyCheck;
	//   - fiber v2 and v3, when every address is that of a trusted proxy.
	//
	// This is logged when the first client comes. RemoteAddr does not depend on a
	// header, except where a middleware of net/http such as chi's RealIP writes the
	// header's value into it; that is logged too.
	ClientIP     string
	Header       http.Header
	TLS          *tls.ConnectionState // nil without TLS
	RoutePattern string               // the host's route, "" when it has none
	Params       map[string]string    // its parameters, without those that have matched nothing
	// Values are the values of the framework's request that the adapter's Keep has
	// chosen; without Keep they are its strings, numbers and bools. They are copies,
	// except for what is behind pointers. A value that holds an object of the
	// framework, or may hold one that cannot be seen, is left out, which is logged.
	// See host.Details.
	Values map[string]any

	target string // path and query; RawQuery is its end
}

// NewRequest copies the request of an exchange. Use it inside Conn.OnExchange, for
// requests after the handshake.
func NewRequest(x host.Exchange) *Request {
	r, _, _ := copyRequest(x)
	return r
}

// copyRequest is NewRequest, with what the host knows and what of its values
// could not be kept, by name and reason. Nothing in the request shares memory
// with the host, whatever its adapter has copied.
func copyRequest(x host.Exchange) (r *Request, more host.Details, refused map[string]string) {
	r = &Request{
		Method:     shared(x.Method()),
		RawQuery:   x.RawQuery(),
		RemoteAddr: x.RemoteAddr(),
		Header:     make(http.Header, 8),
		TLS:        x.TLS(),
	}
	x.EachHeader(func(k, v string) {
		if strings.EqualFold(k, "Host") {
			r.Host = v
			return
		}
		k = shared(textproto.CanonicalMIMEHeaderKey(k))
		r.Header[k] = append(r.Header[k], v)
	})
	if d, ok := host.As[host.Detailer](x); ok {
		more = d.Details()
		r.ClientIP, r.RoutePattern, r.target = strings.Clone(more.ClientIP), strings.Clone(more.RoutePattern), more.URL
		for k, v := range more.Params {
			if v == "" { // as the wildcard of a mount point is: no map for it
				continue
			}
			if r.Params == nil {
				r.Params = make(map[string]string, len(more.Params))
			}
			r.Params[strings.Clone(k)] = strings.Clone(v)
		}
		r.Values, refused = keep.Copy(more.Values)
		if _, query, ok := strings.Cut(more.URL, "?"); ok && query == r.RawQuery {
			r.RawQuery = query // one piece of memory
		}
	}
	if r.ClientIP == "" {
		r.ClientIP = hostOnly(r.RemoteAddr)
	}
	return r, more, refused
}

// URL returns the address that the client has used, with the scheme of the connection
// to this process and the path above the mount point. Every call returns a new value.
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

// Query parses the query of the request. Every call returns a new map.
func (r *Request) Query() url.Values {
	v, _ := url.ParseQuery(r.RawQuery)
	return v
}

// Cookie returns the named cookie of the request, or http.ErrNoCookie.
func (r *Request) Cookie(name string) (*http.Cookie, error) {
	return (&http.Request{Header: r.Header}).Cookie(name)
}

// Secure reports whether the connection to this process is encrypted. Behind a proxy
// that ends TLS it is false.
func (r *Request) Secure() bool { return r.TLS != nil }

// usual are words of most requests: the server has them once, not for each
// connection. Beyond its own few bytes a word of net/http's keeps the line that it is
// part of.
var usual = func() map[string]string {
	words := make(map[string]string)
	for _, w := range []string{"GET", "POST", "OPTIONS",
		"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Length", "Content-Type",
		"Cookie", "Dnt", "Forwarded", "Origin", "Pragma", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
		"Sec-Websocket-Extensions", "Sec-Websocket-Key", "Sec-Websocket-Protocol", "Sec-Websocket-Version", "Upgrade",
		"User-Agent", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id"} {
		words[w] = w
	}
	return words
}()

// shared returns a usual word, or else what it was given.
func shared(word string) string {
	if w, ok := usual[word]; ok {
		return w
	}
	return word
}

func hostOnly(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil && h != "" {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
}
