package sio

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/packet"
	"github.com/siokit/siokit/core/internal/virtsocket"
)

var errHeldTooMany = errors.New("sio: more is emitted to the room than may wait for a socket that enters it, see Options.MaxQueueMessages and MaxQueueBytes")

// JoinFrom puts the socket into a room of which a log is kept elsewhere, without a gap and
// without an event twice: read sends the socket what the log has, and returns the position of
// the last of that, 0 for none. Events of the log are those that are emitted with
// Target.Position, to this room alone. While read runs they are held back from the socket;
// when it has returned, those behind its position are sent, in order. Later events come as
// they are emitted, on whatever node of a cluster, but for those up to the position, which
// the socket has had. So an event has to be in the log before it is emitted.
//
// In a cluster read runs when what other nodes emit to the room reaches this one. While
// the bus is away it runs at once: what other nodes emit then does not come (FailureCluster).
// That the bus does not take the room is an error.
//
// A socket that is in the room already, or is entering it, stays as it is: read does not
// run, and the error is nil. One that leaves the room while read runs is not put into it
// again; that is no error. An error of read, or of ctx, takes the socket out of the room
// again. So does an error of JoinFrom itself: ErrDisconnected, or that more was held back
// than Options.MaxQueueMessages and MaxQueueBytes allow.
func (s *Socket) JoinFrom(ctx context.Context, room string, read func(ctx context.Context) (position uint64, err error)) error {
	m, err := s.enterFrom(room)
	if m == nil {
		return err
	}
	entered := false
	defer func() {
		if !entered { // also after a panic in read
			m.from.end()
			s.leaveRoom(m)
		}
	}()
	if n := s.ns.srv.node; n != nil {
		if err := n.Listening(ctx, s.ns.busName(), room); err != nil {
			return err
		}
	}
	position, err := read(ctx)
	if err != nil {
		return err
	}
	s.roomsMu.Lock() // it stays in the room meanwhile
	defer s.roomsMu.Unlock()
	switch {
	case s.left:
		return ErrDisconnected
	case s.membership(room) != m: // it has left meanwhile
		return nil
	}
	err = m.from.begin(s, room, position)
	s.ns.recovery.Load().nudge(false)
	entered = err == nil
	return err
}

// enterFrom makes a membership that holds back. It returns nil when there is one already, or
// the socket has ended.
func (s *Socket) enterFrom(room string) (*membership, error) {
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	if s.left {
		return nil, ErrDisconnected
	}
	if s.membership(room) != nil {
		return nil, nil
	}
	s.moves(room)
	m := s.joinRoom(room, &joinedFrom{held: new(heldEvents)})
	s.addMembership(m)
	return m, nil
}

// leaveRoom ends a membership that may have ended already.
func (s *Socket) leaveRoom(m *membership) {
	s.roomsMu.Lock()
	defer s.roomsMu.Unlock()
	if s.membership(m.room.name) == m {
		s.moves(m.room.name)
		s.leaveMembership(m)
		s.removeMembership(m)
	}
}

// joinedFrom says which events a member of a room has not had. Its mutex is taken below
// those of rooms.
type joinedFrom struct {
	mu       sync.Mutex
	position uint64      // events up to it were sent by read
	held     *heldEvents // nil when read has returned
}

// heldEvents are the events that wait for read. Their messages are shared with all others who
// get them.
type heldEvents struct {
	list  []heldEvent
	bytes int
	over  bool // there were more
}

type heldEvent struct {
	position uint64
	m        *packet.Message
	volatile bool
	p        packet.Packet // for a socket that can be recovered: its offset is that of the end
}

// pass says whether an event is sent now; else it is held back, or not sent at all.
func (j *joinedFrom) pass(b *broadcast, s *Socket, position uint64, volatile bool) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.held == nil {
		return position > j.position
	}
	o := &s.ns.srv.opts
	switch m := b.message(s); {
	case m == nil || j.held.over:
	case len(j.held.list) >= o.MaxQueueMessages || j.held.bytes >= o.MaxQueueBytes:
		j.held.list, j.held.over = nil, true
	default:
		e := heldEvent{position: position, m: m, volatile: volatile}
		if s.recovery != nil {
			e.p = b.packet
			e.p.Data = bytes.Clone(e.p.Data)
		}
		j.held.list = append(j.held.list, e)
		j.held.bytes += m.Size()
	}
	return false
}

// begin sends what was held back and read has not sent.
func (j *joinedFrom) begin(s *Socket, room string, position uint64) error {
	var out virtsocket.Fanout
	out.Begin(s.ns.srv.hub)
	defer out.Done()
	rec := s.recovery
	if rec != nil {
		rec.log.mu.Lock()
		defer rec.log.mu.Unlock()
	}
	j.mu.Lock() // until all are queued: what comes now is queued behind them
	defer j.mu.Unlock()
	held := j.held
	if held.over {
		return errHeldTooMany
	}
	j.position, j.held = position, nil
	if rec != nil {
		rec.joins(room, position)
	}
	for _, e := range held.list {
		switch {
		case e.position <= position || rec != nil && e.volatile:
		case rec != nil && rec.log.journaled():
			rec.log.appendOne(s, &e.p)
		case rec != nil:
			_ = rec.log.sendOne(s, e.p)
		case s.state.Load() == stateConnected:
			out.Send(s.client.vs, e.m, e.volatile)
		default:
			_ = s.sendMessage(e.m, e.volatile)
		}
	}
	return nil
}

// end forgets what was held back. The socket is not in the room any more, or leaves it: what
// comes meanwhile is not sent.
func (j *joinedFrom) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.held != nil {
		j.held.list, j.held.over = nil, true
	}
}

// Position says where the event stands in a log of the room that is kept elsewhere, see
// Socket.JoinFrom. Positions of one room rise in the order of its log, and none is 0. Clients
// see nothing of it. For a target of no room, of several, or in all namespaces that match a
// pattern, which have a log each, Position changes nothing.
func (t Target) Position(p uint64) Target {
	if t.ns.many == nil {
		t.position = p
	}
	return t
}

// placed reports whether the target's position counts.
func (t Target) placed() bool { return t.position > 0 && t.some && len(t.rooms) == 1 }

// positionMark is what the name of a room begins with whose sockets do not get an event:
// there are none. What follows is the event's position. So a position travels on every bus,
// and processes of Node pass the event on as any other.
const positionMark = serverRoom + "position:"

// mark adds the position to what other nodes are told.
func (t Target) mark(m *cluster.Message) {
	m.Except = append(m.Except[:len(m.Except):len(m.Except)], positionMark+strconv.FormatUint(t.position, 36))
}

// unmark takes out of what another node has told which event it is, and the position.
func (t Target) unmark(from string) Target {
	t = t.identified(from)
	i := slices.IndexFunc(t.except, func(name string) bool { return strings.HasPrefix(name, positionMark) })
	if i < 0 {
		return t
	}
	t.position, _ = strconv.ParseUint(t.except[i][len(positionMark):], 36, 64)
	t.except = slices.Delete(slices.Clone(t.except), i, i+1)
	if len(t.rooms) == 2 && t.rooms[0] == t.rooms[1] { // see message
		t.rooms = t.rooms[:1]
	}
	return t
}

// by has b sent by to, or to the target when that is nil: most broadcasts need no closure.
func (b *broadcast) by(to func(b *broadcast), t Target) {
	if to != nil {
		to(b)
		return
	}
	b.sendTo(t)
}

// sendTo sends to all sockets of the target.
func (b *broadcast) sendTo(t Target) {
	if !t.placed() {
		t.each(func(s *Socket) { b.send(s, t.volatile) })
		return
	}
	out := t.excepted()
	t.ns.rooms.eachMember(t.rooms[0], func(s *Socket, m *membership) {
		if _, skip := out[s]; skip || s == t.skip {
			return
		}
		if m == nil || m.from == nil || m.from.pass(b, s, t.position, t.volatile) {
			b.send(s, t.volatile)
		}
	})
}
