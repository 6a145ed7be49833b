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

// RateLimit lets each subject send n messages and events in any period per, with
// as many at once; it refuses those beyond with ErrLimited. Refused ones do not
// count. It has no opinion about connecting and about rooms.
func RateLimit(n int, per time.Duration) Policy {
	if n < 1 || per <= 0 {
		panic(fmt.Sprintf("acl: RateLimit(%d, %v)", n, per))
	}
	return &limiter{burst: float64(n), rate: float64(n) / per.Seconds()}
}

type limiter struct {
	burst float64
	rate  float64 // tokens a second
}

type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// Check implements Policy.
func (l *limiter) Check(_ context.Context, s Subject, a Action) error {
	if a.Kind == Connect || a.Kind == Join {
		return ErrAbstain
	}
	b := s.GetOrSet(l, func() any { return &bucket{tokens: l.burst, at: time.Now()} }).(*bucket)
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
