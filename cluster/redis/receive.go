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
	if text == probeText && channel == b.nativeNode(b.node) || b.echo(text) {
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

// echo reports whether a message is a broadcast of this node itself, which Redis gives back
// to it. That of other messages is for the Receiver to tell.
func (b *bus) echo(text string) bool {
	if b.opts.Wire != Classic || len(text) < 2 || text[0] != 0x93 { // an array of three
		return false
	}
	return len(b.node) < 32 && text[1] == 0xa0|byte(len(b.node)) && strings.HasPrefix(text[2:], b.node)
}
