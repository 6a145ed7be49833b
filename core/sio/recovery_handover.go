package sio

import (
	"context"
	"crypto/subtle"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/wheel"
)

// A client that comes back to another node of a cluster is recovered there: its session is handed
// over. B is the node that the client comes to, and A the one that has the session.
//
//  1. B asks A for the session. A ends the socket that the session still has, and says which rooms
//     it is in (recovery.offer). The session stays at A.
//  2. B makes a session that is in these rooms, and waits until the bus knows that B listens to
//     them (recovery.adopt). From here on the log of B has what is emitted to them.
//  3. B asks A for the events. A asks all nodes how many events they have numbered: with the last
//     answer A has everything that they had published before (fences). Then A ends the session, and
//     answers with what the client has missed, and with these numbers (recovery.give).
//  4. What the log of B has of the events up to these numbers has come to A. The rest is what the
//     client has missed besides; and what comes up to these numbers later is not sent to it again
//     (moved.had).
//
// So nothing is lost: an event that a node publishes after it has told A its number is published
// after B listens. And nothing comes twice. It takes no more than that the events and answers of one
// node arrive in their order, which a Backend promises. Who sends events without numbers, as
// processes of Node do, is not part of it: B refuses the session when such an event was for the
// client in the meantime.

const (
	// maxHandovers is how many sessions a server asks others for at once, and how many others it
	// hands over at once.
	maxHandovers = 256
	// maxHandoverBytes is the most that a node answers: a message of NATS has 1 MiB.
	maxHandoverBytes = 512 << 10
	// maxHandoverParts is how many events and attachments that may be.
	maxHandoverParts = 10_000
	// maxOffset is how long an offset may be for which others are asked.
	maxOffset = 64
	// maxSeen is of how many nodes a log knows the last number.
	maxSeen = 1024
	// handoverTime is how long a node that has a session may take to hand it over. It asks the
	// others, and one that was killed is among them for up to four heartbeats.
	handoverTime = 4*clusterHeartbeat + takeoverTime
	// maxHandoverWait is how long Shutdown waits for clients to come back to other nodes, since
	// the last one was sent away.
	maxHandoverWait = 3 * time.Second
)

// handover is the part of recovery that is about other nodes.
type handover struct {
	// beside is held while an event is emitted of which not just one log knows, and by those who
	// have to know that no such event is on its way.
	beside sync.RWMutex
	asking atomic.Int32 // sessions that others are asked for
	asked  atomic.Int32 // questions of others
	fences fences
	times  handoverTimes

	// Guarded by recovery.mu.
	leaving int           // sessions that are away because the server shuts down
	last    time.Duration // of the wheel: when the last of them began
	left    chan struct{} // closed when there are none any more; nil when nobody waits
}

// handoverTimes are takeoverTime, handoverTime and maxHandoverWait, but in tests.
type handoverTimes struct{ takeover, handover, wait time.Duration }

// stamp says which event of a cluster an event is: the node that has published it, and its number
// there. A number 0 with a node is an event of somebody who does not number them, and no node is an
// event that was not published.
type stamp struct {
	node   string
	number uint64
}

// anonymous reports whether it cannot be known which event it is.
func (st stamp) anonymous() bool { return st.node != "" && st.number == 0 }

// published is the stamp of an event of this node.
func published(n *node.Node, number uint64) stamp {
	if number == 0 { // it is lost
		return stamp{}
	}
	return stamp{n.Name(), number}
}

// stampMark is what the name of a room begins with whose sockets do not get an event: there are
// none. What follows is the event's number. So numbers travel on every bus, as positions do.
const stampMark = serverRoom + "event:"

// eventMark is how the node numbers events, "" for not at all.
func (s *Server) eventMark() string {
	if s.opts.Recovery == nil {
		return ""
	}
	return stampMark
}

// identified takes the number out of what a node has told.
func (t Target) identified(from string) Target {
	if t.stamp.node = from; from == "" {
		t.stamp.node = "?"
	}
	for i := len(t.except) - 1; i >= 0; i-- {
		digits, ok := strings.CutPrefix(t.except[i], stampMark)
		if !ok {
			continue
		}
		t.stamp.number, _ = strconv.ParseUint(digits, 36, 64)
		if i == len(t.except)-1 {
			t.except = t.except[:i:i]
		} else {
			t.except = slices.Delete(slices.Clone(t.except), i, i+1)
		}
		break
	}
	return t
}

// socketsMove reports whether the socket with an id may be at another node than the id names. Who
// serves nobody does not know how the servers are.
func (s *Server) socketsMove() bool { return s.recovery != nil || !s.serves() }

// see notes an event. l.mu is held.
func (l *recoveryLog) see(which stamp) {
	if which.number == 0 {
		return
	}
	if _, known := l.seen[which.node]; !known && len(l.seen) >= maxSeen {
		for name := range l.seen {
			if _, there := l.r.srv.node.Info(name); !there {
				delete(l.seen, name)
				break
			}
		}
		if len(l.seen) >= maxSeen {
			return
		}
	}
	if l.seen == nil {
		l.seen = make(map[string]uint64)
	}
	l.seen[which.node] = which.number
}

// past are the numbers up to which events have come, at this node and before the session came to
// it. log.mu is held, and recovery.beside.
func (rec *recoverable) past(counts map[string]uint64) map[string]uint64 {
	past := maps.Clone(counts)
	earlier := []map[string]uint64{rec.log.seen}
	if rec.moved != nil {
		earlier = append(earlier, rec.moved.past)
	}
	for _, seen := range earlier {
		for name, number := range seen {
			past[name] = max(past[name], number)
		}
	}
	n := rec.log.r.srv.node
	past[n.Name()] = n.Numbered()
	return past
}

// moved is what a session has that has come from another node. It has the socket's id as a room,
// since the id names the other node. recoveryLog.mu guards it.
type moved struct {
	log     *recoveryLog
	base    string            // the offset that the client had when it came
	carried []keptEvent       // what it had missed there, with the offsets of that node
	size    int               // of carried
	past    map[string]uint64 // events up to these numbers have come to the other node
	timer   wheel.Timer       // nobody needs carried any more
}

// had reports whether an event has come to the other node.
func (m *moved) had(which stamp) bool {
	return m != nil && which.number > 0 && which.number <= m.past[which.node]
}

// behind are the events that were carried, without the first.
func (m *moved) behind(had int) []keptEvent {
	if m == nil {
		return nil
	}
	return slices.Clone(m.carried[min(had, len(m.carried)):])
}

// count is how many events behind has.
func (m *moved) count(had int) int {
	if m == nil {
		return 0
	}
	return max(0, len(m.carried)-had)
}

// Expired implements wheel.Owner. A client whose connection has lived so long has had what was
// carried, and one that was away so long is not recovered. Its offset may be the last of them still.
func (m *moved) Expired(*wheel.Timer) {
	go func() { // the lock is held while events are queued
		m.log.mu.Lock()
		defer m.log.mu.Unlock()
		if n := len(m.carried); n > 0 {
			m.base = m.carried[n-1].offset
		}
		m.drop()
	}()
}

// drop forgets what was carried. log.mu is held.
func (m *moved) drop() {
	m.log.carried -= m.size
	m.log.r.bytes.Add(-int64(m.size))
	m.carried, m.size = nil, 0
}

// stands is where a client with this offset stands: behind a position of the log, and behind so many
// of the events that the session has brought. log.mu is held.
func (rec *recoverable) stands(offset string) (position uint64, had int, ok bool) {
	position, ok = rec.log.parse(offset)
	m := rec.moved
	switch {
	case m == nil:
		return position, 0, ok
	case ok && position >= rec.from:
		return position, len(m.carried), true
	case offset == m.base:
		return rec.from, 0, true
	}
	i := slices.IndexFunc(m.carried, func(e keptEvent) bool { return e.offset == offset })
	return rec.from, i + 1, i >= 0
}

// holdsID reports whether the session, and not its socket, listens to the id of the socket.
func (rec *recoverable) holdsID() bool { return rec != nil && rec.moved != nil }

// unmove gives up what a session has brought.
func (rec *recoverable) unmove() {
	m := rec.moved
	if m == nil {
		return
	}
	rec.log.r.wheel.Stop(&m.timer)
	rec.log.mu.Lock()
	m.drop()
	rec.log.mu.Unlock()
	rec.log.ns.rooms.unhold(rec.id, rec.log.ns)
}

// sameKey compares the keys of connections, see Conn.BindRecovery. How long that takes does not tell
// how much of them is the same.
func sameKey(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// expired reports whether the time of Socket.ExpireAt has come while the client was away.
func (rec *recoverable) expired() bool { return !rec.ends.IsZero() && !time.Now().Before(rec.ends) }

// takeover ends the socket of a session, and waits until its OnDisconnect has run. r.mu is held, and
// free afterwards.
func (r *recovery) takeover(ctx context.Context, rec *recoverable) bool {
	old, ended := rec.socket, rec.ended
	r.mu.Unlock()
	reason := TransportClose
	if old.client.vs.EndReason() == ServerShutdown.below() { // it may be back before its sockets have ended
		reason = ServerShutdown
	}
	// What the client had sent before is still handled, by the earlier socket.
	if _, due := old.close(reason, false, true); due {
		old.client.inbox.Push(old.ns.path, task{end: old, reason: reason})
	}
	old.client.vs.Lose()
	select {
	case <-ended:
		return true
	case <-ctx.Done(): // its OnDisconnect takes long, and has not run when this client is told
		return false
	}
}

// reaches reports whether what the other nodes say comes here now, and in order.
func (r *recovery) reaches() bool {
	n := r.srv.node
	if n == nil || r.over.Load() || !n.Ordered() {
		return false
	}
	_, deaf := n.Deaf()
	return !deaf
}

// polled answers a Count that is none: what is asked of all nodes.
func (s *Server) polled(m *cluster.Message) (n int, ok bool) {
	if len(m.Rooms) != 1 {
		return 0, false
	}
	if m.Rooms[0] == fenceRoom {
		return int(s.node.Numbered()), true
	}
	pid, ok := strings.CutPrefix(m.Rooms[0], whoRoom)
	if r := s.recovery; ok && r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.byPID[pid] != nil {
			n = 1
		}
	}
	return n, ok
}

// wait waits, at Shutdown, while clients that were sent away come back to other nodes.
func (r *recovery) wait(ctx context.Context) {
	if r.srv.node == nil || r.journal != nil || len(r.srv.node.Nodes()) == 0 {
		return
	}
	left := make(chan struct{})
	r.mu.Lock()
	if r.leaving == 0 {
		close(left)
	} else {
		r.left = left
	}
	over := r.last + r.times.wait
	r.mu.Unlock()
	timer := time.NewTimer(over - r.wheel.Now())
	defer timer.Stop()
	select {
	case <-left:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// departed is for a session that is not away any more. r.mu is held.
func (r *recovery) departed(rec *recoverable) {
	if !rec.shut {
		return
	}
	rec.shut = false
	if r.leaving--; r.leaving == 0 && r.left != nil {
		close(r.left)
		r.left = nil
	}
}
