package redisbus

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/cluster/nodewire"
)

// On the wire Streams the stream is a log of all nodes, and Node recovers connections by it. What
// is here does the same, in the same way, so that a client may come back to either kind of node.

var _ cluster.Journal = (*bus)(nil)

// OpenJournal implements cluster.Journal. Several streams have no order between them.
func (b *bus) OpenJournal() bool {
	b.journal = b.invalid == nil && !b.answers && b.opts.Wire == Streams && b.opts.Count == 1
	return b.journal
}

// Reached implements cluster.Journal.
func (b *bus) Reached() uint64 { return b.reached.Load() }

// sequenceBits are the bits of a position that number the entries of one millisecond.
const sequenceBits = 22

// position is the id of an entry as a number, 0 for one that does not fit: as many entries in one
// millisecond come when the clock of Redis has gone back far.
func position(id string) uint64 {
	ms, seq := splitID(id)
	if ms >= 1<<(64-sequenceBits) || seq >= 1<<sequenceBits {
		return 0
	}
	return ms<<sequenceBits | seq
}

// entryID is the id of the entry at a position.
func entryID(position uint64) string {
	return strconv.FormatUint(position>>sequenceBits, 10) + "-" + strconv.FormatUint(position&(1<<sequenceBits-1), 10)
}

// nextID is the smallest id behind another one.
func nextID(id string) string {
	ms, seq := splitID(id)
	return strconv.FormatUint(ms, 10) + "-" + strconv.FormatUint(seq+1, 10)
}

// own sees to an entry of this node itself. It reports false for one that is read like those of
// others.
func (b *bus) own(e *nodewire.Entry, ticket string, at uint64) bool {
	if !b.journal {
		return true
	}
	n, _ := strconv.ParseUint(ticket, 10, 64)
	if n == 0 || e.Namespace == nativeEntry {
		return false
	}
	m := cluster.Message{Kind: cluster.Emit, Node: b.node, Namespace: e.Namespace, Position: at, Ticket: n}
	b.hand(func() { b.r.Receive(&m) })
	return true
}

// After implements cluster.Journal.
func (b *bus) After(ctx context.Context, from uint64, namespaces []string, each func(m *cluster.Message) error) (uint64, error) {
	last, end := entryID(from), ""
	var m cluster.Message
	for {
		entries, st, err := b.behind(ctx, last)
		if err != nil {
			return 0, err
		}
		if end == "" {
			end = st.last
		}
		for i := range entries {
			x := &entries[i]
			last = x.ID
			f := x.FieldValues
			e := nodewire.Entry{Node: f["uid"], Namespace: f["nsp"], Type: f["type"]}
			if e.Namespace != nativeEntry && !slices.Contains(namespaces, e.Namespace) {
				continue
			}
			if parseEntry(&e, []byte(f["data"]), &m) != nil {
				continue // no node has understood it
			}
			if m.Namespace != "" && !slices.Contains(namespaces, m.Namespace) {
				continue
			}
			m.Position = position(x.ID)
			if err := each(&m); err != nil {
				return 0, err
			}
		}
		if len(entries) < readCount || !before(last, end) {
			return max(from, position(last)), nil
		}
	}
}

// behind reads some entries, and makes sure that those which follow the last one that was read are
// among them: the stream is looked at afterwards, and drops the oldest only.
func (b *bus) behind(ctx context.Context, last string) ([]rueidis.XRangeEntry, state, error) {
	l, err := b.live()
	if err != nil {
		return nil, state{}, err
	}
	name := b.opts.Stream
	all := l.send.DoMulti(ctx,
		l.send.B().Xrange().Key(name).Start(nextID(last)).End("+").Count(readCount).Build(),
		l.send.B().XinfoStream().Key(name).Build())
	entries, err := all[0].AsXRange()
	if err != nil {
		return nil, state{}, fmt.Errorf("redisbus: %w", err)
	}
	m, err := all[1].ToMessage()
	st, err := stateOf(m, err)
	if err != nil {
		return nil, state{}, fmt.Errorf("redisbus: %w", err)
	}
	switch {
	case before(st.last, last):
		return nil, st, fmt.Errorf("%w: the stream ends with %s, before %s", cluster.ErrNotKept, st.last, last)
	case !before(last, st.last), st.first != "" && !before(last, st.first), st.added == st.length:
		return entries, st, nil
	}
	return nil, st, fmt.Errorf("%w: the stream begins with %s, behind %s", cluster.ErrNotKept, st.first, last)
}

// sessionKeys are the key of a session as Node has it, and the one beside it for what Node does
// not need. In a Redis Cluster both are in one slot.
func (b *bus) sessionKeys(pid string) (key, extra string) {
	key = b.opts.Sessions + pid
	if hashTagged(b.opts.Sessions) {
		return key, "siokit:" + key
	}
	return key, "siokit:{" + key + "}"
}

// hashTagged reports whether keys that begin so have a hash tag: the part between the first braces,
// which then alone says the slot.
func hashTagged(prefix string) bool {
	_, tag, _ := strings.Cut(prefix, "{")
	return strings.IndexByte(tag, '}') > 0
}

// keyed is the connection for keys that are no stream: in a Redis Cluster these are in other slots,
// and the connection that is for the stream alone takes no command for them.
func (l *link) keyed() rueidis.CoreClient {
	if l.client.Mode() == rueidis.ClientModeCluster {
		return l.client
	}
	return l.send
}

// saveScript keeps a session, and what siokit keeps beside it behind the number of its moves, unless
// that number is larger there. What Node has taken has left its number behind.
const saveScript = `local moves, old = ARGV[1], redis.call('GET', KEYS[2])
if old and (tonumber(old:match('^%d+')) or 0) > tonumber(moves) then return 0 end
redis.call('SET', KEYS[2], moves .. ' ' .. ARGV[2], 'PX', ARGV[4])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1`

// SaveSession implements cluster.Journal.
func (b *bus) SaveSession(ctx context.Context, s *cluster.Session, keep time.Duration) error {
	l, err := b.live()
	if err != nil {
		return err
	}
	text, err := nodewire.AppendSession(nil, s)
	if err != nil {
		return err
	}
	key, extra := b.sessionKeys(s.PID)
	ms := strconv.FormatInt(max(keep.Milliseconds(), 1), 10)
	c := l.keyed()
	err = c.Do(ctx, c.B().Eval().Script(saveScript).Numkeys(2).Key(key, extra).
		Arg(strconv.FormatUint(s.Moves, 10), rueidis.BinaryString(s.Extra), rueidis.BinaryString(text), ms).Build()).Error()
	if err != nil {
		return fmt.Errorf("redisbus: %w", err)
	}
	return nil
}

// takeScript returns a session and what siokit keeps beside it, and deletes them but for the number of
// moves. That stays for the rest of its time: nobody saves an older one meanwhile.
const takeScript = `local s, e = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if s then redis.call('DEL', KEYS[1]) end
if s and e then redis.call('SET', KEYS[2], (e:match('^%d+') or '0') .. ' ', 'KEEPTTL') end
return {s, e}`

// TakeSession implements cluster.Journal.
func (b *bus) TakeSession(ctx context.Context, pid string) (*cluster.Session, error) {
	l, err := b.live()
	if err != nil {
		return nil, err
	}
	key, extra := b.sessionKeys(pid)
	c := l.keyed()
	parts, err := c.Do(ctx, c.B().Eval().Script(takeScript).Numkeys(2).Key(key, extra).Build()).ToArray()
	if err != nil {
		return nil, fmt.Errorf("redisbus: %w", err)
	}
	if len(parts) != 2 || parts[0].IsNil() {
		return nil, nil
	}
	text, err := parts[0].ToString()
	if err != nil {
		return nil, fmt.Errorf("redisbus: %w", err)
	}
	s := new(cluster.Session)
	if err := nodewire.ParseSession([]byte(text), s); err != nil {
		return nil, fmt.Errorf("redisbus: the session in %q: %w", key, err)
	}
	if s.PID != pid {
		return nil, fmt.Errorf("redisbus: the session in %q is another one", key)
	}
	if more, err := parts[1].ToString(); err == nil {
		moves, extra, _ := strings.Cut(more, " ")
		if s.Moves, err = strconv.ParseUint(moves, 10, 64); err != nil {
			return nil, fmt.Errorf("redisbus: what is kept beside the session in %q: %w", key, err)
		}
		if extra != "" { // else the session is Node's, and was put back
			s.Extra = []byte(extra)
		}
	}
	return s, nil
}
