package selftest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/core/sio"
)

// bare is a writer that can neither flush nor hand its connection over.
type bare struct{ w http.ResponseWriter }

func (b bare) Header() http.Header         { return b.w.Header() }
func (b bare) Write(p []byte) (int, error) { return b.w.Write(p) }
func (b bare) WriteHeader(status int)      { b.w.WriteHeader(status) }

func lame(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(bare{w}, r) })
}

var (
	noWebSocket = conformance.Lacks("websocket", "the writer is bare")
	noStreaming = conformance.Lacks("streaming", "the writer is bare")
)

// TestLacks: a host that says what it cannot do passes; one that keeps it to
// itself, or says so for no reason, or refuses badly, does not.
func TestLacks(t *testing.T) {
	conformance.Run(t, fault{around: lame}.factory, noWebSocket, noStreaming)
	for what, results := range map[string][]conformance.Result{
		"kept to itself":                check(t, fault{around: lame}, conformance.Only("streams/flush", "handshake/websocket")),
		"declared for no reason":        check(t, fault{}, conformance.Only("streams/flush", "websocket/refused"), noWebSocket, noStreaming),
		"answers upgrades with nothing": check(t, fault{around: ignorant}, conformance.Only("websocket/refused"), noWebSocket),
	} {
		for _, r := range results {
			if r.Status != "failed" {
				t.Errorf("%s: %s: %s", what, r.Name, r.Status)
			}
		}
	}
	skipped := check(t, fault{}, conformance.Only("websocket/refused"))
	if skipped[0].Status != "skipped" || skipped[0].Reason != "only for hosts without websocket" {
		t.Error(skipped[0].Report())
	}
}

// ignorant answers upgrades with an empty 200.
func ignorant(next http.Handler) http.Handler {
	return requests(func(w http.ResponseWriter, r *http.Request) bool {
		if upgrade(r) {
			w.WriteHeader(http.StatusOK)
		}
		return upgrade(r)
	})(lame(next))
}

func check(t *testing.T, f fault, opts ...conformance.Option) []conformance.Result {
	t.Helper()
	results, err := conformance.Check(f.factory, append(opts, conformance.Patience(500*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// TestReport: a failure says all that is known, and a panic is one.
func TestReport(t *testing.T) {
	r := check(t, fault{frames: out(func(f frame) []frame {
		if f.has("42") {
			f.data[len(f.data)-2]++
		}
		return []frame{f}
	})}, conformance.Only("disconnect/one-namespace"))[0]
	for _, want := range []string{"disconnect/one-namespace: failed\n", "rule: leaving one namespace leaves the others alive\n", "spec: Socket.IO 5: Disconnection from a namespace; docs/protocol.md 6.3\n",
		"cases_socket.go:", ": the other\n", ` got  42["echo",2]`, ` want 42["echo",1]`, "the exchange, in seconds since the start:\n   0.0", "> upgrade /socket.io/?EIO=4&transport=websocket",
		"< 101, ws:", `> text "41/chat,"`, `< frame 81 "42[\"echo\",2]"`} {
		if !strings.Contains(r.Report(), want) {
			t.Errorf("%q is missing in: %s", want, r.Report())
		}
	}
	r = check(t, fault{server: func(*sio.Server) { panic("the factory") }}, conformance.Only("routing/slash"))[0]
	if r.Status != "failed" || !strings.Contains(r.Output, "panic: the factory") {
		t.Error(r.Report())
	}
}

func TestOptions(t *testing.T) {
	sibling := breaker{}
	for _, b := range breakers() {
		if b.name == "captures siblings" {
			sibling = b
		}
	}
	results := check(t, sibling.fault, conformance.Only("routing"), conformance.KnownFailing("routing/sibling", "captured"), conformance.KnownFailing("routing/slash", "not so"), conformance.Skip("routing/below", "why not"), conformance.Skip("routing/prefix", "why not"))
	want := map[string]string{"routing/sibling": "known failing", "routing/slash": "passed, but is listed as known failing", "routing/below": "skipped", "routing/prefix": "skipped", "routing/no-slash": "passed", "routing/other-routes": "passed"}
	for _, r := range results {
		if r.Status != want[r.Name] {
			t.Errorf("%s: %s", r.Name, r.Status)
		}
	}
	summary := conformance.Summary(results)
	for _, line := range []string{": 2 passed, 1 failed, 2 skipped, 1 known failing\n", "\n  known failing: routing/sibling\n    captured\n", "\n  skipped: routing/below, routing/prefix\n    why not", "\n  passed, but is listed as known failing: routing/slash\n"} {
		if !strings.Contains(summary+"\n", line) {
			t.Errorf("%q is missing in: %s", line, summary)
		}
	}
	for _, opt := range []conformance.Option{conformance.Skip("no such", ""), conformance.KnownFailing("no such", ""), conformance.Only("no such"), conformance.Lacks("no such", "")} {
		if _, err := conformance.Check(fault{}.factory, opt); err == nil || !strings.Contains(err.Error(), "no such") {
			t.Errorf("a name that does not exist: %v", err)
		}
	}
}

// TestCases: every case says its rule and where it is said, and has a name of its own.
func TestCases(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range conformance.Cases() {
		if seen[name] || strings.Count(name, "/") == 0 || strings.ContainsAny(name, " _") {
			t.Errorf("%q", name)
		}
		seen[name] = true
	}
	if len(seen) < 200 {
		t.Errorf("%d cases", len(seen))
	}
	var all []conformance.Option
	for name := range seen {
		all = append(all, conformance.Skip(name, "only the names are wanted"))
	}
	for _, r := range check(t, fault{}, all...) {
		if len(r.Rule) < 20 || len(r.Spec) < 5 {
			t.Errorf("%s: rule %q, spec %q", r.Name, r.Rule, r.Spec)
		}
	}
}
