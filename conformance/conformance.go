// Package conformance verifies that a host serves Socket.IO as siokit promises:
// an adapter passes when Run passes for it. Every case starts a fresh host,
// speaks the wire by hand, and checks that nothing is left when the host stops.
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func(t testing.TB, srv *sio.Server, cfg conformance.Config) *conformance.Host {
//			...start the framework with srv mounted at cfg.Path...
//			return &conformance.Host{URL: url, Stop: stop}
//		})
//	}
//
// What a host cannot do is declared with Lacks and a reason; everything else is tested.
// The options Sessions and CookieSessions choose the cases about sessions of the host,
// Remote is for servers that are not written in Go, and RunBackend is for backends of
// sessionbridge. Check is Run without a testing.T. README.md beside this file says how to
// begin and how to read a failure.
package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/sessionbridge"
)

// Config is what a case wants of its host.
type Config struct {
	Path string // mount point, such as "/socket.io"
	Addr string // where to listen; "" means any free port on 127.0.0.1
	TLS  bool   // encrypt; Listen does
	// CookieAge is how old a session's cookie may be by its own date, for libraries
	// that sign one. Set by a case of Sessions; a factory whose library does not
	// skips it.
	CookieAge time.Duration
	// Bridge makes the session bridge for the host's sessions. Set by the cases of
	// Sessions and CookieSessions, else nil.
	Bridge func(be sessionbridge.Backend) *sessionbridge.Bridge
}

// Host is a running host.
type Host struct {
	URL string // http://127.0.0.1:port, or https
	// Stop ends the host's listener within 2 s. The server is shut down before it.
	// It is called again when a case was past its deadline.
	Stop func()
}

// Factory starts a host with srv mounted at cfg.Path, a plain route at "/plain"
// that answers "ok", and a middleware that sets the cookie "host=1" on every
// answer below the mount point. t is the case's own: Fatal ends the case.
type Factory func(t testing.TB, srv *sio.Server, cfg Config) *Host

// Capability is something that not every host can do. Its value is its name in
// reports and on the command line.
type Capability string

// What a host written in Go may lack.
const (
	// WebSocket: the host lets a handler take the connection over.
	WebSocket Capability = "websocket"
	// Streaming: parts of an answer reach the client before its end.
	Streaming Capability = "streaming"
	// PartialBody: a handler starts before a request's body is complete.
	PartialBody Capability = "partial-body"
	// ClientGone: a request that waits learns that its client has left.
	ClientGone Capability = "client-gone"
	// HostCookies: headers that the host has set stand on the server's answers.
	HostCookies Capability = "host-cookies"
)

// What a server behind Remote may lack beside that. Users name these by their values.
const (
	closeCodes Capability = "close-codes" // a websocket that the server ends tells by its close code why
	eio4       Capability = "eio4"        // clients 3.x and 4.x
	eio3       Capability = "eio3"        // clients 1.x and 2.x
	sio1       Capability = "sio1"        // clients 0.7 to 0.9
	sio06      Capability = "sio06"       // clients 0.6
	jsonp      Capability = "jsonp"       // the transport jsonp-polling
)

// Capabilities lists all of them: the constants, and "close-codes", "eio4", "eio3", "sio1",
// "sio06" and "jsonp", which a server behind Remote may lack.
func Capabilities() []Capability {
	return []Capability{WebSocket, Streaming, PartialBody, ClientGone, closeCodes, HostCookies, eio4, eio3, sio1, sio06, jsonp}
}

// Option changes a run.
type Option func(*run)

// Skip leaves a case out. The name must exist and the reason is printed.
func Skip(name, reason string) Option {
	return func(r *run) { r.skip[name] = given(reason) }
}

// KnownFailing runs a case that must fail: passing fails the run, so that the
// list never grows old. The name must exist and the reason is printed.
func KnownFailing(name, reason string) Option {
	return func(r *run) { r.known[name] = given(reason) }
}

// Lacks declares that the host cannot do something. Cases that need it are left
// out with the reason; where a refusal must take their place, that is verified.
func Lacks(c Capability, reason string) Option {
	return func(r *run) { r.lacks[c] = given(reason) }
}

func given(reason string) string {
	if reason == "" {
		return "no reason given"
	}
	return reason
}

// Timeout is how long a case may take before it is ended and fails, with the
// stacks of all goroutines. The default is a minute.
func Timeout(d time.Duration) Option {
	return func(r *run) { r.timeout = d }
}

// Stress runs every case n times, to find what happens only now and then.
func Stress(n int) Option {
	return func(r *run) { r.times = max(1, n) }
}

// Only leaves out every case but those named, or below them: "upgrade" stands for
// all upgrade cases.
func Only(names ...string) Option {
	return func(r *run) { r.only = append(r.only, names...) }
}

// Patience is how long a case waits for something that must come. The default of
// 5 s is used up by failures only; shorter ones make slow machines fail.
func Patience(d time.Duration) Option {
	return func(r *run) { r.patience = d }
}

// OverTLS runs the cases with Config.TLS.
func OverTLS() Option {
	return func(r *run) { r.tls = true }
}

// Each has f called with each result as soon as its case is over, in order.
func Each(f func(Result)) Option {
	return func(r *run) { r.each = f }
}

type run struct {
	list     func() []testCase // nil: allCases
	own      bool              // the list needs a server in this process
	each     func(Result)
	tls      bool
	short    bool
	factory  Factory
	url      string // of a server that is not in this process
	skip     map[string]string
	known    map[string]string
	lacks    map[Capability]string
	only     []string
	timeout  time.Duration
	patience time.Duration
	times    int
}

func newRun(opts []Option) *run {
	r := &run{skip: map[string]string{}, known: map[string]string{}, lacks: map[Capability]string{}, timeout: time.Minute, times: 1}
	for _, o := range opts {
		o(r)
	}
	return r
}

// testCase is one thing that is verified.
type testCase struct {
	name  string // stable, for -run and Skip
	rule  string // what must hold
	spec  string // where that is said
	run   func(c *env)
	opts  func(o *sio.Options)
	all   bool         // every dialect and transport is enabled
	slow  bool         // left out by -short
	local bool         // needs the server in this process
	need  []Capability // what the host must have
	lack  Capability   // only for hosts that lack it
	// prepare changes the environment before the host starts.
	prepare func(c *env)
}

// Run runs every case as a subtest, each against a fresh host that f starts. With Remote f
// is nil.
func Run(t *testing.T, f Factory, opts ...Option) {
	t.Helper()
	r := newRun(opts)
	r.factory = f
	r.test(t)
}

// Check is Run for those who want results instead of a test. An error means that an option
// names what does not exist, or that f and the options do not go together; then no case
// has run.
func Check(f Factory, opts ...Option) ([]Result, error) {
	r := newRun(opts)
	r.factory = f
	return r.check()
}

// Cases lists the names of the cases that Run runs without Sessions and CookieSessions.
func Cases() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.name)
	}
	return names
}

// test runs cases as subtests and prints the summary.
func (r *run) test(t *testing.T) {
	t.Helper()
	r.short = testing.Short()
	cases := r.cases()
	if err := r.fits(); err != nil {
		t.Fatal(err)
	}
	if err := r.names(cases); err != nil {
		t.Error(err)
	}
	var results []Result
	for _, c := range cases {
		if !r.chosen(c) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			res := r.one(t, c)
			results = append(results, res)
			r.tell(res)
			switch {
			case res.Status == Skipped:
				t.Skip(res.Reason)
			case res.Bad():
				t.Error(res.Report())
			case res.Status == KnownFailure:
				t.Log(res.Report())
			}
		})
	}
	t.Log(Summary(results))
	// What lives on for a moment, a single case does not wait for.
	if left := testkit.Leaked(5 * time.Second); left != "" && r.url == "" {
		t.Errorf("goroutines left after all cases:\n%s", left)
	}
}

// check runs cases and returns what came out.
func (r *run) check() (results []Result, err error) {
	cases := r.cases()
	if err := errors.Join(r.fits(), r.names(cases)); err != nil {
		return nil, err
	}
	for _, c := range cases {
		if !r.chosen(c) {
			continue
		}
		res := r.one(nil, c)
		results = append(results, res)
		r.tell(res)
	}
	return results, nil
}

func (r *run) tell(res Result) {
	if r.each != nil {
		r.each(res)
	}
}

func (r *run) cases() []testCase {
	if r.list != nil {
		return r.list()
	}
	return allCases()
}

// fits complains about a factory and options that do not go together.
func (r *run) fits() error {
	switch {
	case r.url == "" && r.factory == nil:
		return errors.New("conformance: the factory is nil, and there is no Remote")
	case r.url != "" && r.factory != nil:
		return errors.New("conformance: Remote needs no factory; give nil")
	case r.url != "" && r.own:
		return errors.New("conformance: the cases of Sessions and CookieSessions need the server in this process")
	}
	return nil
}

// names complains about options that name a case that does not exist.
func (r *run) names(cases []testCase) error {
	var unknown []string
	is := func(name string, below bool) bool {
		return slices.ContainsFunc(cases, func(c testCase) bool {
			return c.name == name || below && strings.HasPrefix(c.name, name+"/")
		})
	}
	for name := range r.skip {
		if !is(name, false) {
			unknown = append(unknown, name)
		}
	}
	for name := range r.known {
		if !is(name, false) {
			unknown = append(unknown, name)
		}
	}
	for _, name := range r.only {
		if !is(name, true) {
			unknown = append(unknown, name)
		}
	}
	for c := range r.lacks {
		if !slices.Contains(Capabilities(), c) {
			unknown = append(unknown, string(c))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("conformance: there is no case or capability %q", unknown)
}

func (r *run) chosen(c testCase) bool {
	return len(r.only) == 0 || slices.ContainsFunc(r.only, func(name string) bool {
		return c.name == name || strings.HasPrefix(c.name, name+"/")
	})
}

// Summary says in a few lines what came of a run: how many cases passed, and for
// all others which and why.
func Summary(results []Result) string {
	count := map[Status]int{}
	var took time.Duration
	for _, res := range results {
		count[res.Status]++
		took += res.Took
	}
	var b strings.Builder
	fmt.Fprintf(&b, "conformance: %d cases in %v: %d passed, %d failed, %d skipped, ", len(results), took.Round(100*time.Millisecond),
		count[Passed], count[Failed]+count[Unexpected], count[Skipped])
	if n := count[KnownFailure]; n > 0 {
		fmt.Fprintf(&b, "%d known failing", n)
	} else {
		b.WriteString("known failing: none")
	}
	for _, status := range []Status{Failed, Unexpected, KnownFailure, Skipped} {
		var reasons []string
		by := map[string][]string{}
		for _, res := range results {
			if res.Status == status {
				if by[res.Reason] == nil {
					reasons = append(reasons, res.Reason)
				}
				by[res.Reason] = append(by[res.Reason], res.Name)
			}
		}
		for _, reason := range reasons {
			fmt.Fprintf(&b, "\n  %s: %s", status, strings.Join(by[reason], ", "))
			if reason != "" {
				fmt.Fprintf(&b, "\n    %s", reason)
			}
		}
	}
	return b.String()
}
