package virtsocket

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/siokit/siokit/core/host"
)

// Origins decides which web pages may talk to the server. The zero value admits
// pages of the same origin only.
type Origins struct {
	// List holds origins such as "https://app.example.com", as CleanOrigin returns
	// them; a whole left label may be a star ("https://*.example.com"). The single
	// entry "*" admits every page; those of other origins are served as if they
	// had sent no cookies.
	List []string
	// Allow, when not nil, is asked for origins that are not in List, in lower case,
	// with http and https in place of ws and wss, and without a path. An origin of a
	// program may have no scheme. What it admits may use credentials.
	Allow func(origin string) bool
}

// Any reports whether List is the single star.
func (o Origins) Any() bool { return len(o.List) == 1 && o.List[0] == "*" }

// CleanOrigin returns an entry of Origins.List in the form in which browsers
// send it: in lower case, without a slash at the end or the scheme's own port. It
// fails for what no request can match.
func CleanOrigin(entry string) (string, error) {
	if entry == "*" || entry == "null" || entry == "file://" {
		return entry, nil
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(entry), "://")
	rest = strings.TrimSuffix(rest, "/")
	if !ok || scheme == "" || rest == "" {
		return "", errors.New(`an origin is a scheme and a host, as in "https://app.example.com"`)
	}
	if strings.ContainsAny(rest, "/?#@\\") {
		return "", errors.New("an origin ends with its host or port: it has no path, no query and no user")
	}
	for i := range len(rest) {
		if rest[i] <= ' ' || rest[i] >= 0x7f {
			return "", errors.New("browsers send host names in ASCII (punycode), without spaces")
		}
	}
	if strings.Contains(strings.TrimPrefix(rest, "*."), "*") || rest == "*." {
		return "", errors.New(`a star can only stand for the whole first label, as in "https://*.example.com"`)
	}
	return canonical(scheme + "://" + rest), nil
}

// CleanOrigins returns a copy of a list for Origins.List, of clean entries. allow says
// that Origins.Allow is to decide beside the list.
func CleanOrigins(list []string, allow bool) ([]string, error) {
	list = slices.Clone(list)
	for i, origin := range list {
		var err error
		if list[i], err = CleanOrigin(origin); err != nil {
			return nil, fmt.Errorf("%q: %w", origin, err)
		}
		if origin == "*" && (len(list) > 1 || allow) {
			return nil, errors.New(`"*" cannot be combined with other origins or AllowOrigin: it would give credentials to every page`)
		}
	}
	return list, nil
}

// canonical is what counts of an origin: in lower case, without the port that its
// scheme has anyway, without what follows the host, and with http for ws.
//
// Browsers send a scheme, a host and no more. Programs also send the address of the
// websocket (SocketRocket), all of it with path and query (Starscream 1), or the
// Host header once more (Node's ws 0.4, in the official clients 0.9 and 1.0). To
// read these forms lets no page in: what a browser sends is read as before, and a
// page has no influence on that. A program can send any origin anyway.
func canonical(origin string) string {
	scheme, rest, ok := strings.Cut(strings.ToLower(origin), "://")
	if !ok {
		return address(scheme)
	}
	rest = address(rest)
	switch scheme {
	case "ws":
		scheme = "http"
	case "wss":
		scheme = "https"
	}
	switch scheme {
	case "http":
		rest = strings.TrimSuffix(rest, ":80")
	case "https":
		rest = strings.TrimSuffix(rest, ":443")
	}
	return scheme + "://" + rest
}

// address cuts off a path, a query and a fragment. What begins with one of them names
// no host, such as "file:///page", and stays as it is.
func address(s string) string {
	if i := strings.IndexAny(s, "/?#"); i > 0 {
		return s[:i]
	}
	return s
}

// schemeless reports whether a canonical origin is a host, with or without a port,
// that fits http and https.
func schemeless(origin string) bool {
	return origin != "null" && !strings.Contains(origin, "://")
}

// plain reports whether an origin has only characters that one can have.
func plain(origin string) bool {
	for i := 0; i < len(origin); i++ {
		if origin[i] <= ' ' || origin[i] >= 0x7f {
			return false
		}
	}
	return true
}

// admit is the one check for every request, polling and websocket alike: a
// websocket is not subject to CORS, and a simple cross-site POST has its effect
// even if the page may not read the answer.
func (o Origins) admit(x host.Exchange, hd head) bool {
	switch {
	case hd.origins > 1:
		return false
	case hd.origins == 0:
		// Browsers send no Origin with a same-origin GET, other programs never.
		// A page that gets a browser to send cookies without one gives itself away.
		return !otherPage(x) || x.Header("Cookie") == "" || o.Any()
	}
	return o.allows(x, hd.origin)
}

// otherPage reports whether the browser says that a page of another origin made
// the request: also one of a sibling domain.
func otherPage(x host.Exchange) bool {
	site := x.Header("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

func (o Origins) allows(x host.Exchange, origin string) bool {
	if !plain(origin) {
		return false
	}
	origin = canonical(origin)
	return o.Any() || o.listed(origin) || o.Allow != nil && o.Allow(origin) || sameOrigin(x, origin)
}

// embeds is the check for answers that any page can include, as a script or a
// frame. Browsers send no Origin with those: the page must show by another
// header that it is the server's own or a listed one. Old browsers send Referer,
// unless the page forbids it; of a browser that sends nothing, any page may have
// made the request. A program without credentials acts in nobody's name.
func (o Origins) embeds(x host.Exchange, hd head) bool {
	return hd.origins == 1 || o.Any() || x.Header("Sec-Fetch-Site") == "same-origin" || o.referred(x, o.allows) || program(x)
}

// program reports whether nothing says that a browser made the request, and
// nothing in it is what browsers send by themselves.
func program(x host.Exchange) bool {
	agent := x.Header("User-Agent")
	return x.Header("Referer") == "" && x.Header("Sec-Fetch-Site") == "" && x.Header("Cookie") == "" && x.Header("Authorization") == "" &&
		!strings.HasPrefix(agent, "Mozilla/") && !strings.HasPrefix(agent, "Opera/")
}

// referred reports whether the page that made the request is named and passes.
func (o Origins) referred(x host.Exchange, passes func(x host.Exchange, origin string) bool) bool {
	u, err := url.Parse(x.Header("Referer"))
	return err == nil && u.Scheme != "" && u.Host != "" && passes(x, u.Scheme+"://"+u.Host)
}

// anonymous returns x as the one who may see it without cookies: with the star, a
// page of another origin must not act in the name of a visitor. Browsers send
// cookies with every websocket and script, whatever CORS says. included: the
// answer is a script or a frame.
func (o Origins) anonymous(x host.Exchange, hd head, included bool) host.Exchange {
	if !o.Any() || x.Header("Cookie") == "" {
		return x
	}
	switch {
	case hd.origins == 1:
		if sameOrigin(x, canonical(hd.origin)) {
			return x
		}
	case otherPage(x):
	case !included || x.Header("Sec-Fetch-Site") == "same-origin" || o.referred(x, sameOrigin):
		return x
	}
	if c, ok := host.As[host.CookieHider](x); ok {
		c.HideCookies()
	}
	return cookieless{x, hd.origin}
}

// Anonymous is an exchange whose cookies are hidden.
type Anonymous interface {
	// HiddenFrom is the origin of the page that they are hidden from, "" when the
	// browser does not say it.
	HiddenFrom() string
}

// cookieless is an exchange whose request shows no cookies, and no values either:
// middleware of the host may have made them from the cookies.
type cookieless struct {
	host.Exchange
	page string
}

// HiddenFrom implements Anonymous.
func (x cookieless) HiddenFrom() string { return x.page }

// Unwrap implements host.Wrapper.
func (x cookieless) Unwrap() host.Exchange { return x.Exchange }

// Header implements host.Exchange.
func (x cookieless) Header(key string) string {
	if strings.EqualFold(key, "Cookie") {
		return ""
	}
	return x.Exchange.Header(key)
}

// EachHeader implements host.Exchange.
func (x cookieless) EachHeader(f func(key, value string)) {
	x.Exchange.EachHeader(func(k, v string) {
		if !strings.EqualFold(k, "Cookie") {
			f(k, v)
		}
	})
}

// Details implements host.Detailer.
func (x cookieless) Details() (d host.Details) {
	if inner, ok := host.As[host.Detailer](x.Exchange); ok {
		d = inner.Details()
		d.Values = nil
	}
	return d
}

// listed wants the canonical form.
func (o Origins) listed(origin string) bool {
	if schemeless(origin) {
		return o.listed(canonical("http://"+origin)) || o.listed(canonical("https://"+origin))
	}
	for _, want := range o.List {
		if want == origin {
			return true
		}
		// https://*.example.com admits https://a.example.com, one label deep
		if scheme, domain, ok := strings.Cut(want, "://*."); ok {
			rest, ok := strings.CutPrefix(origin, scheme+"://")
			if !ok {
				continue
			}
			label, parent, ok := strings.Cut(rest, ".")
			if ok && label != "" && parent == domain && !strings.ContainsAny(label, ":/@") {
				return true
			}
		}
	}
	return false
}

// sameOrigin compares the origin with the Host that the client asked for. The
// scheme is known only when the connection itself is encrypted; behind a proxy
// it is not. It wants the canonical form.
func sameOrigin(x host.Exchange, origin string) bool {
	if schemeless(origin) {
		return sameOrigin(x, "http://"+origin) || sameOrigin(x, "https://"+origin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return false
	}
	if u.Scheme != "https" && (u.Scheme != "http" || x.TLS() != nil) {
		return false
	}
	return strings.EqualFold(withPort(u.Host, u.Scheme), withPort(x.Header("Host"), u.Scheme))
}

func withPort(h, scheme string) string {
	if _, _, err := net.SplitHostPort(h); err == nil {
		return h
	}
	port := "80"
	if scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(h, "[]"), port)
}

// headers adds the CORS headers of an admitted request, unless the host's own
// CORS middleware has set them: two values would make browsers refuse both.
func (o Origins) headers(x host.Exchange) {
	x.SetHeader("Cache-Control", "no-store")
	if len(o.List) == 0 && o.Allow == nil || x.HasHeader("Access-Control-Allow-Origin") {
		return
	}
	if o.Any() && o.Allow == nil {
		x.SetHeader("Access-Control-Allow-Origin", "*")
		return
	}
	x.AddHeader("Vary", "Origin")
	origin := x.Header("Origin")
	if page := canonical(origin); origin == "" || !plain(origin) || !o.listed(page) && (o.Allow == nil || !o.Allow(page)) {
		return
	}
	x.SetHeader("Access-Control-Allow-Origin", origin)
	x.SetHeader("Access-Control-Allow-Credentials", "true")
}

// preflight answers an OPTIONS request, when cross-origin pages are served at all.
func (o Origins) preflight(x host.Exchange) bool {
	if len(o.List) == 0 && o.Allow == nil {
		return false
	}
	o.headers(x)
	if x.HasHeader("Access-Control-Allow-Origin") {
		x.SetHeader("Access-Control-Allow-Methods", "GET, POST")
		if want := x.Header("Access-Control-Request-Headers"); want != "" && len(want) <= 1024 {
			x.SetHeader("Access-Control-Allow-Headers", want)
		}
		x.SetHeader("Access-Control-Max-Age", "600")
	}
	_ = x.Reply(http.StatusNoContent, nil)
	return true
}
