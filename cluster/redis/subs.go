package redisbus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// subscription is a channel that the node listens to.
type subscription struct {
	name string
	uses []use // more than one only when namespaces or rooms have a # in them
}

// use is what a channel is listened to for. The zero value is siokit's own form.
type use struct {
	node    bool
	channel nodewire.Channel
}

func (b *bus) nativeAll() string                       { return b.native("") }
func (b *bus) nativeNode(node string) string           { return b.native(node) }
func (b *bus) nativeNamespace(namespace string) string { return b.native(namespace) }

func (b *bus) native(what string) string {
	var buf [128]byte
	return string(b.appendNative(buf[:0], what))
}

// appendNative appends the name of a channel of siokit's own: that of a node, of a namespace,
// or, for "", of all.
func (b *bus) appendNative(name []byte, what string) []byte {
	name = append(append(name, b.opts.Prefix...), "-siokit#"...)
	if what == "" {
		return name
	}
	return append(append(name, what...), '#')
}

// name is the name of a channel of Node.
func (b *bus) name(c nodewire.Channel) string {
	var buf [128]byte
	return string(b.appendName(buf[:0], c))
}

func (b *bus) appendName(name []byte, c nodewire.Channel) []byte {
	if b.opts.Wire == Classic {
		return c.AppendClassic(name, b.opts.Prefix)
	}
	return c.AppendAdapter(name, b.opts.Prefix)
}

// subscribeOwn subscribes to what every node listens to; b.mu is held.
func (b *bus) subscribeOwn() {
	for _, name := range []string{b.nativeAll(), b.nativeNode(b.node)} {
		b.subs[name] = &subscription{name: name, uses: []use{{}}}
	}
}

// channels calls f for each channel that an interest is about.
func (b *bus) channels(i *cluster.Interest, f func(name string, u use)) {
	node := func(c nodewire.Channel) { f(b.name(c), use{node: true, channel: c}) }
	c := nodewire.Channel{Namespace: i.Namespace, Room: i.Room}
	if i.Room != "" {
		if b.opts.Wire == Classic || b.opts.Mode.Apart(i.Room) {
			node(c)
		}
		return
	}
	if !b.answers {
		node(c)
		f(b.nativeNamespace(i.Namespace), use{})
		if b.opts.Wire == Classic {
			c.Use = nodewire.Requests
			node(c)
		}
	}
	b.answersIn(i.Namespace, f)
}

// touched says of channels that something has changed about whether they were listened to before.
type touched map[string]bool

// set notes that a channel is listened to for a use, or not any more; b.mu is held.
func (b *bus) set(t touched, name string, u use, on bool) {
	s := b.subs[name]
	if _, again := t[name]; !again {
		t[name] = s != nil
	}
	if on {
		b.enter(s, name, u)
	} else if s != nil {
		b.leave(s, u)
	}
}

// changed returns the channels to subscribe to and to leave; b.mu is held.
func (b *bus) changed(t touched) (enter, leave []string) {
	for name, before := range t {
		switch after := b.subs[name] != nil; {
		case after && (!before || b.refused[name]):
			enter = append(enter, name)
		case before && !after:
			leave = append(leave, name)
			delete(b.refused, name)
		}
	}
	return enter, leave
}

// change notes what has changed, and returns the channels to subscribe to and to leave.
func (b *bus) change(changes []cluster.Interest) (enter, leave []string) {
	touched := make(touched)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range changes {
		c := &changes[i]
		if c.Room == "" && c.On {
			b.watched[c.Namespace] = false
		} else if c.Room == "" {
			delete(b.watched, c.Namespace)
		}
		_, asked := b.asked[c.Namespace]
		b.channels(c, func(name string, u use) {
			if !c.On && asked && u.node && u.channel.Use == nodewire.Responses {
				return // answers may come still
			}
			b.set(touched, name, u, c.On)
		})
	}
	return b.changed(touched)
}

func (b *bus) enter(s *subscription, name string, u use) {
	if s == nil {
		b.subs[name] = &subscription{name: name, uses: []use{u}}
	} else if !slices.Contains(s.uses, u) {
		// message reads the list without the lock.
		b.subs[name] = &subscription{name: name, uses: append(slices.Clone(s.uses), u)}
	}
}

func (b *bus) leave(s *subscription, u use) {
	left := slices.DeleteFunc(slices.Clone(s.uses), func(have use) bool { return have == u })
	if len(left) == 0 {
		delete(b.subs, s.name)
		return
	}
	b.subs[s.name] = &subscription{name: s.name, uses: left}
}

// subscribed is the subscription to a channel, nil for none.
func (b *bus) subscribed(name string) *subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subs[name]
}

func (b *bus) wants(name string) bool { return b.subscribed(name) != nil }

// Watch subscribes, and waits until Redis has said so. Without Redis it notes what to
// subscribe to later.
func (b *bus) Watch(ctx context.Context, changes []cluster.Interest) error {
	enter, leave := b.change(changes)
	refused, err := b.apply(ctx, enter, leave)
	if err != nil || len(refused) == 0 {
		return err
	}
	return b.untaken(changes, refused)
}

// apply subscribes to channels that are among b.subs, and leaves others, and waits until Redis has
// said so.
func (b *bus) apply(ctx context.Context, enter, leave []string) (refusals, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		b.mu.Lock()
		b.missed = true
		b.mu.Unlock()
		return nil, context.Cause(ctx)
	}
	b.mu.Lock()
	closed := b.closed || !b.started
	if b.missed {
		enter, b.missed = slices.Collect(maps.Keys(b.subs)), false
	}
	b.mu.Unlock()
	switch l := b.listening; {
	case closed:
		return nil, cluster.ErrClosed
	case l == nil || l.dead.Load():
		return nil, nil
	default:
		refused, err := l.subscribe(ctx, enter, leave)
		b.mu.Lock()
		defer b.mu.Unlock()
		if err != nil {
			b.missed = true // the next one subscribes to everything
			return nil, err
		}
		b.note(enter, refused)
		return refused, nil
	}
}

// resubscribe subscribes to everything, and makes the link the one that Watch uses.
func (b *bus) resubscribe(ctx context.Context, l *link) error {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	names := slices.Collect(maps.Keys(b.subs))
	b.missed = false
	b.mu.Unlock()
	b.listening = l
	refused, err := l.subscribe(ctx, names, nil)
	if err != nil {
		return err
	}
	for name, err := range refused {
		if !forbidden(err) || name == b.nativeAll() || name == b.nativeNode(b.node) {
			return fmt.Errorf("redisbus: %w", err) // it may be over soon, or nothing works without the channel
		}
		l.denied = err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(names, refused)
	return nil
}

// maxNames is how many channels one command names: an even number, see paired.
const maxNames = 256

// paired sorts channels so that one command names both of those by which Others counts the
// nodes of a namespace: a node that was in one of them only would look like one of Node's.
func (b *bus) paired(names []string) []string {
	if len(names) < 2 {
		return names
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	sorted := make([]string, 0, len(names))
	for _, name := range names {
		namespace, ok := strings.CutPrefix(name, b.nativeAll())
		if !ok || !strings.HasPrefix(namespace, "/") {
			continue
		}
		if all := b.name(b.requests(strings.TrimSuffix(namespace, "#"))); there[all] && there[name] {
			sorted = append(sorted, all, name)
			there[all], there[name] = false, false
		}
	}
	for _, name := range names {
		if there[name] {
			sorted = append(sorted, name)
		}
	}
	return sorted
}
