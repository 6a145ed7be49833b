package redisbus

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// stream is how far a stream was read. openStreams and readStreams use it, which never run
// at once.
type stream struct {
	name string
	last string // the id of the last entry that was read, "" before the first link
	// read is how many entries have ever been added to the stream up to last. Redis counts
	// them since version 7.
	read int64
}

// streamsOf lists the streams that are read. Node publishes to streams with a negative number
// too, and does not read them.
func streamsOf(o *Options) (list []*stream) {
	if o.Count == 1 {
		return []*stream{{name: o.Stream}}
	}
	for i := 1 - o.Count; i < o.Count; i++ {
		list = append(list, &stream{name: o.Stream + "-" + strconv.Itoa(i)})
	}
	return list
}

// streamFor is the stream of a namespace, by the hash that Node makes of its name.
func streamFor(o *Options, namespace string) string {
	if o.Count == 1 {
		return o.Stream
	}
	var h int32
	for _, u := range utf16.Encode([]rune(namespace)) {
		h = h*31 + int32(u)
	}
	return o.Stream + "-" + strconv.Itoa(int(h)%o.Count)
}

var errTrimmed = errors.New("redisbus: the stream has dropped entries that were not read")

// openStreams finds the end of the streams when they were never read, and starts to read.
func (b *bus) openStreams(ctx, opening context.Context, l *link) error {
	if b.opts.Wire != Streams || b.answers {
		return nil
	}
	for _, s := range b.streams {
		if s.last != "" {
			continue
		}
		m, err := l.reads.Do(opening, l.reads.B().XinfoStream().Key(s.name).Build()).ToMessage()
		if _, said := rueidis.IsRedisErr(err); err != nil && !said {
			return fmt.Errorf("redisbus: %w", err)
		}
		st, err := stateOf(m, err)
		if err != nil {
			return fmt.Errorf("redisbus: %w", err)
		}
		s.last, s.read = st.last, st.added
		b.reached.Store(position(st.last))
	}
	reading, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	l.workers.Go(func() { l.fail(fmt.Errorf("redisbus: %w", b.readStreams(reading, l))) })
	return nil
}

// state is what Redis says about a stream.
type state struct {
	length, added int64 // added: ever; -1 before Redis 7
	last, first   string
}

// stateOf reads an answer to XINFO STREAM, or the error that Redis has given instead.
func stateOf(answer rueidis.RedisMessage, err error) (st state, _ error) {
	st = state{last: "0-0", added: -1}
	if re, ok := rueidis.IsRedisErr(err); ok && strings.Contains(re.Error(), "no such key") {
		st.added = 0
		return st, nil
	}
	if err != nil {
		return st, err
	}
	info, err := answer.AsMap()
	if err != nil {
		return st, err
	}
	m := info["length"]
	if st.length, err = m.AsInt64(); err != nil {
		return st, err
	}
	if m, ok := info["entries-added"]; ok {
		if st.added, err = m.AsInt64(); err != nil {
			return st, err
		}
	}
	m = info["last-generated-id"]
	if st.last, err = m.ToString(); err != nil {
		return st, err
	}
	m = info["first-entry"]
	if !m.IsNil() {
		first, err := m.AsXRangeEntry()
		if err != nil {
			return st, err
		}
		st.first = first.ID
	}
	return st, nil
}

// dropped counts the entries of a stream that were dropped before they were read. got is how many
// entries Redis has given behind the last that was read, at the moment of the state; full: there
// may be more of them. The number is known when it is known how many are there to be read: those
// that were given, or all, when the last entry that was read is not there any more. Else a later
// call counts.
func (b *bus) dropped(s *stream, st state, got int, full bool) {
	gone := st.first != "" && before(s.last, st.first)
	unread := int64(got)
	switch {
	case st.added < 0: // before Redis 7
		if gone {
			b.lost(1, fmt.Errorf("%w: one or more, of %q", errTrimmed, s.name))
		}
		return
	case gone:
		unread = st.length
	case full:
		return
	}
	if st.added < s.read { // the stream was deleted and has begun anew
		s.read = 0
		if !before(s.last, st.last) {
			s.read = st.added
		}
	}
	if n := st.added - s.read - unread; n > 0 {
		s.read += n
		b.lost(int(n), fmt.Errorf("%w: %q", errTrimmed, s.name))
	}
}

func (b *bus) lost(n int, err error) {
	b.handing.Lock()
	defer b.handing.Unlock()
	b.r.Lost(n, err)
}

// before compares the ids of entries.
func before(a, b string) bool {
	am, as := splitID(a)
	bm, bs := splitID(b)
	return am < bm || am == bm && as < bs
}

func splitID(id string) (ms, seq uint64) {
	a, z, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(a, 10, 64)
	seq, _ = strconv.ParseUint(z, 10, 64)
	return ms, seq
}

// How many entries Redis gives at once, and how long it waits for the first of them.
const (
	readCount   = 100
	readBlockMS = 2000
)

// readStreams hands over entries until the link ends. Where many wait, some may be dropped before
// they are read: while that may be so it reads, and looks at the streams, at one moment, until it
// has read all that was there at that moment. So it does when there was nothing for a while.
func (b *bus) readStreams(ctx context.Context, l *link) error {
	names, ids := make([]string, len(b.streams)), make([]string, len(b.streams))
	// Of a stream that drops entries at least MaxLen are left: it gives as many as are asked for.
	count := int64(min(readCount, b.opts.MaxLen))
	for behind := true; ; {
		for i, s := range b.streams {
			names[i], ids[i] = s.name, s.last
		}
		got, states, err := b.read(ctx, l, behind, count, names, ids)
		if err != nil {
			return err
		}
		full := false
		for i, s := range b.streams {
			entries := got[s.name]
			more := int64(len(entries)) >= count
			if full = full || more; states != nil {
				b.dropped(s, states[i], len(entries), more)
			}
			for k := range entries {
				b.entry(s, &entries[k])
			}
		}
		behind = full || len(got) == 0 && states == nil
	}
}

// read reads entries. With look it does not wait for any, and says how the streams are at the
// same moment; else it does, for a while. A connection that says nothing is given up.
func (b *bus) read(ctx context.Context, l *link, look bool, count int64, names, ids []string) (got map[string][]rueidis.XRangeEntry, states []state, err error) {
	ctx, cancel := context.WithTimeout(ctx, readBlockMS*time.Millisecond+b.opts.Probe)
	defer cancel()
	c := l.reads
	if !look {
		got, err = c.Do(ctx, c.B().Xread().Count(count).Block(readBlockMS).Streams().Key(names...).Id(ids...).Build()).AsXRead()
		if err == nil {
			err = readBehind(ctx, c, count, names, ids, got)
		}
		return got, nil, ignoreNil(err)
	}
	cmds := []rueidis.Completed{c.B().Multi().Build()}
	for _, name := range names {
		cmds = append(cmds, c.B().XinfoStream().Key(name).Build())
	}
	cmds = append(cmds, c.B().Xread().Count(count).Streams().Key(names...).Id(ids...).Build(), c.B().Exec().Build())
	all := c.DoMulti(ctx, cmds...)
	answers, err := all[len(all)-1].ToArray()
	if err != nil {
		return nil, nil, err
	}
	if len(answers) != len(names)+1 {
		return nil, nil, fmt.Errorf("EXEC: %d answers, not %d", len(answers), len(names)+1)
	}
	states = make([]state, len(names))
	for i := range names {
		if states[i], err = stateOf(answers[i], answers[i].Error()); err != nil {
			return nil, nil, err
		}
	}
	got, err = answers[len(names)].AsXRead()
	return got, states, ignoreNil(err)
}

// readBehind adds the entries that have come since. Redis answers a read that waits at the first
// entry: of several that were published together it would be handed over alone, and be a write to
// each client of its own.
func readBehind(ctx context.Context, c rueidis.CoreClient, count int64, names, ids []string, got map[string][]rueidis.XRangeEntry) error {
	next := slices.Clone(ids)
	for i, name := range names {
		list := got[name]
		if int64(len(list)) == count {
			return nil // the next read finds out how many there are
		}
		if len(list) > 0 {
			next[i] = list[len(list)-1].ID
		}
	}
	more, err := c.Do(ctx, c.B().Xread().Count(count).Streams().Key(names...).Id(next...).Build()).AsXRead()
	for name, list := range more {
		got[name] = append(got[name], list...)
	}
	return ignoreNil(err)
}

// ignoreNil is for a read that has found nothing, which is no error.
func ignoreNil(err error) error {
	if rueidis.IsRedisNil(err) {
		return nil
	}
	return err
}

// inStream reports whether a message is an entry of the stream: what is for sockets and wants no
// answer. Those of siokit's own are there too, since they have their place in that order.
func inStream(m *cluster.Message) bool {
	return nodewire.Streamed(m) || m.Kind == cluster.LeaveAll || m.Kind == cluster.CloseTransport || m.Kind == cluster.Gap
}

// nativeEntry is the namespace of entries in siokit's own form. Node ignores them: its
// namespaces have a slash in front.
const nativeEntry = "siokit"

// encodeEntry makes the command that adds a message to the stream of its namespace. A message to
// one node is an entry too, or it would overtake others.
func (b *bus) encodeEntry(s rueidis.CoreClient, m *cluster.Message) (rueidis.Completed, error) {
	e, err := nodewire.Entry{}, nodewire.ErrNotOnWire
	if m.To == "" && nodewire.Streamed(m) {
		e, err = nodewire.AppendEntry(b.out.text, m)
	}
	if errors.Is(err, nodewire.ErrNotOnWire) {
		var text []byte
		text, err = cluster.Append(nil, m)
		e = nodewire.Entry{Node: m.Node, Namespace: nativeEntry, Type: "0", Data: base64.StdEncoding.AppendEncode(b.out.text, text)[len(b.out.text):]}
	}
	if err != nil {
		return rueidis.Completed{}, err
	}
	// Either e.Data lies behind the text already, or this makes place for the next one.
	b.out.text = append(b.out.text, e.Data...)
	cmd := s.B().Xadd().Key(streamFor(&b.opts, m.Namespace)).
		Maxlen().Almost().Threshold(b.maxLen).Id("*").FieldValue().
		FieldValue("uid", e.Node).FieldValue("nsp", e.Namespace).FieldValue("type", e.Type).
		FieldValue("data", rueidis.BinaryString(e.Data))
	if m.Ticket > 0 {
		cmd = cmd.FieldValue(ticketField, strconv.FormatUint(m.Ticket, 10))
	}
	return cmd.Build(), nil
}

// ticketField is the field of an entry by which its node knows it again. Node ignores it.
const ticketField = "n"

// entry hands over an entry of a stream.
func (b *bus) entry(s *stream, x *rueidis.XRangeEntry) {
	s.last = x.ID
	s.read++
	f := x.FieldValues
	e := nodewire.Entry{Node: f["uid"], Namespace: f["nsp"], Type: f["type"]}
	at := position(x.ID)
	defer func() { b.reached.Store(max(b.reached.Load(), at)) }()
	if e.Node == b.node && b.own(&e, f[ticketField], at) {
		return
	}
	b.mu.Lock()
	_, here := b.watched[e.Namespace]
	b.mu.Unlock()
	if !here && strings.HasPrefix(e.Namespace, "/") {
		return
	}
	b.handing.Lock()
	defer b.handing.Unlock()
	b.text = append(b.text[:0], f["data"]...)
	if err := b.parseEntry(&e); err != nil {
		b.r.Lost(1, fmt.Errorf("redisbus: stream %q, entry %s: %w", s.name, x.ID, err))
		return
	}
	if b.journal {
		b.in.Position = at
		b.in.Ticket, _ = strconv.ParseUint(f[ticketField], 10, 64)
	}
	b.r.Receive(&b.in)
}

// parseEntry reads b.text into b.in.
func (b *bus) parseEntry(e *nodewire.Entry) error { return parseEntry(e, b.text, &b.in) }

// parseEntry reads the data of an entry, in memory of its own, into m.
func parseEntry(e *nodewire.Entry, text []byte, m *cluster.Message) error {
	if e.Namespace != nativeEntry {
		e.Data = text
		return nodewire.ParseEntry(e, m)
	}
	n, err := base64.StdEncoding.Decode(text, text)
	if err != nil {
		return err
	}
	return cluster.Parse(text[:n], m)
}
