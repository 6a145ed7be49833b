package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// handshake opens a session by polling.
func (e *exam) handshake(ctx context.Context) outcome {
	a, err := e.begin(ctx, "")
	if err == nil && e.url.Path == "/" && !strings.HasPrefix(a.body, "0{") { // the address of the host was given
		e.url.Path = defaultPath
		if b, err := e.begin(ctx, ""); err == nil && b.status != http.StatusNotFound {
			a = b
		} else {
			e.url.Path = "/"
		}
	}
	switch {
	case err != nil:
		e.find("Is the server running, and is this its address? A request that is never answered points at a middleware that waits, or a proxy without a server behind it.", "no answer: %v", err)
		return end
	case a.status >= 300 && a.status < 400:
		to := a.header.Get("Location")
		cure := "A middleware sends every request elsewhere; exclude the route of the socket, or use the address it points at."
		if isSamePath(to, e.url.Path) || strings.Contains(to, "/login") {
			cure = "Paths with and without the slash at the end must both reach the socket (the adapters' Mount does that), and a middleware that sends strangers to a login page must leave the route alone: browsers do not follow for a socket."
		}
		e.find(cure, "redirected to %s with status %d", to, a.status)
		return end
	case a.status == http.StatusNotFound:
		e.find("Nothing is mounted here: is the path right, and does the route match what lies below it (a catch-all)?", "%s has %s", e.url.Path, a.short())
		return end
	case a.status != http.StatusOK && a.isRefusal() && strings.Contains(strings.ToLower(a.body), "transport unknown"):
		e.note("polling is switched off there (%s): websockets alone are looked at", a.short())
		return noPolls
	case a.status != http.StatusOK && a.status != http.StatusBadRequest && !a.isRefusal():
		e.find("The answer is not the socket's, so something in front of it refuses: authentication, a firewall, a rate limit, maintenance. Exclude the route of the socket.", "%s", a.short())
		return end
	case a.status != http.StatusOK && e.Header.Get("Origin") != "" && a.isRefusal() && a.status == http.StatusForbidden:
		e.find("The server refuses pages of this origin, or its OnHandshake refuses. List the origin in Options.Origins; the server's log names what has refused.", "a handshake with the Origin %s: %s", e.Header.Get("Origin"), a.short())
		return end
	case a.status != http.StatusOK:
		e.find("The server itself refuses the handshake; its text says why. Cookies or tokens that it wants can be given to the doctor.", "%s", a.short())
		return end
	}
	var cure string
	if e.open, cure = opening(a.body); cure != "" {
		e.find(cure, "not an open packet: %s", a.short())
		return noPolls // the websocket may be well
	}
	return goOn
}

// isSamePath reports whether a redirect leads to a path with or without its slash.
func isSamePath(location, path string) bool {
	u, err := url.Parse(location)
	return err == nil && strings.TrimSuffix(u.Path, "/") == strings.TrimSuffix(path, "/")
}

// opening reads an open packet. The cure is for what is none.
func opening(body string) (o opened, cure string) {
	if !strings.HasPrefix(body, "0{") {
		return o, "A middleware rewrites bodies (a wrapper around all answers, an error page, an injected script), or this is not an Engine.IO server. Exclude the route of the socket."
	}
	var p struct {
		SID          string `json:"sid"`
		PingInterval int    `json:"pingInterval"`
		MaxPayload   int    `json:"maxPayload"`
		Upgrades     []string
	}
	if err := json.Unmarshal([]byte(body[1:]), &p); err != nil || p.SID == "" {
		return o, "A middleware rewrites or cuts bodies. Exclude the route of the socket."
	}
	alone := p.Upgrades != nil && !slices.Contains(p.Upgrades, "websocket")
	return opened{p.SID, time.Duration(p.PingInterval) * time.Millisecond, p.MaxPayload, alone}, ""
}

// cache looks whether answers are kept by somebody.
func (e *exam) cache(ctx context.Context) outcome {
	a, err := e.begin(ctx, "")
	if err != nil {
		e.find("Handshakes fail now and then; is there a rate limit?", "a second handshake: %v", err)
		return goOn
	}
	if strings.Contains(a.body, e.open.sid) {
		e.find("A cache, in the host or in front of it, answers in place of the socket. Exclude the route; the answers carry Cache-Control: no-store.", "two handshakes gave the same session")
	}
	for _, h := range []string{"ETag", "Age", "X-Cache", "Last-Modified"} {
		if v := a.header.Get(h); v != "" {
			e.find("A caching or etag middleware is around the route: it holds every answer in memory, and may answer 304. Exclude the route.", "the answer has %s: %s", h, v)
		}
	}
	return goOn
}

// cookies looks for middleware that saves sessions around the route: it sets its
// cookie with every answer. Two others do so without harm: a load balancer, which
// the cookie keeps to one server, and a CSRF middleware, which post looks for.
func (e *exam) cookies(ctx context.Context) outcome {
	times := map[string]int{}
	var names []string
	for range 2 {
		a, err := e.begin(ctx, "")
		if err != nil {
			return goOn
		}
		for _, c := range a.header.Values("Set-Cookie") {
			name, _, _ := strings.Cut(c, "=")
			if times[name]++; times[name] == 2 {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		switch {
		case isCSRF(name):
			e.csrf = name
		case isBalancer(name):
		default:
			e.find("A session middleware that saves by itself is around the route (LoadAndSave of scs, a rolling session): when a held poll ends it writes back what the session was before, and undoes changes and logouts. "+
				"Mount the socket outside of it; sessionbridge reads the session on its own.", "every answer sets the cookie %q", name)
		}
	}
	return goOn
}

func isCSRF(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "csrf") || strings.Contains(name, "xsrf")
}

// isBalancer knows the cookies of proxies and load balancers, and that in which
// Engine.IO of Node repeats the session id.
func isBalancer(name string) bool {
	for _, prefix := range []string{"AWSALB", "AWSELB", "GCLB", "ARRAffinity", "__cf", "_cf", "BIGipServer", "SERVERID", "SRVNAME", "ROUTEID", "INGRESSCOOKIE", "HEROKU-SESSION-AFFINITY", "route", "lb"} {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix)) {
			return true
		}
	}
	return name == "io"
}

// cors looks for headers that two have set.
func (e *exam) cors(ctx context.Context) outcome {
	origin := e.url.Scheme + "://" + e.url.Host
	own := true
	if o := e.Header.Get("Origin"); o != "" && o != origin {
		origin, own = o, false
	}
	a, err := e.begin(ctx, "", "Origin", origin)
	if err != nil {
		return goOn
	}
	if vs := a.header.Values("Access-Control-Allow-Origin"); len(vs) > 1 {
		e.find("Two set it: a CORS middleware of the host, and the socket or a proxy. Browsers refuse that. Exclude the route from one of them.", "Access-Control-Allow-Origin is there %d times: %q", len(vs), vs)
	} else if len(vs) == 0 && !own && a.status == http.StatusOK {
		e.find("Browsers keep the answer from the page. A proxy or middleware takes the header away, or the server has not seen the Origin.", "a page of %s gets an answer without Access-Control-Allow-Origin", origin)
	}
	if own && a.status == http.StatusForbidden {
		e.find("The server does not take its own origin for one: behind a proxy that changes Host, list the public origin in Options.Origins, or let the proxy pass Host on (nginx: proxy_set_header Host $http_host).", "a page of the same origin is refused: %s", a.short())
	}
	return goOn
}

// post joins the namespace.
func (e *exam) post(ctx context.Context) outcome {
	o, ok := e.reopen(ctx) // joined at once: a session that joins nothing is ended
	if !ok {
		return goOn
	}
	e.open = o
	a, err := e.do(ctx, e.Patience, "POST", session(o.sid), e.connect())
	if err == nil && a.isOK() {
		e.posts = true
		a, err = e.do(ctx, e.Patience, "GET", session(e.open.sid), "")
		if err != nil || a.status != http.StatusOK {
			e.find("A poll that has something to say is answered at once. Is there a middleware that buffers, or several servers without sticky sessions?", "the poll behind a POST: %s %s", a.short(), text(err))
			e.posts = false
			return goOn
		}
		for m := range strings.SplitSeq(a.body, "\x1e") {
			if answered, yes := e.isJoined(m); answered && yes {
				e.joined = true
			} else if answered {
				e.refusedNamespace(m)
			}
		}
		return goOn
	}
	e.find(e.refusedPost(a, err), "a POST in the session: %s %s", a.short(), text(err))
	return goOn
}

// refusedPost says why a POST was refused.
func (e *exam) refusedPost(a answer, err error) string {
	body := strings.ToLower(a.body)
	words := strings.Contains(body, "csrf") || strings.Contains(body, "xsrf") || strings.Contains(body, "cross-site request forgery")
	switch {
	case err != nil:
		return "Is there a middleware that reads the body, or waits for something?"
	case !a.isRefusal() && a.status >= 400 && (words || e.csrf != "" || a.status == http.StatusForbidden || a.status == 419):
		return "A CSRF middleware wants a token that no Socket.IO client sends. Exclude the route from the CSRF check (the middleware's Skipper or Next): the socket checks origins itself."
	case a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotFound:
		return "The route is registered for GET alone, or for one method each: mount it for all methods (Any, All, Handle)."
	case a.status == http.StatusRequestEntityTooLarge:
		return "A body limit of the host is smaller than the few bytes of a packet; raise it to the server's MaxPayload for this route."
	case a.status == http.StatusUnsupportedMediaType:
		return "A middleware wants JSON or a form. Exclude the route: packets are text/plain."
	case a.status == http.StatusBadRequest && a.isRefusal():
		return "The session is not known to who got the POST: several servers need sticky sessions. If there is only one, a middleware has changed or eaten the body."
	}
	return "A POST to the route must reach the socket as a GET does."
}

// largest is the most that is sent to find a body limit.
const largest = 4 << 20

// large posts as much as the server says it takes: an event for a namespace that
// was not joined, so that no code of the application sees it.
func (e *exam) large(ctx context.Context) outcome {
	if !e.posts || e.open.maxPayload <= 0 {
		return goOn
	}
	o, ok := e.reopen(ctx)
	if !ok {
		return goOn
	}
	const before, behind = `42/siokit-doctor,["siokit-doctor","`, `"]`
	size := min(o.maxPayload, largest)
	fill := size - len(before) - len(behind)
	if fill <= 0 {
		return goOn
	}
	a, err := e.do(ctx, 4*e.Patience, "POST", session(o.sid), before+strings.Repeat("x", fill)+behind)
	switch {
	case a.status == http.StatusRequestEntityTooLarge:
		e.find("A body limit of the host or of a proxy is below the server's MaxPayload, which clients are told and keep to: raise it for this route (nginx: client_max_body_size), or lower Options.MaxPayload.",
			"a POST of %d bytes, which the server says it takes: %s", size, a.short())
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		e.find("The connection was cut while a large POST was sent: a body limit or a read timeout of the host or of a proxy. Raise it to the server's MaxPayload for this route.", "a POST of %d bytes, which the server says it takes: %v", size, err)
	}
	return goOn
}

// moment is how long a host that is not known to limit requests may refuse a handshake.
const moment = 300 * time.Millisecond

// reopen opens another session: the one before may have been ended by what was
// found. As clients do, it goes around caches.
func (e *exam) reopen(ctx context.Context) (opened, bool) {
	var a answer
	var err error
	// Where requests are limited, the host counts the request before until its handler has
	// returned, which may be behind the answer: a refusal may be over in a moment.
	patience := moment
	if e.limited {
		patience = e.Patience
	}
	for until := time.Now().Add(patience); ; {
		a, err = e.begin(ctx, "&t="+rand.Text())
		if err != nil || a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable || time.Now().After(until) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	o, cure := opening(a.body)
	if o.sid == e.open.sid && o.sid != "" {
		return o, false // a cache that cannot be gone around, and it is told
	}
	if a.isFull() {
		e.refusedSession(a)
		return o, false
	}
	if err != nil || cure != "" {
		e.find("Handshakes fail now and then; is there a rate limit?", "another handshake: %s %s", a.short(), text(err))
		return o, false
	}
	return o, true
}

// held holds a poll until the server's ping.
func (e *exam) held(ctx context.Context) outcome {
	o, ok := e.reopen(ctx)
	if !ok {
		return goOn
	}
	if e.posts {
		_, _ = e.do(ctx, e.Patience, "POST", session(o.sid), e.connect())
	}
	hold := e.hold(o.interval)
	from := time.Now()
	for {
		a, err := e.do(ctx, time.Until(from.Add(hold))+e.Patience, "GET", session(o.sid), "")
		ended := err == nil && (a.closes() || a.isRefusal())
		switch {
		case err != nil && errors.Is(err, context.DeadlineExceeded):
			e.find("A proxy or middleware keeps answers back.", "a poll was not answered within %v, though the server pings every %v", a.took.Round(time.Second), o.interval)
		case err != nil:
			e.find("The connection was cut while the answer was held: a write timeout of the server (http.Server.WriteTimeout) or of a proxy shorter than the ping interval.", "a poll was cut off after %v: %v", a.took.Round(100*time.Millisecond), err)
		case ended && !e.joined:
			// The server does not keep those who are in no namespace.
		case ended:
			e.find("The server has ended the session: its log says why. Several servers need sticky sessions.", "a session ended after %v: %s", time.Since(from).Round(100*time.Millisecond), a.short())
		case a.status != http.StatusOK:
			e.find("A timeout middleware ended the answer (http.TimeoutHandler, a router's Timeout, a proxy's read timeout). Exclude the route, or make it longer than the ping interval.",
				"a poll was ended after %v: %s", a.took.Round(100*time.Millisecond), a.short())
		case strings.Contains("\x1e"+a.body, "\x1e2"): // the ping: the poll has lived long enough
		case time.Since(from) > hold:
			e.find("Polls end without a reason: does a middleware answer them empty?", "no ping within %v", hold)
		default:
			continue
		}
		return goOn
	}
}
