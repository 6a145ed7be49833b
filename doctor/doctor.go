// Package doctor examines a Socket.IO endpoint from outside. It says which middleware,
// proxy or timeout breaks Socket.IO, and how to keep it away from the route. The command
// siodoctor runs it. In a clone of siokit:
//
//	go run ./cmd/siodoctor http://127.0.0.1:3000/socket.io/
//
// and anywhere else:
//
//	go run github.com/siokit/siokit/cmd/siodoctor@latest http://127.0.0.1:3000/socket.io/
//
// The doctor speaks Engine.IO 4 and joins one namespace, by default "/". A fault does
// not end the examination: checks that do not need the failed part still run, so one run
// finds several faults.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Finding is one fault.
type Finding struct {
	// Check is the name of the check: "handshake", "sticky", "post", "held-poll" and so on.
	Check string
	// Problem is what the doctor saw.
	Problem string
	// Cure is the likely cause, and what to do.
	Cure string
}

// Options of an examination. The zero value of every field means its default.
type Options struct {
	// Header is sent with every request: cookies, tokens, an Origin. With an Origin
	// the examination says whether a page of that origin may connect.
	Header http.Header
	// Namespace is the namespace that the doctor joins; "/". A server ends a connection
	// that joins none (Options.ConnectTimeout in siokit). So when the namespace refuses
	// the doctor, the examination is shorter, and Note is told.
	Namespace string
	// Auth is the payload of the CONNECT packet, a JSON object such as
	// {"token":"letmein"}; none.
	Auth string
	// Hold is how long a poll and a websocket are held; the default is the server's
	// ping interval plus 5 s, which shows every timeout that clients would meet. A value
	// below the ping interval plus Patience is raised to that sum: otherwise the
	// silence of the server until its first ping would look like a fault.
	Hold time.Duration
	// Patience bounds every other wait; 5 s.
	Patience time.Duration
	// Client makes the requests; nil: a client of the doctor's own. Redirects are never
	// followed. Its idle connections are closed now and then: a load balancer may treat
	// another connection otherwise. Without a Jar the doctor keeps the cookies of a session
	// for this session's requests.
	Client *http.Client
	// Progress is called with the name of each check before it runs; nil: not called.
	Progress func(check string)
	// Note is called with what could not be examined, and why; nil: not called. A note
	// is not a fault of the host.
	Note func(text string)
}

// exam is one examination.
type exam struct {
	Options
	url      *url.URL
	client   *http.Client
	findings []Finding

	open    opened // the session that is looked at, up to post-while-polling
	limited bool   // the host limits how many requests may run at a time
	posts   bool   // a POST reached the socket
	csrf    string // the name of a cookie that a CSRF middleware sets, or ""
	joined  bool   // the namespace let the doctor in

	scattered bool // the requests of a session come to servers that do not know it

	jarMu sync.Mutex
	jar   map[string]string // the cookies that the session opened last was given

	last  string // the session that was opened last, until it is left
	stuck bool   // leaving a session was not answered, and is not tried again
	full  bool   // it is noted that the server takes no more sessions
}

// opened is what the server tells in a handshake.
type opened struct {
	sid        string
	interval   time.Duration // between two pings
	maxPayload int
	alone      bool // the server offers no upgrade
}

const eio4 = "EIO=4&transport="

// defaultPath is where servers and clients are unless told otherwise.
const defaultPath = "/socket.io/"

// outcome is what a check means for those behind it.
type outcome int

const (
	goOn    outcome = iota // look at the rest
	noPolls                // polling is of no use: look at websockets alone
	end                    // there is nothing to look at
)

// Examine examines the endpoint at a URL such as "https://example.com/socket.io/".
// A URL without a path means "/socket.io/". No finding means that clients can poll, post,
// and use websockets there. The error is about a URL that cannot be used at all, or is
// that of ctx.
func Examine(ctx context.Context, endpoint string, o *Options) ([]Finding, error) {
	e, err := newExam(endpoint, o)
	if err != nil {
		return nil, err
	}
	defer e.client.CloseIdleConnections()
	defer e.leave(ctx)
	polls := true
	for _, c := range []struct {
		name    string
		polls   bool // looks at polling
		session bool // at more than a handshake
		run     func(ctx context.Context) outcome
	}{
		{"handshake", true, false, e.handshake}, {"sticky", true, false, e.sticky}, {"cache", true, false, e.cache}, {"cookies", true, false, e.cookies}, {"cors", true, false, e.cors},
		{"post", true, true, e.post}, {"post-while-polling", true, true, e.both}, {"body-limit", true, true, e.large}, {"held-poll", true, true, e.held}, {"websocket", false, false, e.websocket},
	} {
		if c.polls && !polls || c.session && e.scattered {
			continue
		}
		if e.Progress != nil {
			e.Progress(c.name)
		}
		before := len(e.findings)
		out := c.run(ctx)
		for i := before; i < len(e.findings); i++ {
			e.findings[i].Check = c.name
		}
		if ctx.Err() != nil {
			return e.findings, ctx.Err()
		}
		polls = polls && out == goOn
		if out == end {
			break
		}
	}
	return e.findings, nil
}

// newExam fills in the defaults.
func newExam(endpoint string, o *Options) (*exam, error) {
	e := &exam{}
	if o != nil {
		e.Options = *o
	}
	var err error
	if e.url, err = url.Parse(endpoint); err != nil {
		return nil, err
	}
	if e.url.Scheme != "http" && e.url.Scheme != "https" || e.url.Host == "" {
		return nil, fmt.Errorf("doctor: %q is not the address of an endpoint, such as http://127.0.0.1:3000/socket.io/", endpoint)
	}
	if e.url.Path == "" {
		e.url.Path = defaultPath
	}
	if e.Namespace == "" {
		e.Namespace = "/"
	}
	if e.Namespace[0] != '/' {
		return nil, fmt.Errorf("doctor: the namespace %q does not begin with a slash", e.Namespace)
	}
	if len(e.Auth) > 32<<10 {
		return nil, fmt.Errorf("doctor: an Auth of %d bytes", len(e.Auth))
	}
	if e.Patience <= 0 {
		e.Patience = 5 * time.Second
	}
	e.client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	if e.Client != nil {
		*e.client = *e.Client
	}
	e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return e, nil
}

func (e *exam) find(cure, problem string, args ...any) {
	e.findings = append(e.findings, Finding{Problem: fmt.Sprintf(problem, args...), Cure: cure})
}

func (e *exam) note(format string, args ...any) {
	if e.Note != nil {
		e.Note(fmt.Sprintf(format, args...))
	}
}

// hold is how long a connection is held that has been told a ping interval.
func (e *exam) hold(interval time.Duration) time.Duration {
	if e.Hold <= 0 {
		return interval + 5*time.Second
	}
	return max(e.Hold, interval+e.Patience)
}
