package redisbus

import (
	"fmt"
	"strings"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// message takes what has come in a channel. rueidis calls it from the goroutine that reads the
// receiving connection: while the Receiver is busy nothing is read, and what comes
// waits in Redis, which ends the connection when too much waits.
func (b *bus) message(l *link, channel, text string) {
	l.heard.Add(1)
	s := b.subscribed(channel)
	if s == nil {
		return // left a moment ago
	}
	if text == probeText && channel == b.nativeNode(b.node) || b.echo(s, text) {
		return
	}
	b.handing.Lock()
	defer b.handing.Unlock()
	b.text = append(b.text[:0], text...)
	var err error
	forNode := false
	for _, u := range s.uses {
		if err = b.parse(u); err == nil {
			forNode = u.node
			break
		}
	}
	switch {
	case err != nil:
		b.r.Lost(1, fmt.Errorf("redisbus: channel %.200q: %w", channel, err))
	case forNode && asks(&b.in) && isSiokit(b.in.Node):
		// It has come in siokit's own form, too.
	default:
		b.r.Receive(&b.in)
	}
	if err == nil && aboutNode(&b.in, b.node) {
		l.echoed.Add(1)
	}
	if cap(b.text) > maxKept {
		b.text, b.in = nil, cluster.Message{}
	}
}

// parse reads b.text into b.in.
func (b *bus) parse(u use) error {
	switch {
	case !u.node:
		return cluster.Parse(b.text, &b.in)
	case b.opts.Wire != Classic:
		return nodewire.ParseAdapter(b.text, u.channel, &b.in)
	}
	if err := nodewire.ParseClassic(b.text, u.channel, &b.in); err != nil {
		return err
	}
	if u.channel.Use == nodewire.Responses {
		b.in.To = b.node // if it is for another node, no request here has its ID
	}
	return nil
}

// echo reports whether a message is one of this node itself, which Redis gives back to it: a
// broadcast on the wire Classic, whose name is in front, and on the wire Sharded any message, with
// name and namespace at the end. That of others is for the Receiver to tell. It spares reading
// them.
func (b *bus) echo(s *subscription, text string) bool {
	if len(b.node) >= 32 || len(text) < 2 || len(s.uses) != 1 || !s.uses[0].node {
		return false
	}
	namespace := s.uses[0].channel.Namespace
	switch {
	case b.opts.Wire == Classic:
		// An array of three, and a text.
		return text[0] == 0x93 && text[1] == 0xa0|byte(len(b.node)) && strings.HasPrefix(text[2:], b.node)
	case b.opts.Wire != Sharded || len(namespace) >= 32:
		return false
	case text[0] == '{':
		rest, ok := strings.CutSuffix(text, `"}`)
		return ok && ends(rest, `,"uid":"`, b.node, `","nsp":"`, namespace)
	}
	head := [...]byte{0xa0 | byte(len(b.node)), 0xa0 | byte(len(namespace))}
	return ends(text, "\xa3uid", string(head[:1]), b.node, "\xa3nsp", string(head[1:]), namespace)
}

// ends reports whether a text ends with some others, one behind the other.
func ends(text string, parts ...string) bool {
	for i := len(parts) - 1; i >= 0; i-- {
		rest, ok := strings.CutSuffix(text, parts[i])
		if !ok {
			return false
		}
		text = rest
	}
	return true
}
