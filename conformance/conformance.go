package conformance

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/testkit"
	"github.com/siokit/siokit/sessionbridge"
)

// Factory starts a host with srv mounted at cfg.Path and below it. Beside that the host has a
// plain route "/plain" that answers "ok", and a middleware that sets the cookie "host=1" on
// every answer below the mount point. t is the case's own: Fatal ends the case and Skip leaves
// it out.
type Factory func(t testing.TB, srv *sio.Server, cfg Config) *Host

// Config is what a case wants of its host. Listen and ServeHTTP see to Addr and TLS.
type Config struct {
	Path string // the mount point, such as "/socket.io"
	Addr string // where to listen, host and port; "" means any free port of 127.0.0.1
	TLS  bool   // encrypt; set by OverTLS
	// Bridge makes the session bridge for the host's sessions. It is set with Sessions and
	// CookieSessions, and else nil.
	Bridge func(be sessionbridge.Backend) *sessionbridge.Bridge
	// CookieAge is how old a session's cookie may be by the date that the library has signed
	// into it. It is set by one case of Sessions, and else 0, which means the library's
	// default; a factory whose library signs no date skips that case.
	CookieAge time.Duration

	share *share // with Clustered: where Listen listens
}

// Host is a running host.
type Host struct {
	URL string // scheme, host and port, such as "http://127.0.0.1:8080"
	// Stop ends the host's listener within 5 s. The server has been shut down before. Stop is
	// called again when a case was past its deadline.
	Stop func()
}

// testCase is one thing that is verified.
type testCase struct {
	name  string // stable, for -run and Skip
	rule  string // what must hold
	spec  string // where that is said
	run   func(c *env)
	opts  func(o *sio.Options)
	at    string   // where a server behind Remote has such options; "" means nowhere
	all   bool     // every dialect and transport is enabled
	slow  bool     // left out by -short
	local bool     // needs the server in this process
	need  []string // the capabilities that the host must have
	lack  string   // only for hosts that lack this capability
	// prepare changes the environment before the host starts.
	prepare func(c *env)
}

// Run runs every case as a subtest of t, each against a host of its own that f starts, and logs
// the Summary. Without options these are the cases about a host. With Remote f is nil.
func Run(t *testing.T, f Factory, opts ...Option) {
	t.Helper()
	r := newRun(f, opts)
	r.short = testing.Short()
	if err := r.wrong(); err != nil {
		t.Fatal(err)
	}
	var results []Result
	for _, c := range r.cases() {
		t.Run(c.name, func(t *testing.T) {
			res := r.one(t, c)
			results = append(results, res)
			switch {
			case res.Status == skipped:
				t.Skip(res.Reason)
			case res.Bad():
				t.Error(res.Report())
			case res.Status == knownFailing:
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

// Check is Run for programs: it returns what came of each case. An error means that an option
// names what does not exist, or that f and the options do not go together; then no case has
// run. The testing.TB that f is given works without a test.
func Check(f Factory, opts ...Option) ([]Result, error) {
	r := newRun(f, opts)
	if err := r.wrong(); err != nil {
		return nil, err
	}
	var results []Result
	for _, c := range r.cases() {
		results = append(results, r.one(nil, c))
	}
	return results, nil
}

// Cases lists the names of the cases that Run would run with the same options, in their order.
// Sessions, CookieSessions and Only make a difference.
func Cases(opts ...Option) []string {
	var names []string
	for _, c := range newRun(nil, opts).cases() {
		names = append(names, c.name)
	}
	return names
}

// wrong complains about options that name what does not exist, and about those that do not go
// together.
func (r *run) wrong() error {
	switch {
	case r.url == "" && r.factory == nil:
		return errors.New("conformance: the factory is nil, and there is no Remote")
	case r.url != "" && r.factory != nil:
		return errors.New("conformance: Remote needs no factory; give nil")
	case r.url != "" && r.sessions != nil:
		return errors.New("conformance: the cases of Sessions and CookieSessions need the server in this process")
	case r.url != "" && r.bus != nil:
		return errors.New("conformance: Clustered needs the servers in this process")
	}
	cases := r.list()
	unknown := func(name string) bool {
		return !slices.ContainsFunc(cases, func(c testCase) bool { return c.name == name })
	}
	names := slices.DeleteFunc(slices.Concat(slices.Collect(maps.Keys(r.skip)), slices.Collect(maps.Keys(r.known))),
		func(name string) bool { return !unknown(name) })
	for _, name := range r.only {
		if unknown(name) && !slices.ContainsFunc(cases, func(c testCase) bool { return below(c.name, name) }) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return fmt.Errorf("conformance: there is no case %q; Cases lists those that exist", names)
	}
	for name := range r.lacks {
		if !slices.Contains(Capabilities(), name) {
			return fmt.Errorf("conformance: there is no capability %q; those that exist are %s", name, strings.Join(Capabilities(), ", "))
		}
	}
	return nil
}

// Summary says in a few lines what came of a run: how many cases passed, and for all others
// which they are and why.
func Summary(results []Result) string {
	count := map[string]int{}
	var took time.Duration
	for _, res := range results {
		count[res.Status]++
		took += res.Took
	}
	var b strings.Builder
	fmt.Fprintf(&b, "conformance: %d cases in %v: %d passed, %d failed, %d skipped, ", len(results), took.Round(100*time.Millisecond),
		count[passed], count[failed]+count[unexpected], count[skipped])
	if n := count[knownFailing]; n > 0 {
		fmt.Fprintf(&b, "%d known failing", n)
	} else {
		b.WriteString("known failing: none")
	}
	b.WriteString(clusteredSummary(results))
	for _, status := range []string{failed, unexpected, knownFailing, skipped} {
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
