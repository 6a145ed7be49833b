package redisbus

import (
	"context"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
)

// aboutNode reports whether a message is what a node says about itself. Redis gives it back to the
// node, by the connection and in the channel by which it hears the others.
func aboutNode(m *cluster.Message, node string) bool {
	return m.Namespace == "" && m.Node == node && (m.Kind == cluster.Hello || m.Kind == cluster.Heartbeat)
}

// Behind is a method of cluster.Lagger. What waits for the Receiver waits in Redis, and nobody can
// see it there: the Receiver is behind while what this node has said about itself has not come
// back, and nothing of it has come since Behind was called before. An echo that was lost will never
// come: a number that is too small for ever says nothing, as long as it rises.
func (b *bus) Behind() bool {
	l := b.link.Load()
	if l == nil {
		return false
	}
	echoed := l.echoed.Load()
	behind := echoed < l.before && echoed == l.came
	l.before, l.came = l.said.Load(), echoed
	return behind
}

// countTime is how long Others waits for further servers of a Redis Cluster when one has answered.
const countTime = time.Second

// total asks some servers together and adds up what they say. A server that cannot be reached, such
// as a replica that has died, is left out when another one answers.
func total(ctx context.Context, servers int, ask func(ctx context.Context, i int) (int, error)) (sum int, err error) {
	if servers == 1 {
		return ask(ctx, 0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		n   int
		err error
	}
	answers := make(chan answer, servers)
	for i := range servers {
		go func() {
			n, err := ask(ctx, i)
			answers <- answer{n, err}
		}()
	}
	var late <-chan time.Time // set when one has answered
	for range servers {
		select {
		case a := <-answers:
			if _, said := rueidis.IsRedisErr(a.err); said {
				return 0, a.err
			}
			switch {
			case a.err != nil && err == nil:
				err = a.err
			case a.err == nil && late == nil:
				timer := time.NewTimer(countTime)
				defer timer.Stop()
				late = timer.C
			}
			sum += a.n
		case <-late:
			return sum, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if late != nil {
		return sum, nil
	}
	return 0, err
}
