// Package tracker counts what a shutdown waits for.
package tracker

import "sync"

// Tracker is a counter that can be waited for. Unlike sync.WaitGroup it may rise from
// zero while somebody waits. The zero value is ready for use.
type Tracker struct {
	mu   sync.Mutex
	n    int
	wait []chan struct{}
}

// Add counts one more.
func (t *Tracker) Add() {
	t.mu.Lock()
	t.n++
	t.mu.Unlock()
}

// Done counts one less.
func (t *Tracker) Done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 {
		for _, ch := range t.wait {
			close(ch)
		}
		t.wait = nil
	}
}

// Idle returns a channel that is closed when nothing is left.
func (t *Tracker) Idle() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := make(chan struct{})
	if t.n == 0 {
		close(ch)
	} else {
		t.wait = append(t.wait, ch)
	}
	return ch
}
