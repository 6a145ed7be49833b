package redisbus

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
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

// openStreams finds where to go on, and starts to read.
func (b *bus) openStreams(ctx, opening context.Context, l *link) error {
	if b.opts.Wire != Streams || b.answers {
		return nil
	}
	for _, s := range b.streams {
		if err := b.look(opening, l, s); err != nil {
			return fmt.Errorf("redisbus: %w", err)
		}
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

func stateOf(ctx context.Context, l *link, name string) (st state, err error) {
	st = state{last: "0-0", added: -1}
	info, err := l.reads.Do(ctx, l.reads.B().XinfoStream().Key(name).Build()).AsMap()
	if re, ok := rueidis.IsRedisErr(err); ok && strings.Contains(re.Error(), "no such key") {
		st.added = 0
		return st, nil
	}
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

// look counts the entries of a stream that were dropped before they were read. It knows them when
// everything was read, or when the last entry that was read is not there any more; else the next
// look counts them. The first look begins at the end of the stream.
func (b *bus) look(ctx context.Context, l *link, s *stream) error {
	st, err := stateOf(ctx, l, s.name)
	if err != nil {
		return err
	}
	if s.last == "" {
		s.last, s.read = st.last, st.added
		return nil
	}
	all := !before(s.last, st.last)
	gone := st.first != "" && before(s.last, st.first)
	switch {
	case !all && !gone:
		return nil
	case st.added < 0: // before Redis 7
		if gone {
			b.lost(1, fmt.Errorf("%w: one or more, of %q", errTrimmed, s.name))
		}
		return nil
	case st.added < s.read: // the stream was deleted and has begun anew
		s.read = 0
		if all {
			s.read = st.added
		}
	}
	n := st.added - s.read
	if !all {
		n -= st.length
	}
	if n > 0 {
		s.read += n
		b.lost(int(n), fmt.Errorf("%w: %q", errTrimmed, s.name))
	}
	return nil
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

// xread waits for entries. Redis says when there are none for a while; a connection that says
// nothing is given up.
func (b *bus) xread(ctx context.Context, l *link, names, ids []string) (map[string][]rueidis.XRangeEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, readBlockMS*time.Millisecond+b.opts.Probe)
	defer cancel()
	return l.reads.Do(ctx, l.reads.B().Xread().Count(readCount).Block(readBlockMS).Streams().Key(names...).Id(ids...).Build()).AsXRead()
}

// readStreams hands over entries until the link ends.
func (b *bus) readStreams(ctx context.Context, l *link) error {
	names, ids := make([]string, len(b.streams)), make([]string, len(b.streams))
	for {
		for i, s := range b.streams {
			names[i], ids[i] = s.name, s.last
		}
		got, err := b.xread(ctx, l, names, ids)
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		for _, s := range b.streams {
			entries := got[s.name]
			for i := range entries {
				b.entry(s, &entries[i])
			}
			// Where more waits, entries may be dropped before they are read.
			if len(entries) == readCount || len(got) == 0 {
				if err := b.look(ctx, l, s); err != nil {
					return err
				}
			}
		}
	}
}

// inStream reports whether a message is an entry of the stream: what is for sockets and wants no
// answer. Those of siokit's own are there too, since they have their place in that order.
func inStream(m *cluster.Message) bool {
	return nodewire.Streamed(m) || m.Kind == cluster.LeaveAll || m.Kind == cluster.CloseTransport
}

// nativeEntry is the namespace of entries in siokit's own form. Node ignores them: its
// namespaces have a slash in front.
const nativeEntry = "siokit"

// encodeEntry makes the command that adds a message to the stream of its namespace. A message to
// one node is an entry too, or it would overtake others.
func (b *bus) encodeEntry(s rueidis.CoreClient, m *cluster.Message) (rueidis.Completed, error) {
	e, err := nodewire.Entry{}, nodewire.ErrNotOnWire
	if m.To == "" && nodewire.Streamed(m) {
		e, err = nodewire.AppendEntry(nil, m)
	}
	if errors.Is(err, nodewire.ErrNotOnWire) {
		var text []byte
		text, err = cluster.Append(nil, m)
		e = nodewire.Entry{Node: m.Node, Namespace: nativeEntry, Type: "0", Data: base64.StdEncoding.AppendEncode(nil, text)}
	}
	if err != nil {
		return rueidis.Completed{}, err
	}
	return s.B().Xadd().Key(streamFor(&b.opts, m.Namespace)).
		Maxlen().Almost().Threshold(strconv.Itoa(b.opts.MaxLen)).Id("*").FieldValue().
		FieldValue("uid", e.Node).FieldValue("nsp", e.Namespace).FieldValue("type", e.Type).
		FieldValue("data", rueidis.BinaryString(e.Data)).Build(), nil
}

// entry hands over an entry of a stream.
func (b *bus) entry(s *stream, x *rueidis.XRangeEntry) {
	s.last = x.ID
	s.read++
	f := x.FieldValues
	e := nodewire.Entry{Node: f["uid"], Namespace: f["nsp"], Type: f["type"]}
	if e.Node == b.node {
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
	b.r.Receive(&b.in)
}

// parseEntry reads b.text into b.in.
func (b *bus) parseEntry(e *nodewire.Entry) error {
	if e.Namespace != nativeEntry {
		e.Data = b.text
		return nodewire.ParseEntry(e, &b.in)
	}
	n, err := base64.StdEncoding.Decode(b.text, b.text)
	if err != nil {
		return err
	}
	return cluster.Parse(b.text[:n], &b.in)
}
