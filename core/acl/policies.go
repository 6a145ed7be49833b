package acl

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// RoomPrefix returns a policy for rooms: a client may enter only rooms whose names begin
// with one of the prefixes. The policy abstains on everything else.
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

// Authenticated returns a policy that allows everything to subjects for which check
// returns true, and nothing to others. check is called for every action, so it must be
// quick. A nil check panics.
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

// RateLimit returns a policy that allows each client n actions at once, and then as
// many as n in each period per. It refuses more with ErrLimited; refused actions do not
// count. It counts messages and events, or only the kinds that are given, and abstains
// on others. RateLimit(5, time.Minute, Connect) bounds how often a client may try to
// join, and so how many tokens it may guess. RateLimit(10, time.Second, Join) is for
// rooms.
//
// The count is kept with the connection when the subject has a method Connection()
// Subject, as *sio.Socket has. So leaving and joining again does not reset it. Namespaces that share
// one RateLimit share its count for each client; for separate counts make several. A new connection starts at zero.
//
// It panics when n or per is not positive, or a kind does not exist.
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
// connected is a Subject that shares a connection with other subjects: a client has a
// socket in each namespace that it joins, at the same time or one after the other.
type connected interface {
	// Connection is the same for all subjects of one connection.
	Connection() Subject
}

func (l *limiter) bucket(s Subject) *bucket {
	if b, ok := s.Get(l).(*bucket); ok {
		return b
	}
	mk := func() any { return &bucket{tokens: l.burst, at: time.Now()} }
	if c, ok := s.(connected); ok {
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
