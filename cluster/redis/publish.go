package redisbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// PublishError is the error of a Publish of which a part was not published, or may not have been.
type PublishError struct {
	Failed []int // the indexes of these messages
	Of     int   // how many messages there were
	Err    error // why the first of them failed
}

// Error says how many failed, and why the first of them did.
func (e *PublishError) Error() string {
	return fmt.Sprintf("redisbus: %d of %d messages not published: %v", len(e.Failed), e.Of, e.Err)
}

// Unwrap returns Err.
func (e *PublishError) Unwrap() error { return e.Err }

var _ cluster.Partial = (*PublishError)(nil)

// Unpublished returns Failed, in ascending order.
func (e *PublishError) Unpublished() []int { return e.Failed }

// batch is the memory of Publish.
type batch struct {
	text  []byte // the messages; what is sent points into it
	cmds  []rueidis.Completed
	index []int // of the message of each command
}

// maxKept is the largest text that is kept for the next batch.
const maxKept = 1 << 20

// Publish sends all messages at once and waits for all answers.
func (b *bus) Publish(ctx context.Context, ms []*cluster.Message) error {
	l, err := b.live()
	if err != nil {
		return err
	}
	failed := &PublishError{Of: len(ms)}
	b.out.cmds, b.out.index = b.out.cmds[:0], b.out.index[:0]
	for i, m := range ms {
		cmd, err := b.encode(l.send, m)
		if err != nil {
			failed.add(i, err)
			continue
		}
		b.out.cmds, b.out.index = append(b.out.cmds, cmd), append(b.out.index, i)
	}
	if len(b.out.cmds) > 0 {
		b.do(ctx, l, failed)
	}
	if len(failed.Failed) > 0 {
		slices.Sort(failed.Failed)
		return failed
	}
	return nil
}

func (e *PublishError) add(i int, err error) {
	if e.Failed = append(e.Failed, i); e.Err == nil {
		e.Err = err
	}
}

func (b *bus) do(ctx context.Context, l *link, failed *PublishError) {
	broken := false
	for i, r := range l.send.DoMulti(ctx, b.out.cmds...) {
		err := r.Error()
		if err == nil {
			continue
		}
		failed.add(b.out.index[i], err)
		broken = broken || outdated(r)
	}
	if broken {
		l.fail(failed)
		b.out = batch{} // rueidis may still be writing what is in it
		return
	}
	clear(b.out.cmds)
	if b.out.text = b.out.text[:0]; cap(b.out.text) > maxKept {
		b.out.text = nil
	}
}

// outdated reports whether a result says that the connection is of no use any more: it has
// failed, or leads to a server that is not the right one now.
func outdated(r rueidis.RedisResult) bool {
	err := r.Error()
	if err == nil || r.NonRedisError() != nil {
		return err != nil
	}
	code, _, _ := strings.Cut(err.Error(), " ")
	return code == "READONLY" || code == "MOVED" || code == "ASK"
}

// encode makes the command that publishes a message.
func (b *bus) encode(s rueidis.CoreClient, m *cluster.Message) (rueidis.Completed, error) {
	if b.opts.Wire == Streams && inStream(m) {
		return b.encodeEntry(s, m)
	}
	channel := ""
	switch {
	case m.Namespace == "":
		channel = b.nativeAll()
	case m.To != "" && isSiokit(m.To):
		channel = b.nativeNode(m.To)
	default:
		cmd, err := b.encodeNode(s, m)
		if !errors.Is(err, nodewire.ErrNotOnWire) || m.To != "" {
			return cmd, err
		}
		channel = b.nativeNamespace(m.Namespace)
	}
	start := len(b.out.text)
	var err error
	if b.out.text, err = cluster.Append(b.out.text, m); err != nil {
		return rueidis.Completed{}, err
	}
	return b.publish(s, channel, rueidis.BinaryString(b.out.text[start:])), nil
}

// encodeNode makes the command by which Node would publish it.
func (b *bus) encodeNode(s rueidis.CoreClient, m *cluster.Message) (cmd rueidis.Completed, err error) {
	start := len(b.out.text)
	var c nodewire.Channel
	switch {
	case b.opts.Wire == Classic:
		c = nodewire.ClassicChannel(m)
		if c.Use == nodewire.Responses && b.opts.CommonResponses {
			c.Node = ""
		}
		b.out.text, err = nodewire.AppendClassic(b.out.text, m)
	case b.opts.Wire == Streams:
		c = nodewire.AdapterChannel(m, nodewire.Static)
		b.out.text, err = nodewire.AppendStreams(b.out.text, m)
	default:
		c = nodewire.AdapterChannel(m, b.opts.Mode)
		b.out.text, err = nodewire.AppendSharded(b.out.text, m)
	}
	if err != nil {
		return cmd, err
	}
	return b.publish(s, b.name(c), rueidis.BinaryString(b.out.text[start:])), nil
}

func (b *bus) publish(s rueidis.CoreClient, channel, text string) rueidis.Completed {
	if b.opts.Wire == Sharded {
		return s.B().Spublish().Channel(channel).Message(text).Build()
	}
	return s.B().Publish().Channel(channel).Message(text).Build()
}

// isSiokit reports whether a node is one of siokit, by its name: those of Node's are longer.
func isSiokit(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(name) == 5
}

// Nodes asks Redis how many listen to the channel that requests of the namespace are
// published in.
func (b *bus) Nodes(ctx context.Context, namespace string) (int, error) {
	l, err := b.live()
	if err != nil {
		return 0, err
	}
	c := nodewire.Channel{Namespace: namespace}
	if b.opts.Wire == Classic {
		c.Use = nodewire.Requests
	}
	name := b.name(c)
	clients := []rueidis.CoreClient{l.send}
	if l.client.Mode() == rueidis.ClientModeCluster { // each server knows its own subscribers
		clients = clients[:0]
		for _, n := range l.client.Nodes() {
			clients = append(clients, n)
		}
	}
	total := 0
	for _, s := range clients {
		n, err := b.listeners(ctx, s, name)
		if err != nil {
			return 0, fmt.Errorf("redisbus: %w", err)
		}
		total += n
	}
	b.mu.Lock()
	if _, ok := b.watched[namespace]; !ok {
		total++ // this node
	}
	b.mu.Unlock()
	return total, nil
}

func (b *bus) listeners(ctx context.Context, s rueidis.CoreClient, name string) (int, error) {
	var cmd rueidis.Completed
	if b.opts.Wire == Sharded {
		cmd = s.B().PubsubShardnumsub().Channel(name).Build()
	} else {
		cmd = s.B().PubsubNumsub().Channel(name).Build()
	}
	counts, err := s.Do(ctx, cmd).AsIntMap()
	return int(counts[name]), err
}
