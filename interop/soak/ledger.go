package main

import (
	"fmt"
	"io"
	"sync"
)

// most is how many faults are printed, and how many of them lines with their details.
const most = 50

// ledger is what the run has found.
type ledger struct {
	out io.Writer

	mu     sync.Mutex
	wrong  map[string]int // kinds of faults
	counts map[string]int // what is no fault
	shown  int
}

func newLedger(out io.Writer) *ledger {
	return &ledger{out: out, wrong: make(map[string]int), counts: make(map[string]int)}
}

// fault notes what must not happen.
func (l *ledger) fault(kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong[kind]++
	if l.shown++; l.shown <= most {
		_, _ = fmt.Fprintf(l.out, "WRONG %s: %s\n", kind, fmt.Sprintf(format, args...))
	}
}

// count notes n of something that may happen.
func (l *ledger) count(what string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what] += n
}

func (l *ledger) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.out, format+"\n", args...)
}

// faults is how many there are.
func (l *ledger) faults() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.wrong {
		n += k
	}
	return n
}

// stream follows the numbers of one sender. The first one may be any number, unless begun says
// which it has to be.
type stream struct {
	begun bool
	next  int
}

// got checks the next number, and says what is wrong with it.
func (s *stream) got(n int) (kind string) {
	switch {
	case !s.begun, n == s.next:
	case n > s.next:
		kind = "lost"
	case n == s.next-1:
		kind = "doubled"
	default:
		kind = "reordered"
	}
	if !s.begun || n >= s.next {
		s.begun, s.next = true, n+1
	}
	return kind
}
