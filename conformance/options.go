package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/wire"
)

// Option changes what Run and Check do.
type Option func(*run)

// Lacks declares that the host does not have a capability, one of Capabilities. Cases that
// need the capability are left out, and the reason is printed. Where a refusal must take the
// place of an answer, that is verified: without "websocket" an upgrade must be refused with
// status 501 and a reason. A host that is declared to lack "streaming", and can stream, fails.
func Lacks(capability, reason string) Option {
	return func(r *run) { r.lacks[capability] = given(reason) }
}

// KnownFailing runs a case that must fail. When the case passes, the run fails, so that the
// list stays true. name is one of Cases, and the reason is printed.
func KnownFailing(name, reason string) Option {
	return func(r *run) { r.known[name] = given(reason) }
}

// Skip leaves a case out. name is one of Cases, and the reason is printed. For a case that
// fails every time KnownFailing is better.
func Skip(name, reason string) Option {
	return func(r *run) { r.skip[name] = given(reason) }
}

func given(reason string) string {
	if reason == "" {
		return "no reason given"
	}
	return reason
}

// Only leaves out every case but those named, and those below a name: "upgrade" stands for all
// cases whose names begin with "upgrade/". In a test the flag -run does the same.
func Only(names ...string) Option {
	return func(r *run) { r.only = append(r.only, names...) }
}

// Patience is how long a case waits for something that must come; 0, and a run without the
// option, means 5 s. Only failures wait so long: a longer patience costs a sound host nothing,
// and a shorter one makes a run with many failures quicker. A case may take twelve times as
// long, and 20 s always. Then the case is ended and fails with the stacks of all goroutines.
func Patience(d time.Duration) Option {
	if d <= 0 {
		d = wire.Patience
	}
	return func(r *run) { r.patience, r.timeout = d, max(12*d, 20*time.Second) }
}

// OverTLS runs the cases over TLS: Config.TLS is set, and Listen and ServeHTTP encrypt.
func OverTLS() Option {
	return func(r *run) { r.tls = true }
}

// Each has f called with each result as soon as its case is over, in the order of Cases.
func Each(f func(Result)) Option {
	return func(r *run) { r.each = f }
}

// Remote runs the cases that need nothing but an address, against a server that is running,
// in whatever language. The server is mounted at /socket.io and serves what Application
// says. url is its scheme, host and port, such as "http://127.0.0.1:3000". Cases that
// configure or look into the server are left out. The factory must be nil.
func Remote(url string) Option {
	return func(r *run) { r.url = strings.TrimSuffix(url, "/") }
}

// Sessions runs the cases about sessions instead of those about the host alone: it verifies a
// host together with a session library and sessionbridge, over polling and over websockets.
// The factory calls Config.Bridge with the library's backend, and beside the mount point the
// host has plain routes, in its own way, with the library's own cookie:
//
//	POST /login  (form: user)        puts user into the session, made if need be
//	POST /set    (form: key, value)  puts a string into it
//	GET  /get?key=                   answers the string, or 404
//	GET  /who                        answers the user, or "anonymous"
//	POST /logout (form: quiet)       destroys it and tells the bridge, unless quiet
//	POST /rotate                     gives it a new id and tells the bridge
func Sessions() Option {
	return func(r *run) { r.sessions = allSessionCases }
}

// CookieSessions is Sessions for a library that keeps the values in the cookie.
func CookieSessions() Option {
	return func(r *run) { r.sessions = allCookieCases }
}

// The capabilities, by their names in reports and on the command line.
const (
	webSocket   = "websocket"
	streaming   = "streaming"
	partialBody = "partial-body"
	clientGone  = "client-gone"
	hostCookies = "host-cookies"
	closeCodes  = "close-codes"
	eio4        = "eio4"
	eio3        = "eio3"
	sio1        = "sio1"
	sio06       = "sio06"
	jsonp       = "jsonp"
	comesBack   = "recovery"
)

// Capabilities lists what Lacks may name:
//
//	websocket     a handler can take over the connection
//	streaming     parts of an answer reach the client before the end of the answer
//	partial-body  a handler starts before the request's body is complete
//	client-gone   a request that waits learns that its client has left
//	host-cookies  headers that the host has set stand on the server's answers
//	close-codes   a websocket that the server ends tells by its close code why
//	eio4          clients 3.x and 4.x are served
//	eio3          clients 1.x and 2.x are served
//	sio1          clients 0.7 to 0.9 are served
//	sio06         clients 0.6 are served
//	jsonp         the transport jsonp-polling is served
//	recovery      the application is served with connection state recovery, too
//
// A host written in Go may lack the first five. What follows them is up to the server, and
// only a server behind Remote may lack it.
func Capabilities() []string {
	return []string{webSocket, streaming, partialBody, clientGone, hostCookies, closeCodes, eio4, eio3, sio1, sio06, jsonp, comesBack}
}

// run is one call of Run or Check.
type run struct {
	factory  Factory
	url      string               // of a server that is not in this process
	sessions func() []sessionCase // instead of allCases
	lacks    map[string]string
	known    map[string]string
	skip     map[string]string
	only     []string
	patience time.Duration
	timeout  time.Duration // of one case
	tls      bool
	bus      func() func() cluster.Backend // of Clustered
	outside  bool                          // which is not the bus in memory
	short    bool
	each     func(Result)
}

func newRun(f Factory, opts []Option) *run {
	r := &run{factory: f, skip: map[string]string{}, known: map[string]string{}, lacks: map[string]string{}}
	Patience(0)(r)
	for _, o := range opts {
		o(r)
	}
	return r
}

// cases are those of the list that the options choose.
func (r *run) cases() []testCase {
	list := r.list()
	if len(r.only) == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(c testCase) bool {
		return !slices.ContainsFunc(r.only, func(name string) bool { return c.name == name || below(c.name, name) })
	})
}

func (r *run) list() []testCase {
	if r.sessions != nil {
		return asCases(r.sessions())
	}
	return allCases()
}

// below reports whether a case is in a group.
func below(name, group string) bool { return strings.HasPrefix(name, group+"/") }
