package sessionbridge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// maxStuck is how many loads that nobody waits for any more may still be under way.
// With so many the store has stopped answering, and is not asked again until it does.
const maxStuck = 256

// errStuck says that maxStuck is reached.
var errStuck = errors.New("sessionbridge: the session store does not answer")

// errUnfinished: the store has ended the goroutine (runtime.Goexit). That is no answer,
// least of all one that says that the session exists.
var errUnfinished = errors.New("sessionbridge: the session store has not returned")

// loadUntil is Backend.Load, given up when ctx ends: many stores do not look at their
// context. Without a deadline the caller waits for as long as the store takes. A load
// that was given up goes on in its goroutine. Panics of the store are errors.
func (b *Bridge) loadUntil(ctx context.Context, id string) (Values, error) {
	if _, ends := ctx.Deadline(); !ends {
		return b.be.Load(ctx, id)
	}
	if b.stuck.Load() >= maxStuck {
		return nil, errStuck
	}
	type answer struct {
		v   Values
		err error
	}
	answered, given := make(chan answer), make(chan struct{})
	go func() {
		a := answer{err: errUnfinished}
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("sessionbridge: panic: %v\n\n%s", p, debug.Stack())}
			}
			select {
			case answered <- a:
			case <-given: // up
				b.stuck.Add(-1)
			}
		}()
		a.v, a.err = b.be.Load(ctx, id)
	}()
	select {
	case a := <-answered:
		return a.v, a.err
	case <-ctx.Done():
	}
	b.stuck.Add(1)
	close(given)
	return nil, ctx.Err()
}
