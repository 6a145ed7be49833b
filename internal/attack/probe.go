package attack

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
)

// probe is the testing.TB of one row, so that rows can run at the same time in goroutines of
// their own.
type probe struct {
	testing.TB // nil: what is not below is not for rows
	row        string

	mu      sync.Mutex
	faults  []string
	notes   []string
	cleanup []func()
}

func (p *probe) Helper()      {}
func (p *probe) Name() string { return p.row }

func (p *probe) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

func (p *probe) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

func (p *probe) Error(args ...any) { p.Errorf("%s", fmt.Sprint(args...)) }
func (p *probe) Fatal(args ...any) { p.Fatalf("%s", fmt.Sprint(args...)) }

func (p *probe) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanup = append(p.cleanup, f)
}

// note remembers a line of what was sent and received, for a failure.
func (p *probe) note(line string) {
	const most = 400
	if len(line) > most {
		line = line[:most]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.notes = append(p.notes, line); len(p.notes) > 200 {
		p.notes = p.notes[100:]
	}
}

func (p *probe) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.faults) > 0
}

// clean runs what Cleanup was given, the latest first.
func (p *probe) clean() {
	p.mu.Lock()
	list := p.cleanup
	p.mu.Unlock()
	for i := len(list) - 1; i >= 0; i-- {
		list[i]()
	}
}

// recover makes a panic of a row its failure.
func (p *probe) recover() {
	if v := recover(); v != nil {
		p.Errorf("the row panics: %v\n%s", v, debug.Stack())
	}
}

// report tells a test what came of the row.
func (p *probe) report(t *testing.T, row Row) {
	t.Helper()
	if !p.failed() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.notes[max(0, len(p.notes)-30):]
	t.Errorf("%s: %s\nwant: %s\n%s\nthe last lines of the wire:\n%s", row.ID, row.Sent, row.Want,
		strings.Join(p.faults, "\n"), strings.Join(last, "\n"))
}
