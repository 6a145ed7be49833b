package acl

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// RoomPrefix lets clients enter only those rooms whose names begin with one of
// the prefixes. It has no opinion about anything else.
func RoomPrefix(prefixes ...string) Policy {
	return PolicyFunc(func(_ context.Context, _ Subject, a Action) error {
		if a.Kind != Join {
			return ErrAbstain
		}
		for _, p := range prefixes {
			if strings.HasPrefix(a.Name, p) {
				return nil
			}
		}
		return ErrDenied
	})
}

// Authenticated lets those subjects do anything for which check is true, for
// instance because a user stands in their web session. It is asked for every
// action, so it must be quick.
func Authenticated(check func(ctx context.Context, s Subject) bool) Policy {
	if check == nil {
		panic("acl: Authenticated with a nil function")
	}
	return PolicyFunc(func(ctx context.Context, s Subject, _ Action) error {
		if check(ctx, s) {
			return nil
		}
		return ErrDenied
	})
}

// RateLimit lets each client do n things in any period per, with as many at once;
// it refuses those beyond with ErrLimited. Refused ones do not count. What counts
// are messages and events, unless kinds says otherwise; it has no opinion about other
// kinds. RateLimit(5, time.Minute, Connect) bounds how often a client may try to join,
// and so how many tokens it may try; RateLimit(10, time.Second, Join) is for rooms.
//
// The state is kept with the connection (Connected): leaving and joining does not
// refill it, and the namespaces that one RateLimit guards share it. Several namespaces
// with a RateLimit of their own each have a state of their own for each client. A new
// connection starts full.
func RateLimit(n int, per time.Duration, kinds ...Kind) Policy {
	if n < 1 || per <= 0 {
		panic(fmt.Sprintf("acl: RateLimit(%d, %v)", n, per))
	}
	if len(kinds) == 0 {
		kinds = []Kind{Message, JSON, Event}
	}
	l := &limiter{burst: float64(n), rate: float64(n) / per.Seconds()}
	for _, k := range kinds {
		if k > Join {
			panic(fmt.Sprintf("acl: RateLimit of kind %d", k))
		}
		l.kinds[k] = true
	}
	return l
}

type limiter struct {
	burst float64
	rate  float64 // tokens a second
	kinds [Join + 1]bool
}

var _ Policy = (*limiter)(nil)

// bucket is the state of one connection, or of a subject that has none.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// bucket returns the connection's, which the subject keeps as well so that an event
// costs one look.
func (l *limiter) bucket(s Subject) *bucket {
	if b, ok := s.Get(l).(*bucket); ok {
		return b
	}
	mk := func() any { return &bucket{tokens: l.burst, at: time.Now()} }
	if c, ok := s.(Connected); ok {
		shared := c.Connection().GetOrSet(l, mk)
		mk = func() any { return shared }
	}
	return s.GetOrSet(l, mk).(*bucket)
}

func (l *limiter) Check(_ context.Context, s Subject, a Action) error {
	if a.Kind > Join || !l.kinds[a.Kind] {
		return ErrAbstain
	}
	b := l.bucket(s)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(l.burst, b.tokens+now.Sub(b.at).Seconds()*l.rate)
	b.at = now
	if b.tokens < 1 {
		return ErrLimited
	}
	b.tokens--
	return nil
}
