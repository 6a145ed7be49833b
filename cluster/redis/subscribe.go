package redisbus

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
)

// refusals are the channels that Redis has not taken, and why.
type refusals map[string]error

// forbidden reports whether Redis has said that the user may not do something: that lasts, and is
// about the one channel.
func forbidden(err error) bool {
	said, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(said.Error(), "NOPERM")
}

// note notes which of some channels Redis has taken; b.mu is held. Those that it has not are among
// b.subs all the same, and are tried again when somebody asks for them, or with the next link.
func (b *bus) note(names []string, refused refusals) {
	for _, name := range names {
		if delete(b.refused, name); refused[name] != nil && b.subs[name] != nil {
			b.refused[name] = true
		}
	}
}

// untaken is the error of a Watch of which Redis has not taken a part, nil when none of the changes
// is in it.
func (b *bus) untaken(changes []cluster.Interest, refused refusals) error {
	e := &watchError{of: len(changes)}
	for i := range changes {
		failed := false
		b.channels(&changes[i], func(name string, _ use) {
			err := refused[name]
			if err == nil {
				return
			}
			if failed, e.why = true, because(e.why, err); e.channel == "" {
				e.channel = name
			}
		})
		if failed {
			e.failed = append(e.failed, i)
		}
	}
	if len(e.failed) == 0 {
		return nil
	}
	return e
}

// watchError is the error of a Watch of which Redis has taken a part.
type watchError struct {
	failed  []int // the indexes of the other changes
	of      int
	channel string  // the first that was refused
	why     []error // first that of the channel
}

var _ cluster.Partial = (*watchError)(nil)

// Error says how many changes were refused, and why the first of them was.
func (e *watchError) Error() string {
	return fmt.Sprintf("redisbus: %d of %d changes of subscriptions not taken: the channel %.200q: %v", len(e.failed), e.of, e.channel, e.why[0])
}

// Unwrap returns why changes were refused.
func (e *watchError) Unwrap() []error { return e.why }

// Unpublished returns the indexes of the changes.
func (e *watchError) Unpublished() []int { return e.failed }

// command is one to subscribe or unsubscribe.
type command struct {
	names []string
	leave bool
}

// subscribe sends all commands at once, and waits for all answers. Redis takes a command as a whole
// or not at all: of one that it refuses each channel is tried by itself, with its pair.
func (l *link) subscribe(ctx context.Context, enter, leave []string) (refused refusals, err error) {
	size := maxNames
	if l.slots != nil {
		size = 1 // the channels of a command have to be in one slot
	}
	var list, apart []command
	for part := range slices.Chunk(l.bus.paired(enter), size) {
		list = append(list, command{part, false})
	}
	for part := range slices.Chunk(l.bus.paired(leave), size) {
		list = append(list, command{part, true})
	}
	refused = make(refusals)
	err = l.order(ctx, list, func(c command, err error) {
		units := l.bus.units(c.names)
		for _, names := range units {
			if len(units) == 1 {
				refused.add(names, err)
			} else {
				apart = append(apart, command{names, c.leave})
			}
		}
	})
	if again := l.order(ctx, apart, func(c command, err error) { refused.add(c.names, err) }); err == nil {
		err = again
	}
	return refused, err
}

func (r refusals) add(names []string, err error) {
	for _, name := range names {
		r[name] = err
	}
}

// units are what is subscribed to together, or not at all: one channel, or two, see paired.
func (b *bus) units(names []string) (list [][]string) {
	for i := 0; i < len(names); i++ {
		if i+1 < len(names) {
			namespace, ok := strings.CutPrefix(names[i+1], b.nativeAll())
			if ok && strings.HasPrefix(namespace, "/") && names[i] == b.name(b.requests(strings.TrimSuffix(namespace, "#"))) {
				list = append(list, names[i:i+2])
				i++
				continue
			}
		}
		list = append(list, names[i:i+1])
	}
	return list
}

// order sends commands, and calls refused for those that Redis does not take. The error is of
// another kind: the link is of no use any more.
func (l *link) order(ctx context.Context, list []command, refused func(c command, err error)) (first error) {
	type batch struct {
		list []command
		cmds []rueidis.Completed
	}
	batches := make(map[rueidis.DedicatedClient]*batch)
	for _, cmd := range list {
		c := l.on(cmd.names[0])
		if c == nil {
			if first == nil {
				first = fmt.Errorf("redisbus: no server has the slot of the channel %.200q", cmd.names[0])
				l.fail(first)
			}
			continue
		}
		if batches[c] == nil {
			batches[c] = new(batch)
		}
		batches[c].list = append(batches[c].list, cmd)
		batches[c].cmds = append(batches[c].cmds, l.bus.built(c, cmd))
	}
	for c, b := range batches {
		for i, r := range c.DoMulti(ctx, b.cmds...) {
			err := r.Error()
			switch {
			case err == nil:
			case outdated(r):
				if first == nil {
					first = fmt.Errorf("redisbus: %w", err)
				}
				l.fail(first)
			default:
				refused(b.list[i], err)
			}
		}
	}
	return first
}

// built is a command as Redis wants it.
func (b *bus) built(c rueidis.DedicatedClient, cmd command) rueidis.Completed {
	switch sharded := b.opts.Wire == Sharded; {
	case sharded && cmd.leave:
		return c.B().Sunsubscribe().Channel(cmd.names...).Build()
	case sharded:
		return c.B().Ssubscribe().Channel(cmd.names...).Build()
	case cmd.leave:
		return c.B().Unsubscribe().Channel(cmd.names...).Build()
	default:
		return c.B().Subscribe().Channel(cmd.names...).Build()
	}
}
