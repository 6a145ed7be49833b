// Package ratelog decides which notices about clients are logged: whoever can
// make a server write a line must not be able to fill its disk.
package ratelog

import (
	"strings"
	"sync"
	"time"
)

// maxDetail is how many bytes of a detail are kept. Two details that differ
// behind it count as one.
const maxDetail = 128

// Limiter says whether a notice may be logged now. A notice has a kind, which
// the program chooses, and a detail, which a client may have chosen. Its memory
// is bounded, and it has no goroutine. All methods are safe for concurrent use.
type Limiter struct {
	every   time.Duration
	details int

	mu    sync.Mutex
	kinds map[string]*kind
}

// kind is what is known about the notices of one kind.
type kind struct {
	recent map[string]*entry
	// sweep is the time of the next look for entries that are too old to matter.
	sweep time.Time
	rest  entry // of all details for which there is no room
}

// entry is one detail: when it was last logged, and how often it was not since.
type entry struct {
	at         time.Time
	suppressed int
}

// New returns a Limiter that admits one notice of a kind with the same detail in
// every period, and keeps at most this many details of a kind. The notices with
// further details share one admission in a period.
func New(every time.Duration, details int) *Limiter {
	return &Limiter{every: every, details: details, kinds: make(map[string]*kind)}
}

// Allow reports whether the notice may be logged now, and how many were
// suppressed since the last one with the same kind and detail. Kinds are kept for
// the Limiter's life: only constants of the program are kinds.
func (l *Limiter) Allow(kindName, detail string) (suppressed int, ok bool) {
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kindName]
	if k == nil {
		k = &kind{recent: make(map[string]*entry)}
		l.kinds[kindName] = k
	}
	e := k.recent[detail]
	if e == nil && len(k.recent) >= l.details && !now.Before(k.sweep) {
		k.drop(now, l.every)
	}
	switch {
	case e != nil:
	case len(k.recent) < l.details:
		e = new(entry)
		k.recent[strings.Clone(detail)] = e // detail may be a part of a large header
	default:
		e = &k.rest
	}
	if !e.at.IsZero() && now.Sub(e.at) < l.every {
		e.suppressed++
		return 0, false
	}
	suppressed = e.suppressed
	*e = entry{at: now}
	return suppressed, true
}

// drop forgets the details whose period has passed, and notes when the next one
// passes: until then another look would find nothing.
func (k *kind) drop(now time.Time, every time.Duration) {
	k.sweep = now.Add(every)
	for detail, e := range k.recent {
		end := e.at.Add(every)
		if !end.After(now) {
			delete(k.recent, detail)
		} else if end.Before(k.sweep) {
			k.sweep = end
		}
	}
}
