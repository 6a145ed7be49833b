package cluster

import (
	"cmp"
	"context"
	"slices"
	"time"
)

var _ Journal = (*busNode)(nil)

// busLog is the log of a Bus; Bus.mu guards it.
type busLog struct {
	most     int    // so many messages are kept; 0: there is no log
	last     uint64 // the position of the last message
	dropped  uint64 // up to it messages were dropped
	kept     []*Message
	sessions map[string]busSession
}

type busSession struct {
	Session
	until time.Time
}

// logged reports whether a message is in the log.
func logged(m *Message) bool {
	return m.Kind >= Emit && m.Kind <= CloseTransport && m.ID == "" || m.Kind == Gap
}

// append gives a message its place, if it has one; Bus.mu is held.
func (l *busLog) append(m *Message) *Message {
	if l.most == 0 || !logged(m) {
		return m
	}
	m = m.Clone()
	m.To = "" // a client that has come back to another node has kept the id of its socket
	// As in the streams of Redis: a time, and a number within its millisecond.
	l.last = max(l.last+1, uint64(time.Now().UnixMilli())<<22)
	m.Position = l.last
	if l.kept = append(l.kept, m); len(l.kept) > l.most {
		l.drop(len(l.kept) - l.most)
	}
	return m
}

// drop forgets the oldest messages; Bus.mu is held.
func (l *busLog) drop(n int) {
	l.dropped = l.kept[n-1].Position
	clear(l.kept[:n])
	l.kept = l.kept[n:]
}

// Keep has the Bus keep its last n messages for Journal, and drop those that are more now. Call it
// before the first node has started. Without it the Bus is no Journal.
func (b *Bus) Keep(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.log
	if l.last == 0 {
		l.last = uint64(time.Now().UnixMilli()) << 22
		l.dropped = l.last
	}
	if l.most = n; len(l.kept) > n {
		l.drop(len(l.kept) - n)
	}
}

// OpenJournal implements Journal.
func (n *busNode) OpenJournal() bool {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	n.journal = n.bus.log.most > 0
	return n.journal
}

// catchUp queues what the log has got while the node was cut off; Bus.mu is held.
func (n *busNode) catchUp() {
	l := &n.bus.log
	if n.passed < l.dropped {
		n.event(busEvent{lost: 1})
	}
	for _, m := range l.behind(n.passed) {
		n.put(m, m.size())
	}
	n.passed = l.last
}

// behind are the messages behind a position; Bus.mu is held.
func (l *busLog) behind(position uint64) []*Message {
	i, _ := slices.BinarySearchFunc(l.kept, position+1, func(m *Message, p uint64) int {
		return cmp.Compare(m.Position, p)
	})
	return l.kept[i:]
}

// Reached implements Journal.
func (n *busNode) Reached() uint64 { return n.reached.Load() }

// After implements Journal.
func (n *busNode) After(ctx context.Context, position uint64, namespaces []string, each func(m *Message) error) (uint64, error) {
	n.bus.mu.Lock()
	l := &n.bus.log
	if !n.up {
		n.bus.mu.Unlock()
		return 0, ErrDown
	}
	if position < l.dropped || position > l.last {
		n.bus.mu.Unlock()
		return 0, ErrNotKept
	}
	list, last := slices.Clone(l.behind(position)), l.last
	n.bus.mu.Unlock()
	for _, m := range list {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if m.Namespace != "" && !slices.Contains(namespaces, m.Namespace) {
			continue
		}
		if err := each(m.Clone()); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// SaveSession implements Journal.
func (n *busNode) SaveSession(_ context.Context, s *Session, keep time.Duration) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if !n.up {
		return ErrDown
	}
	l, now := &n.bus.log, time.Now()
	if l.sessions == nil {
		l.sessions = make(map[string]busSession)
	}
	for pid, old := range l.sessions { // a Bus is for tests: there are few
		if !now.Before(old.until) {
			delete(l.sessions, pid)
		}
	}
	if l.sessions[s.PID].Moves > s.Moves {
		return nil
	}
	kept := *s
	kept.Rooms, kept.Data, kept.Extra = slices.Clone(s.Rooms), slices.Clone(s.Data), slices.Clone(s.Extra)
	l.sessions[s.PID] = busSession{kept, now.Add(keep)}
	return nil
}

// TakeSession implements Journal.
func (n *busNode) TakeSession(_ context.Context, pid string) (*Session, error) {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if !n.up {
		return nil, ErrDown
	}
	s := n.bus.log.sessions[pid]
	if s.PID == "" || !time.Now().Before(s.until) {
		return nil, nil
	}
	n.bus.log.sessions[pid] = busSession{Session{Moves: s.Moves}, s.until} // what is older stays away
	return &s.Session, nil
}
