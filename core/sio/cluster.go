package sio

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/packet"
)

// How a server behaves in a cluster. What is heard of a node within three times
// clusterHeartbeat keeps it alive; a request waits clusterRequestTimeout for other nodes.
const (
	clusterHeartbeat      = 2 * time.Second
	clusterRequestTimeout = 5 * time.Second
	clusterPublishTimeout = 5 * time.Second
	clusterLinger         = 5 * time.Second
	clusterLeaveTime      = time.Second // after the end of Shutdown's context
	maxClusterMessages    = 65_536
	maxClusterBytes       = 64 << 20
	// maxClusterReports is how many calls of OnError for malformed messages run at once.
	maxClusterReports = 64
)

// newNode makes the server one of many, which joins the others with joinCluster.
func (s *Server) newNode(b cluster.Backend) {
	s.node = node.New(b, clusterHost{s}, s.nodeOptions(s.listenForward()))
}

func (s *Server) nodeOptions(info string) node.Options {
	return node.Options{
		Info:      info,
		Heartbeat: clusterHeartbeat, RequestTimeout: clusterRequestTimeout, PublishTimeout: clusterPublishTimeout,
		Linger: clusterLinger, MaxMessages: maxClusterMessages, MaxBytes: maxClusterBytes,
		Mark: s.eventMark(), Logger: s.opts.Logger, Report: s.clusterGap,
	}
}

// joinCluster joins the other nodes. A backend that can never work is a mistake to be seen at
// start-up.
func (s *Server) joinCluster() {
	if s.forward != nil {
		s.forward.Serve(s.node.Name(), s.advertised, passedOn{s})
	}
	if err := s.node.Start(context.Background()); err != nil {
		panic(fmt.Sprintf("sio: Options.Cluster: %v", err))
	}
}

// clusterGap reports a time without the other nodes.
func (s *Server) clusterGap(g node.Gap) {
	if g.Until.IsZero() {
		s.opts.Logger.Error("siokit: the other nodes of the cluster cannot be reached, or not all that is emitted reaches them", "since", g.Since, "error", g.Err)
		s.report(Failure{Name: FailureCluster, Err: g.Err, Reason: "the other nodes cannot be reached since " + g.Since.Format(time.RFC3339)})
		return
	}
	text := fmt.Sprintf("from %s to %s %d messages to other nodes were lost, and %d of theirs are known to be",
		g.Since.Format(time.RFC3339), g.Until.Format(time.RFC3339), g.Lost, g.Missed)
	s.opts.Logger.Warn("siokit: the other nodes of the cluster can be reached again", "since", g.Since, "until", g.Until, "lost", g.Lost, "missed", g.Missed)
	s.report(Failure{Name: FailureCluster, Err: g.Err, Reason: text})
}

// enterBus and exitBus say that there is a room, or a namespace (""), with sockets of this
// node, and that there is none any more. They may be called with any lock held.
func (n *Namespace) enterBus(room string, socket bool) {
	if n.srv.node != nil {
		n.srv.node.Enter(n.busName(), room, socket)
	}
}

func (n *Namespace) exitBus(room string, socket bool) {
	if n.srv.node != nil {
		n.srv.node.Exit(n.busName(), room, socket)
	}
}

// busName is the namespace's name among the nodes. That of a pattern stands for all
// namespaces that match, also those that exist on other nodes alone.
func (n *Namespace) busName() string {
	if n.many != nil {
		return n.many.bus
	}
	return n.path
}

// onBus is the namespace with a name among the nodes that exists here, or nil.
func (s *Server) onBus(name string) *Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n := s.namespaces[name]; n != nil {
		return n
	}
	for _, p := range s.patterns {
		if p.many.bus == name {
			return p
		}
	}
	return nil
}

// node is the way to the other nodes, nil when the target is of this one alone.
func (t Target) node() *node.Node {
	if n := t.bus(); n != nil && !t.here() {
		return n
	}
	return nil
}

// bus is node for those who ask themselves whether the target is here.
func (t Target) bus() *node.Node {
	if t.local || t.only != nil || t.some && len(t.rooms) == 0 {
		return nil
	}
	return t.ns.srv.node
}

// here reports whether the target is one socket of this node, by its id: that is no room for others.
func (t Target) here() bool {
	n := t.ns.srv.node
	if n == nil || len(t.rooms) != 1 || len(t.rooms[0]) != node.IDLength || !strings.HasPrefix(t.rooms[0], n.Name()) {
		return false
	}
	return t.ns.rooms.byID(t.rooms[0]) != nil
}

// message is the target as other nodes are told of it.
func (t Target) message(k cluster.Kind) cluster.Message {
	m := cluster.Message{Kind: k, Namespace: t.ns.busName(), Rooms: t.rooms, Except: t.except, Volatile: t.volatile}
	if t.skip != nil {
		m.Except = append(t.except[:len(t.except):len(t.except)], t.skip.id)
	}
	if r := t.ns.srv.recovery; len(m.Rooms) == 1 && (r == nil || r.journal == nil) { // else every node gets everything
		room, n := m.Rooms[0], t.ns.srv.node
		m.To = n.Owner(room)
		moves := m.To != "" && t.ns.srv.socketsMove()
		if moves {
			m.To = ""
		}
		if m.To == "" && (moves || t.ns.many != nil || t.ns.newRoom(room) || len(room) == node.IDLength && (!n.Settled() || n.Stray(room))) {
			// The rooms that nodes listen to are those of the namespaces that match, and
			// not of the pattern; nodes do not listen yet to rooms that are new to
			// them; an id may name a node that has not been heard yet, or not for a
			// while; and a socket may have been recovered by another node than its id
			// names. What is for two rooms reaches all nodes.
			m.Rooms = []string{room, room}
		}
	}
	return m
}

// tell has the other nodes do what was done here.
func (t Target) tell(k cluster.Kind, names ...string) {
	if n := t.node(); n != nil {
		if k == cluster.Join {
			t.ns.srv.newRooms.add(t.ns.busName(), names, time.Now())
		}
		m := t.message(k)
		m.Names = names
		n.Publish(&m)
	}
}

// publish has the other nodes emit an encoded event, and returns its number, 0 for none. It reports
// false when that is lost.
func (t Target) publish(n *node.Node, e *encoder) (number uint64, ok bool) {
	sender := ""
	if t.skip != nil {
		sender, t.skip = t.skip.id, nil
	}
	m := t.message(cluster.Emit)
	m.Data, m.Attachments = e.buf, e.parts
	if t.placed() {
		t.mark(&m)
	}
	return n.PublishExcept(&m, sender)
}

// spread emits to a target that stands for several namespaces. Other nodes have others that
// match: they look for themselves.
func (t Target) spread(n *node.Node, p packet.Packet, event string, args []any) error {
	members := t.ns.members()
	for _, m := range members {
		if fns := m.handlers().outgoing; len(fns) > 0 {
			t.ns.srv.show(fns, Outgoing{Event: event, Args: slices.Clone(args), Rooms: t.rooms})
		}
	}
	e := newEncoder(t.ns.srv.opts.JSON)
	defer e.free()
	if err := t.ns.srv.encode(e, event, true, args); err != nil {
		return err
	}
	if r := t.ns.srv.recovery; r != nil {
		r.beside.RLock()
		defer r.beside.RUnlock()
	}
	number, _ := t.publish(n, e)
	t.stamp = published(n, number)
	for _, m := range members {
		t.ns = m
		p.Namespace, p.Data, p.Attachments = m.path, e.buf, e.parts
		b := m.srv.newBroadcast(p)
		t.hand(b, nil, nil, nil)
		b.done()
	}
	return nil
}
