package redisbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// PublishError is the error of a Publish of which a part was not published, or may not have been.
type PublishError struct {
	Failed []int // the indexes of these messages
	Of     int   // how many messages there were
	Err    error // why the first of them failed

	more []error // why others did
}

// Error says how many failed, and why the first of them did.
func (e *PublishError) Error() string {
	return fmt.Sprintf("redisbus: %d of %d messages not published: %v", len(e.Failed), e.Of, e.Err)
}

// Unwrap returns Err, and why others of the messages failed.
func (e *PublishError) Unwrap() []error { return append([]error{e.Err}, e.more...) }

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
	deaf := b.listen(ctx, ms, time.Now())
	for i, m := range ms {
		err := b.encode(l.send, m)
		if err == nil && deaf != nil && answered(m) {
			err = deaf // nothing would be heard of who answers
		}
		if err != nil {
			failed.add(i, err)
			continue
		}
		for len(b.out.index) < len(b.out.cmds) {
			b.out.index = append(b.out.index, i)
		}
	}
	broken := len(b.out.cmds) > 0 && b.do(ctx, l, failed)
	for i, m := range ms {
		if aboutNode(m, b.node) && !slices.Contains(failed.Failed, i) {
			l.said.Add(1)
		}
	}
	if len(failed.Failed) == 0 {
		return nil
	}
	slices.Sort(failed.Failed)
	failed.Failed = slices.Compact(failed.Failed) // a request is published twice
	if broken {
		l.fail(failed) // last: from here on others read it
	}
	return failed
}

func (e *PublishError) add(i int, err error) {
	if e.Failed = append(e.Failed, i); e.Err == nil {
		e.Err = err
	} else {
		e.more = because(e.more, err)
	}
}

// because adds an error to a list, but not twice in a row.
func because(list []error, err error) []error {
	if last := len(list) - 1; last >= 0 && list[last].Error() == err.Error() {
		return list
	}
	return append(list, err)
}

// do sends the commands. It reports whether the connection is of no use any more.
func (b *bus) do(ctx context.Context, l *link, failed *PublishError) (broken bool) {
	for i, r := range l.send.DoMulti(ctx, b.out.cmds...) {
		err := r.Error()
		if err == nil {
			continue
		}
		if errors.Is(err, rueidis.ErrClosing) {
			err = cluster.ErrDown // run has noticed first, and has closed the link
		} else if r.NonRedisError() != nil {
			err = fmt.Errorf("%w: %w", cluster.ErrDown, err)
		}
		failed.add(b.out.index[i], err)
		broken = broken || outdated(r)
	}
	if broken {
		b.out = batch{} // rueidis may still be writing what is in it
		return true
	}
	clear(b.out.cmds)
	if b.out.text = b.out.text[:0]; cap(b.out.text) > maxKept {
		b.out.text = nil
	}
	return false
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

// encode appends the commands that publish a message, or none.
func (b *bus) encode(s rueidis.CoreClient, m *cluster.Message) error {
	if b.opts.Wire == Streams && inStream(m) {
		cmd, err := b.encodeEntry(s, m)
		if err == nil {
			b.out.cmds = append(b.out.cmds, cmd)
		}
		return err
	}
	switch {
	case m.Namespace == "":
		return b.encodeNative(s, m, "")
	case m.To != "" && isSiokit(m.To):
		return b.encodeNative(s, m, m.To)
	case m.To == "" && asks(m) && isSiokit(m.Node):
		return b.encodeRequest(s, m)
	}
	cmd, err := b.encodeNode(s, m)
	if errors.Is(err, nodewire.ErrNotOnWire) && m.To == "" {
		return b.encodeNative(s, m, m.Namespace)
	}
	if err == nil {
		b.out.cmds = append(b.out.cmds, cmd)
	}
	return err
}

// asks reports whether a message is a request: it is for all nodes, also for those that do not
// watch the namespace.
func asks(m *cluster.Message) bool {
	switch m.Kind {
	case cluster.Fetch, cluster.Count, cluster.ListRooms, cluster.ServerEvent:
		return true
	}
	return m.Kind == cluster.Emit && m.ID != ""
}

// encodeRequest makes a request for the nodes of siokit, and one for those of Node when there
// may be some. Nodes of siokit take the first alone.
func (b *bus) encodeRequest(s rueidis.CoreClient, m *cluster.Message) error {
	var cmd rueidis.Completed
	forNode := m.ID == "" || !b.alone(m.Namespace)
	if forNode {
		var err error
		if cmd, err = b.encodeNode(s, m); err != nil {
			if !errors.Is(err, nodewire.ErrNotOnWire) {
				return err
			}
			forNode = false
		}
	}
	if err := b.encodeNative(s, m, ""); err != nil {
		return err
	}
	if forNode {
		b.out.cmds = append(b.out.cmds, cmd)
	}
	return nil
}

// alone reports whether no nodes of other kinds were there when they were counted last, which
// they are for each request that wants answers.
func (b *bus) alone(namespace string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watched[namespace]
}

// encodeNative makes the command that publishes a message in siokit's own form: to a node, to
// those of a namespace, or, for "", to all.
func (b *bus) encodeNative(s rueidis.CoreClient, m *cluster.Message, to string) error {
	text, err := cluster.Append(b.out.text, m)
	cmd, err := b.command(s, text, err, func(name []byte) []byte { return b.appendNative(name, to) })
	if err == nil {
		b.out.cmds = append(b.out.cmds, cmd)
	}
	return err
}

// encodeNode makes the command by which Node would publish it.
func (b *bus) encodeNode(s rueidis.CoreClient, m *cluster.Message) (cmd rueidis.Completed, err error) {
	var c nodewire.Channel
	var text []byte
	switch {
	case b.opts.Wire == Classic:
		c = nodewire.ClassicChannel(m)
		if c.Use == nodewire.Responses && b.opts.CommonResponses {
			c.Node = ""
		}
		text, err = nodewire.AppendClassic(b.out.text, m)
	case b.opts.Wire == Streams:
		c = nodewire.AdapterChannel(m, nodewire.Static)
		text, err = nodewire.AppendStreams(b.out.text, m)
	default:
		c = nodewire.AdapterChannel(m, b.opts.Mode)
		text, err = nodewire.AppendSharded(b.out.text, m)
	}
	return b.command(s, text, err, func(name []byte) []byte { return b.appendName(name, c) })
}

// command makes the command that publishes what was appended to the batch's text, in the channel
// whose name is appended behind it.
func (b *bus) command(s rueidis.CoreClient, text []byte, err error, appendName func([]byte) []byte) (rueidis.Completed, error) {
	if err != nil {
		return rueidis.Completed{}, err
	}
	start, end := len(b.out.text), len(text)
	b.out.text = appendName(text)
	return b.publish(s, rueidis.BinaryString(b.out.text[end:]), rueidis.BinaryString(b.out.text[start:end])), nil
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

// Unordered reports whether messages of one node come by ways that keep no order between each other:
// on the wire Streams requests are not in the stream, and on the wire Sharded each server of a Redis
// Cluster has channels of its own. Who has opened the journal goes by the stream alone.
func (b *bus) Unordered() bool {
	if b.opts.Wire != Sharded {
		return b.opts.Wire == Streams && !b.journal
	}
	l := b.link.Load()
	return l != nil && l.slots != nil
}

// Others asks Redis how many listen to the channel in which Node publishes requests of the
// namespace, and how many to the one that only nodes of siokit listen to.
func (b *bus) Others(ctx context.Context, namespace string) (int, error) {
	l, err := b.live()
	if err != nil {
		return 0, err
	}
	all, own := b.name(b.requests(namespace)), b.nativeNamespace(namespace)
	clients := []rueidis.CoreClient{l.send}
	if l.client.Mode() == rueidis.ClientModeCluster { // each server knows its own subscribers
		clients = clients[:0]
		for _, n := range l.client.Nodes() {
			clients = append(clients, n)
		}
	}
	others, err := total(ctx, len(clients), func(ctx context.Context, i int) (int, error) {
		return b.listeners(ctx, clients[i], all, own)
	})
	if err != nil {
		return 0, fmt.Errorf("redisbus: %w", err)
	}
	others = max(0, others)
	b.mu.Lock()
	if _, ok := b.watched[namespace]; ok {
		b.watched[namespace] = others == 0
	}
	b.mu.Unlock()
	return others, nil
}

// listeners is how many more listen to one channel than to another, at one server.
func (b *bus) listeners(ctx context.Context, s rueidis.CoreClient, all, own string) (int, error) {
	ask := "NUMSUB"
	if b.opts.Wire == Sharded {
		ask = "SHARDNUMSUB"
	}
	// rueidis has a method for the second, which demands that both channels are in one slot.
	counts, err := s.Do(ctx, s.B().Arbitrary("PUBSUB", ask).Args(all, own).Build()).AsIntMap()
	return int(counts[all] - counts[own]), err
}

// requests is the channel in which Node publishes requests.
func (b *bus) requests(namespace string) nodewire.Channel {
	c := nodewire.Channel{Namespace: namespace}
	if b.opts.Wire == Classic {
		c.Use = nodewire.Requests
	}
	return c
}
