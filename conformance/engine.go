package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siokit/siokit/internal/testkit"
)

// What came of a case.
const (
	passed       = "passed"
	failed       = "failed"
	skipped      = "skipped"
	knownFailing = "known failing"
	unexpected   = "passed, but is listed as known failing"
)

// Result is what came of one case. cmd/sioconform prints results as JSON.
type Result struct {
	Name string `json:"name"` // one of Cases
	Rule string `json:"rule"` // what must hold
	Spec string `json:"spec"` // where that is said
	// Status is "passed", "failed" or "skipped", and for a case named by KnownFailing "known
	// failing" or "passed, but is listed as known failing".
	Status string        `json:"status"`
	Reason string        `json:"reason,omitempty"` // why the case was skipped, or is known to fail
	Output string        `json:"output,omitempty"` // what was wrong: what came and what was wanted
	Trace  string        `json:"trace,omitempty"`  // what was said on the wire, with times
	Took   time.Duration `json:"took"`             // in JSON nanoseconds
	// Servers says with Clustered which servers the case had: "three servers", or what it had
	// instead and why. Elsewhere is how many requests came to a server that did not have their
	// session.
	Servers   string `json:"servers,omitempty"`
	Elsewhere int    `json:"elsewhere,omitempty"`
}

// Bad reports whether the result fails a run: the case failed, or it passed and KnownFailing
// names it.
func (r Result) Bad() bool { return r.Status == failed || r.Status == unexpected }

// Report says all that is known about a failure, in the form that the package comment explains.
func (r Result) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\nrule: %s\nspec: %s\n", r.Name, r.Status, r.Rule, r.Spec)
	if r.Reason != "" {
		fmt.Fprintf(&b, "reason: %s\n", r.Reason)
	}
	b.WriteString(r.Output)
	if r.Trace != "" {
		fmt.Fprintf(&b, "the exchange, in seconds since the start:\n%s", r.Trace)
	}
	return b.String()
}

// one runs a case in an environment of its own. t is nil outside of tests.
func (r *run) one(t *testing.T, c testCase) Result {
	res := Result{Name: c.name, Rule: c.rule, Spec: c.spec, Status: skipped, Reason: r.leftOut(c)}
	if res.Reason == "" {
		p := &probe{name: c.name, from: time.Now()}
		if t != nil {
			p.TB = t
		}
		x := p.run(r, c)
		res.Servers, res.Elsewhere = x.placement()
		res.Status, res.Reason, res.Output, res.Trace = p.result()
		res.Took = time.Since(p.from)
	}
	return r.judged(res)
}

// judged is a result with what KnownFailing says of the case. It is handed to Each.
func (r *run) judged(res Result) Result {
	if reason, ok := r.known[res.Name]; ok {
		switch res.Status {
		case failed:
			res.Status, res.Reason = knownFailing, reason
		case passed:
			res.Status, res.Reason = unexpected, reason
		}
	}
	if r.each != nil {
		r.each(res)
	}
	return res
}

// leftOut says why a case does not run, or "".
func (r *run) leftOut(c testCase) string {
	switch reason, skip := r.skip[c.name]; {
	case skip:
		return reason
	case r.short && c.slow:
		return "-short"
	case c.lack != "" && r.lacks[c.lack] == "":
		return "only for hosts without " + c.lack
	case r.url != "" && c.local:
		return needsServer
	case r.url != "" && c.opts != nil && c.at == "":
		return "needs a server with options of its own"
	}
	for _, need := range c.need {
		if reason := r.lacks[need]; reason != "" {
			return lacking(need, reason)
		}
	}
	return ""
}

func lacking(capability, reason string) string { return "no " + capability + ": " + reason }

// probe is the testing.TB of one case. A case's failure is a result, which is not
// always a test's.
type probe struct {
	testing.TB // of the subtest; nil outside of tests
	name       string
	from       time.Time

	mu       sync.Mutex
	out      strings.Builder
	trace    []string
	lost     int // lines of the middle of the trace
	failed   bool
	skipped  string
	over     bool // the case has ended; what comes now is lost
	cleanups []func()
}

// traceMost bounds what is kept of a case's exchange, at either end of it.
const traceMost = 120

// run runs the case, but not longer than the run allows.
func (p *probe) run(r *run, c testCase) *env {
	x := newContext(r, c, p)
	p.bounded(r.timeout, func() {
		defer x.left() // in this order also when the case has given up
		defer p.cleanup()
		defer x.Stop()
		x.Start("")
		c.run(x)
	}, x.abandon)
	return x
}

// bounded runs the body of a case, and abandons what it waits for when it takes too long.
func (p *probe) bounded(timeout time.Duration, body, abandon func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				p.Errorf("panic: %v\n%s", v, stack())
			}
		}()
		body()
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		var b bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
		p.Errorf("%s has not ended after %v; the goroutines:\n%s", p.name, timeout, b.String())
		abandon()
		select { // what waited for the host now fails
		case <-done:
		case <-time.After(5 * time.Second):
		}
	}
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
}

func stack() string {
	b := make([]byte, 1<<16)
	return string(b[:runtime.Stack(b, false)])
}

func (p *probe) cleanup() {
	for {
		p.mu.Lock()
		n := len(p.cleanups)
		if n == 0 {
			p.mu.Unlock()
			return
		}
		f := p.cleanups[n-1]
		p.cleanups = p.cleanups[:n-1]
		p.mu.Unlock()
		f()
	}
}

func (p *probe) result() (status, reason, output, trace string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.failed:
		lines := p.trace
		if p.lost > 0 {
			lines = slices.Insert(slices.Clone(lines), traceMost, fmt.Sprintf("... %d more ...", p.lost))
		}
		return failed, "", p.out.String(), strings.Join(lines, "\n") + "\n"
	case p.skipped != "":
		return skipped, p.skipped, "", ""
	}
	return passed, "", "", ""
}

// say keeps a line of output, with the place in the case that says it.
func (p *probe) say(text string) {
	place := ""
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for f, more := frames.Next(); more; f, more = frames.Next() {
		if file := filepath.Base(f.File); strings.Contains(f.Function, "/conformance") && file != "engine.go" && file != "context.go" {
			place = fmt.Sprintf("%s:%d: ", file, f.Line)
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		fmt.Fprintf(&p.out, "%s%s\n", place, strings.TrimRight(text, "\n"))
	}
}

// note keeps a line of the exchange.
func (p *probe) note(line string) {
	at := time.Since(p.from)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.trace) == 2*traceMost {
		p.trace = slices.Delete(p.trace, traceMost, traceMost+1)
		p.lost++
	}
	p.trace = append(p.trace, fmt.Sprintf("%9.4f %s", at.Seconds(), line))
}

func (p *probe) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.failed = true
	}
}

// The methods of testing.TB that cases and factories use.

func (p *probe) Helper()                   {}
func (p *probe) Name() string              { return p.name }
func (p *probe) Fail()                     { p.fail() }
func (p *probe) FailNow()                  { p.fail(); runtime.Goexit() }
func (p *probe) Log(args ...any)           { p.say(fmt.Sprintln(args...)) }
func (p *probe) Logf(f string, a ...any)   { p.say(fmt.Sprintf(f, a...)) }
func (p *probe) Error(args ...any)         { p.fail(); p.say(fmt.Sprintln(args...)) }
func (p *probe) Errorf(f string, a ...any) { p.fail(); p.say(fmt.Sprintf(f, a...)) }
func (p *probe) Fatal(args ...any)         { p.fail(); p.say(fmt.Sprintln(args...)); runtime.Goexit() }
func (p *probe) Fatalf(f string, a ...any) { p.fail(); p.say(fmt.Sprintf(f, a...)); runtime.Goexit() }
func (p *probe) Skip(args ...any)          { p.skip(fmt.Sprint(args...)) }
func (p *probe) Skipf(f string, a ...any)  { p.skip(fmt.Sprintf(f, a...)) }
func (p *probe) SkipNow()                  { p.skip("skipped by the factory") }

func (p *probe) skip(reason string) {
	p.mu.Lock()
	p.skipped = reason
	p.mu.Unlock()
	runtime.Goexit()
}

// Failed implements testing.TB.
func (p *probe) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// Skipped implements testing.TB.
func (p *probe) Skipped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.skipped != ""
}

// Cleanup implements testing.TB.
func (p *probe) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

// Context implements testing.TB.
func (p *probe) Context() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	p.Cleanup(cancel)
	return ctx
}

// TempDir implements testing.TB.
func (p *probe) TempDir() string {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// ArtifactDir implements testing.TB, of Go 1.26 and newer. Nothing of it is kept.
func (p *probe) ArtifactDir() string { return p.TempDir() }

// Setenv implements testing.TB. Cases run one after the other.
func (p *probe) Setenv(key, value string) {
	before, was := os.LookupEnv(key)
	if err := os.Setenv(key, value); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		if was {
			_ = os.Setenv(key, before)
		} else {
			_ = os.Unsetenv(key)
		}
	})
}

// Chdir implements testing.TB.
func (p *probe) Chdir(dir string) {
	before, err := os.Getwd()
	if err == nil {
		err = os.Chdir(dir)
	}
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = os.Chdir(before) })
}

// Attr implements testing.TB.
func (p *probe) Attr(key, value string) { p.note("attribute " + key + " " + value) }

// Output implements testing.TB.
func (p *probe) Output() io.Writer { return output{p} }

type output struct{ p *probe }

func (o output) Write(b []byte) (int, error) {
	o.p.say(string(b))
	return len(b), nil
}

// leaked returns the stacks of the project's goroutines that the case has left
// behind. Three kinds end by themselves a tenth of a second after the last
// connection; the run waits for those when all cases are over.
func leaked(patience time.Duration) string {
	return testkit.Leaked(patience, "virtsocket.(*watch)", "wheel.(*Wheel).run", "connwatch.(*sweeper).run",
		"conformance.(*probe).run(") // whoever waits for the case
}
