package virtsocket

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/siokit/siokit/core/host"
)

// Origins decides which web pages may talk to the server. The zero value admits
// pages of the same origin only.
type Origins struct {
	// List holds origins such as "https://app.example.com"; a whole left label
	// may be a star ("https://*.example.com"). The single entry "*" admits every
	// page, without credentials.
	List []string
	// Allow, when not nil, is asked for origins that are not in List. What it
	// admits may use credentials.
	Allow func(origin string) bool
}

// Any reports whether List is the single star.
func (o Origins) Any() bool { return len(o.List) == 1 && o.List[0] == "*" }

// admit is the one check for every request, polling and websocket alike: a
// websocket is not subject to CORS, and a simple cross-site POST has its effect
// even if the page may not read the answer.
func (o Origins) admit(x host.Exchange) bool {
	n := 0
	origin := ""
	x.EachHeader(func(k, v string) {
		if strings.EqualFold(k, "Origin") {
			n++
			origin = v
		}
	})
	switch {
	case n > 1:
		return false
	case n == 0:
		// Browsers send no Origin with a same-origin GET, other programs never.
		// A page that gets a browser to send cookies without one gives itself away.
		return x.Header("Sec-Fetch-Site") != "cross-site" || x.Header("Cookie") == "" || o.Any()
	}
	return o.allows(x, origin)
}

func (o Origins) allows(x host.Exchange, origin string) bool {
	for i := 0; i < len(origin); i++ {
		if origin[i] <= ' ' || origin[i] >= 0x7f {
			return false
		}
	}
	return o.Any() || o.listed(origin) || o.Allow != nil && o.Allow(origin) || sameOrigin(x, origin)
}

// embeds is the check for answers that any page can include, as a script or a
// frame: browsers send no Origin with those, but the page that included them.
func (o Origins) embeds(x host.Exchange) bool {
	page := x.Header("Referer")
	if page == "" {
		return x.Header("Sec-Fetch-Site") != "cross-site" || o.Any()
	}
	u, err := url.Parse(page)
	return err == nil && u.Scheme != "" && u.Host != "" && o.allows(x, u.Scheme+"://"+u.Host)
}

func (o Origins) listed(origin string) bool {
	origin = strings.ToLower(origin)
	for _, want := range o.List {
		want = strings.ToLower(want)
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
// it is not.
func sameOrigin(x host.Exchange, origin string) bool {
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
	if origin == "" || !o.listed(origin) && (o.Allow == nil || !o.Allow(origin)) {
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
