package redisbus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// Node answers in a channel of the namespace. A node that asks in a namespace that is not here,
// or goes away meanwhile, listens to that channel for as long as answers may come; it does not
// listen to what is asked in the namespace, which would make it one of those who answer.

// answerTime is how long answers to a request that says no time itself are listened for, at
// least: a request of a Server takes five seconds.
const answerTime = 30 * time.Second

// answersIn calls f for each channel in which Node answers this node.
func (b *bus) answersIn(namespace string, f func(name string, u use)) {
	c := nodewire.Channel{Use: nodewire.Responses, Namespace: namespace}
	if b.opts.Wire == Classic {
		f(b.name(c), use{node: true, channel: c})
	}
	c.Node = b.node
	f(b.name(c), use{node: true, channel: c})
}

// answered reports whether Node may answer a message. It does not count.
func answered(m *cluster.Message) bool {
	return asks(m) && m.Kind != cluster.Count && m.To == "" && m.ID != ""
}

// listen subscribes to the answers to those of the messages that ask, and unsubscribes from
// those that nobody waits for any more.
func (b *bus) listen(ctx context.Context, ms []*cluster.Message, now time.Time) error {
	if b.answers || !slices.ContainsFunc(ms, answered) && now.Before(b.sweep) {
		return nil // an emitter watches where it asks
	}
	touched := make(touched)
	b.mu.Lock()
	for _, m := range ms {
		if !answered(m) {
			continue
		}
		until, known := b.asked[m.Namespace]
		if at := now.Add(max(answerTime, m.Timeout)); at.After(until) {
			b.asked[m.Namespace] = at
		}
		if _, here := b.watched[m.Namespace]; !here && (!known || len(b.refused) > 0) {
			b.answersIn(m.Namespace, func(name string, u use) { b.set(touched, name, u, true) })
		}
	}
	if !now.Before(b.sweep) {
		b.sweep = now.Add(answerTime)
		for namespace, until := range b.asked {
			if now.Before(until) {
				continue
			}
			delete(b.asked, namespace)
			if _, here := b.watched[namespace]; !here {
				b.answersIn(namespace, func(name string, u use) { b.set(touched, name, u, false) })
			}
		}
	}
	enter, leave := b.changed(touched)
	b.mu.Unlock()
	if len(enter)+len(leave) == 0 {
		return nil
	}
	refused, err := b.apply(ctx, enter, leave)
	for _, name := range enter {
		if err == nil && refused[name] != nil {
			err = fmt.Errorf("redisbus: the channel %.200q: %w", name, refused[name])
		}
	}
	return err
}
