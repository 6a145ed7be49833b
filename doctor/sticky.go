package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// How the check for sticky sessions asks. A session is asked for a few times, each time on a
// connection of its own: a load balancer often keeps a connection to one server. More is
// asked only when a session was not found, because a host may limit requests.
const (
	stickySessions = 2  // that are opened when all are found
	moreSessions   = 4  // and when one was not
	stickyRequests = 4  // in each of them
	moreRequests   = 24 // in a session that no request has found
	quitRequests   = 8  // to end a session that some servers do not know
)

// soon is how long a session lives at least that joins no namespace. One that has been known
// and ends later than this has lived its time, on a slow network.
const soon = 500 * time.Millisecond

// found is what the requests of one session have met.
type found struct {
	requests, unknown int
	again             bool // the session was found after it had been unknown
}

// sticky looks whether the requests of a session come to one server, or to any that knows the
// session. Without that a session is unknown now and then, and found again: one that has
// ended, by its server or with it, is never found again.
func (e *exam) sticky(ctx context.Context) outcome {
	var all []found
	requests, unknown, again := 0, 0, 0
	never := true // no request has found its session
	for n := stickySessions; len(all) < n && again < 2; {
		f, ok := e.seek(ctx, stickyRequests, moreRequests, true)
		if !ok {
			return goOn
		}
		all = append(all, f)
		requests, unknown = requests+f.requests, unknown+f.unknown
		if f.again {
			again++
		}
		if never = never && f.unknown == f.requests; unknown > 0 && !never {
			n = stickySessions + moreSessions
		}
	}
	const cure = "Several servers are behind this address, and one session's requests come to different ones. " +
		"The load balancer needs sticky sessions (nginx: hash or ip_hash; haproxy: a cookie or a stick table; Kubernetes: the affinity cookie of the ingress), or all servers need sio.Options.Forward. " +
		"If they have it, they cannot reach each other at its port: the log says which request could not be passed on."
	switch {
	case unknown == 0:
		e.bySomeCookie(ctx)
		return goOn
	case again > 1:
		e.find(cure, "a session was unknown at %d of %d requests, each on a connection of its own, in %d sessions, and known again in between", unknown, requests, len(all))
	case never:
		e.find(cure+" If there is only one server, something in front of it changes the query of a request, or it ends its sessions at once: its log says why.",
			"none of %d requests, each on a connection of its own, has found the session that a handshake had just opened, in %d sessions", requests, len(all))
	default:
		e.note("a session was unknown at %d of %d requests in %d sessions. It was not known again afterwards in more than one of them, as when servers restart or end sessions: look again, and at the server's log.", unknown, requests, len(all))
		return goOn
	}
	e.scattered = true
	return goOn
}

// bySomeCookie notes that it is a cookie that keeps the requests of a session together.
func (e *exam) bySomeCookie(ctx context.Context) {
	e.jarMu.Lock()
	names := slices.Sorted(maps.Keys(e.jar))
	e.jarMu.Unlock()
	if len(names) == 0 {
		return
	}
	unknown := 0
	for range stickySessions {
		f, ok := e.seek(ctx, stickyRequests, 0, false)
		if !ok {
			return
		}
		unknown += f.unknown
	}
	if unknown > 0 {
		e.note("sessions are sticky by a cookie (%s). Clients that keep no cookies do not get through by polling: programs in Node and other languages, and pages of another origin without withCredentials. They need a load balancer that is sticky by address or session id, or sio.Options.Forward on all servers.",
			strings.Join(names, ", "))
	}
}

// seek opens a session and looks for it. It reports false when something other than a server
// that does or does not know the session has answered.
func (e *exam) seek(ctx context.Context, requests, more int, cookies bool) (f found, ok bool) {
	from := time.Now()
	a, err := e.begin(ctx, "&t="+rand.Text())
	if a.isFull() {
		e.refusedSession(a)
	}
	o, cure := opening(a.body)
	if err != nil || cure != "" || o.sid == e.open.sid {
		return f, false
	}
	if !cookies {
		jar := e.swap(nil)
		defer func() {
			e.swap(jar)
			e.quit(ctx, o.sid)
		}()
	} else {
		defer func() { e.quit(ctx, o.sid) }()
	}
	late := false // it was late when the session was unknown first
	for f.requests < requests || f.unknown == f.requests && f.requests < more {
		if !cookies {
			e.swap(nil) // an answer may have set one
		}
		e.client.CloseIdleConnections()
		a, err := e.do(ctx, e.Patience, "POST", session(o.sid), "3") // a pong, which changes nothing
		switch {
		case err != nil:
			return f, false
		case a.isOK():
			f.again = f.again || f.unknown > 0
		case a.isUnknown():
			if f.unknown++; f.unknown == 1 {
				late = time.Since(from) > soon
			}
		default:
			return f, false
		}
		f.requests++
	}
	if late && !f.again && f.unknown < f.requests { // it has ended
		f.requests, f.unknown = f.requests-f.unknown, 0
	}
	return f, true
}

// quit ends a session, whoever has it.
func (e *exam) quit(ctx context.Context, sid string) {
	e.last = ""
	for range quitRequests {
		e.client.CloseIdleConnections()
		if a, err := e.do(ctx, e.Patience, "POST", session(sid), "1"); err != nil || !a.isUnknown() {
			return
		}
	}
}

// isUnknown reports whether an answer says that there is no such session. That of Engine.IO
// has a code, which is not that of other refusals; that of Python has a text alone.
func (a answer) isUnknown() bool {
	var r struct{ Code *int }
	if err := json.Unmarshal([]byte(a.body), &r); err == nil && r.Code != nil {
		return a.isRefusal() && *r.Code == 1
	}
	return a.status == http.StatusBadRequest && strings.Contains(strings.ToLower(a.body), "invalid session")
}

// cookie is the Cookie header of a request: what the caller wants to be sent, and what the
// session's answers have set.
func (e *exam) cookie(req *http.Request) {
	e.jarMu.Lock()
	defer e.jarMu.Unlock()
	if len(e.jar) == 0 || e.client.Jar != nil {
		return
	}
	var parts []string
	for _, c := range req.Cookies() {
		if _, newer := e.jar[c.Name]; !newer {
			parts = append(parts, c.Name+"="+c.Value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.jar)) {
		parts = append(parts, fmt.Sprintf("%s=%s", name, e.jar[name]))
	}
	req.Header.Set("Cookie", strings.Join(parts, "; "))
}

// swap sets the cookies that are kept, and returns those of before.
func (e *exam) swap(jar map[string]string) (before map[string]string) {
	e.jarMu.Lock()
	defer e.jarMu.Unlock()
	before, e.jar = e.jar, jar
	return before
}

// keep keeps the cookies of an answer for the requests of the same session.
func (e *exam) keep(resp *http.Response) {
	e.jarMu.Lock()
	defer e.jarMu.Unlock()
	for _, c := range resp.Cookies() {
		if e.jar == nil {
			e.jar = make(map[string]string)
		}
		if c.MaxAge < 0 {
			delete(e.jar, c.Name)
		} else {
			e.jar[c.Name] = c.Value
		}
	}
}
