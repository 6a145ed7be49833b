// Package attack sends what no honest client sends, on any host. Each row of the table is one
// kind of bad input or misuse, with the outcome that is demanded of a server. After each row the
// server must be as it was: a client that was there before still gets every message in order,
// nothing has panicked, and goroutines, descriptors, sessions and memory are back where they were.
//
// docs/attacks.md is written from the table.
package attack

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
)

// Row is one row of the table.
type Row struct {
	ID   string // a letter for the group, and a number
	Sent string // what is sent or done
	Want string // the outcome that is demanded
	// Differs says why the outcome is another one than usual advice has for this attack.
	Differs string
	// Kind is the server that the row is for, one of the kinds in server.go; "" is plain.
	Kind string
	// Run is the attack. It fails by the methods of A.
	Run func(a *A)
	// Elsewhere names the tests that prove the row, or the rest of it when there is a Run.
	Elsewhere string
	// None says why the row applies to no host.
	None string
	// Needs are the capabilities that a host must have, by their names in conformance.
	Needs []string
	Long  bool // takes too long for every run of the tests, see Everything
}

// Groups are the groups of the table in their order.
var Groups = []struct {
	Letter, Name string
	Rows         []Row
}{
	{"H", "Handshake and HTTP", handshakeRows},
	{"P", "Polls and their bodies", pollingRows},
	{"J", "JSONP and the other old transports", legacyTransportRows},
	{"W", "Frames of a websocket", websocketRows},
	{"E", "Engine.IO packets, heartbeat and upgrade", engineRows},
	{"S", "Socket.IO packets", packetRows},
	{"B", "Attachments", attachmentRows},
	{"N", "Namespaces, access rules and rooms", namespaceRows},
	{"K", "Clients that come back", recoveryRows},
	{"O", "Origins, cookies and sessions", originRows},
	{"R", "Resources and fairness", resourceRows},
	{"C", "The bus of a cluster", clusterRows},
	{"V", "Socket.IO 0.9", oldRows},
}

// Rows are the rows of all groups.
func Rows() (list []Row) {
	for _, g := range Groups {
		list = append(list, g.Rows...)
	}
	return list
}

// Everything is the environment variable that chooses rows: "all" for the long ones as well, one
// at a time, or a list of ids such as "H12,P02".
const Everything = "SIOKIT_ATTACKS"

// Option changes what Run does.
type Option func(*run)

// Lacks says that the host does not have a capability, and why. The rows that need it are left
// out, and counted.
func Lacks(capability, reason string) Option {
	return func(r *run) { r.lacks[capability] = reason }
}

type run struct {
	factory conformance.Factory
	lacks   map[string]string
	alone   bool     // one row at a time, the long ones too
	only    []string // ids; nil means all
}

// together is how many rows run at a time.
const together = 6

// result is what came of one row.
type result struct {
	row    Row
	reason string // why it did not run; "" when it has
	probe  *probe
	took   time.Duration
}

// Run runs the rows on the host that f starts, one server for each kind, and logs the summary.
func Run(t *testing.T, f conformance.Factory, opts ...Option) {
	t.Helper()
	r := &run{factory: f, lacks: map[string]string{}}
	for _, o := range opts {
		o(r)
	}
	switch v := os.Getenv(Everything); v {
	case "":
	case "all":
		r.alone = true
	default:
		r.alone, r.only = true, strings.Split(v, ",")
	}
	began := time.Now()
	var results []result
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) { results = append(results, r.serve(t, kind)...) })
	}
	for _, row := range Rows() {
		if row.Run == nil {
			results = append(results, result{row: row})
		}
	}
	t.Log(summary(results, time.Since(began)))
}

// why says why a row does not run on this host; "" means that it does.
func (r *run) why(row Row) string {
	for _, n := range row.Needs {
		if reason := r.lacks[n]; reason != "" {
			return reason
		}
	}
	if r.only != nil && !slices.Contains(r.only, row.ID) {
		return "not among " + Everything
	}
	if row.Long && !r.alone {
		return "takes long: " + Everything + "=all runs it, as make attacks does"
	}
	return ""
}

// serve runs the rows for one kind of server.
func (r *run) serve(t *testing.T, kind kind) (results []result) {
	var rows []Row
	for _, row := range Rows() {
		if row.Run == nil || row.Kind != kind.name && (row.Kind != "" || kind.name != plain) {
			continue
		}
		if reason := r.why(row); reason != "" {
			results = append(results, result{row: row, reason: reason})
			continue
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return results
	}
	s := startServer(t, r.factory, kind)
	defer s.stop(t)
	before := s.levels()
	var mu sync.Mutex
	var wg sync.WaitGroup
	free := make(chan struct{}, together)
	for _, row := range rows {
		one := func() {
			res := s.one(row)
			mu.Lock()
			results = append(results, res)
			mu.Unlock()
		}
		if r.alone {
			one()
			if left := s.settle(before); left != "" {
				t.Errorf("%s: %s", row.ID, left)
			}
			continue
		}
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			one()
		})
	}
	wg.Wait()
	for _, res := range results {
		if res.probe != nil {
			t.Run(res.row.ID, func(t *testing.T) { res.probe.report(t, res.row) })
		}
	}
	if left := s.settle(before); left != "" {
		t.Errorf("after all rows: %s\nto see which row it was, run again with %s=all", left, Everything)
	}
	return results
}

// deadline is how long one row may take.
const deadline = 60 * time.Second

// one runs one row, and looks at the server behind it.
func (s *server) one(row Row) result {
	p := &probe{row: row.ID}
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer p.clean()
		defer p.recover()
		row.Run(newA(p, s))
		s.control.check(p)
	}()
	select {
	case <-done:
	case <-time.After(deadline):
		p.Errorf("the row does not end")
	}
	return result{row: row, probe: p, took: time.Since(began)}
}

// summary says what came of a run: how many rows ran, passed and failed, and why others did not.
func summary(results []result, took time.Duration) string {
	var run, failed, elsewhere int
	var reasons []string
	left := map[string][]string{}
	skip := func(reason, id string) {
		if left[reason] == nil {
			reasons = append(reasons, reason)
		}
		left[reason] = append(left[reason], id)
	}
	slices.SortStableFunc(results, func(a, b result) int { return order(a.row.ID) - order(b.row.ID) })
	seen := map[string]bool{}
	for _, res := range results {
		switch again := seen[res.row.ID]; {
		case again && (res.probe == nil || !res.probe.failed()): // a row for two kinds of server
			continue
		case again:
			failed++
			continue
		}
		seen[res.row.ID] = true
		switch {
		case res.probe != nil:
			run++
			if res.probe.failed() {
				failed++
			}
		case res.reason != "":
			skip(res.reason, res.row.ID)
		case res.row.None != "":
			skip(res.row.None, res.row.ID)
		default:
			elsewhere++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "attacks: %d rows in %v: %d run, %d passed, %d failed; %d have tests of their own; %d not applicable here",
		len(seen), took.Round(100*time.Millisecond), run, run-failed, failed, elsewhere, len(seen)-run-elsewhere)
	slow := slices.Clone(results)
	slices.SortFunc(slow, func(a, b result) int { return int(b.took - a.took) })
	b.WriteString("\n  the longest:")
	for _, res := range slow[:min(8, len(slow))] {
		fmt.Fprintf(&b, " %s %v", res.row.ID, res.took.Round(10*time.Millisecond))
	}
	for _, reason := range reasons {
		fmt.Fprintf(&b, "\n  %s: %s", strings.Join(left[reason], ", "), reason)
	}
	return b.String()
}

// order is the place of a row in the table.
func order(id string) int {
	return slices.IndexFunc(Rows(), func(r Row) bool { return r.ID == id })
}
