package sio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
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
		t.hand(b, func(b *broadcast) { b.sendTo(t) }, nil, nil)
		b.done()
	}
	return nil
}

// clusterHost does here what other nodes say.
type clusterHost struct{ srv *Server }

var _ node.Host = clusterHost{}

// target is the target of a message, of the sockets here. It reports false when there are
// none.
func (h clusterHost) target(m *cluster.Message) (Target, bool) {
	ns := h.srv.onBus(m.Namespace)
	if ns == nil {
		return Target{}, false
	}
	return Target{ns: ns, rooms: m.Rooms, except: m.Except, some: len(m.Rooms) > 0, volatile: m.Volatile, local: true}, true
}

// Deliver implements node.Host.
func (h clusterHost) Deliver(m *cluster.Message) {
	if m.Kind == cluster.Gap {
		if r := h.srv.recovery; r != nil && r.journal != nil {
			r.gapped(m)
		} else {
			h.srv.recoveryGap(m.Names)
		}
		return
	}
	if m.Node == h.srv.node.Name() && !h.own(m) {
		return
	}
	t, ok := h.target(m)
	if !ok {
		return
	}
	switch m.Kind {
	case cluster.Emit:
		if err := h.checkEvent(m); err != nil {
			if err == errNested && !m.Volatile { // the sender's own clients have it
				h.srv.recoveryGap([]string{m.Namespace})
			}
			h.malformed(m, err)
			return
		}
		h.emit(t, m)
	case cluster.Join:
		t.Join(m.Names...)
	case cluster.Leave:
		t.Leave(m.Names...)
	case cluster.LeaveAll:
		t.LeaveAll()
	case cluster.Disconnect:
		t.Disconnect()
	case cluster.Close:
		t.CloseConns()
	case cluster.CloseTransport:
		t.CloseTransport()
	}
}

// errNested is an event that a node with other Limits may well have sent.
var errNested = errors.New("sio: an event of another node is nested deeper than Limits.Depth")

// checkEvent says what is wrong with an event: whoever can write to the bus must not bring
// clients to close their connections.
func (h clusterHost) checkEvent(m *cluster.Message) error {
	deep := !jsontext.Valid(m.Data, h.srv.opts.Limits.Depth)
	if !utf8.Valid(m.Data) || deep && !jsontext.Valid(m.Data, 0) {
		return errors.New("sio: an event of another node is no JSON, or nested far too deep")
	}
	name, ok := jsontext.FirstString(m.Data)
	if !ok {
		return fmt.Errorf("sio: an event of another node has no name")
	}
	if ReservedEvent(string(name)) {
		return errReserved(string(name))
	}
	if !compact(m.Data) {
		return fmt.Errorf("sio: an event of another node has white space around its array or its name")
	}
	if len(m.Attachments) > 0 && !jsontext.EachPlaced(m.Data, len(m.Attachments)) {
		return errPlaceholder
	}
	if deep {
		return errNested
	}
	return nil
}

// compact reports whether a valid event has no white space around its array and its name. No node
// writes any, and what passes an event on puts an offset in front of its last byte, or cuts its array
// behind the name.
func compact(event []byte) bool {
	if event[0] != '[' || event[1] != '"' || event[len(event)-1] != ']' {
		return false
	}
	end := jsontext.SkipString(event, 1)
	return event[end] == ',' || end == len(event)-1
}

// malformed reports what no node of siokit with the same Limits sends.
func (h clusterHost) malformed(m *cluster.Message, err error) {
	reason := "malformed message of another node"
	if errors.Is(err, errNested) {
		reason = "event of another node beyond Limits.Depth"
	}
	if _, ok := h.srv.notices.Allow(FailureCluster, m.Node); ok {
		h.srv.opts.Logger.Warn("siokit: "+reason, "node", m.Node, "namespace", m.Namespace, "error", err)
	}
	if h.srv.strange.Add(1) > maxClusterReports {
		h.srv.strange.Add(-1)
		h.srv.failures.count(FailureCluster)
		return
	}
	f := Failure{Name: FailureCluster, Namespace: m.Namespace, Err: err, Reason: reason}
	go func() { // OnError may take its time, and ask the other nodes: what comes from the bus goes on
		defer h.srv.strange.Add(-1)
		h.srv.report(f)
	}()
}

// emit sends the event of a message to sockets here.
func (h clusterHost) emit(t Target, m *cluster.Message) {
	attachments := cloned(m.Attachments)
	_ = t.unmark(m.Node).split(func(t Target) error {
		p := packet.Packet{Type: packet.Event, Namespace: t.ns.path, Data: m.Data, Attachments: attachments}
		b := h.srv.newBroadcast(p)
		b.position = m.Position
		if l := t.ns.log(); m.Position == 0 && !m.Volatile && l.journaled() {
			l.nowhere()
		}
		t.hand(b, func(b *broadcast) { b.sendTo(t) }, nil, nil)
		b.done()
		return nil
	})
}

// cloned are attachments that are the caller's own: they wait until they are written, and
// those of a message are the backend's again before.
func cloned(attachments [][]byte) (own [][]byte) {
	for _, a := range attachments {
		own = append(own, bytes.Clone(a))
	}
	return own
}

// Sockets implements node.Host. The servers for Node ask for the handshakes; what in
// them may be secret stays here.
func (h clusterHost) Sockets(m *cluster.Message) (list []cluster.Socket) {
	t, ok := h.target(m)
	if !ok {
		return nil
	}
	t.every(func(s *Socket) {
		c := cluster.Socket{ID: s.id}
		if !m.OnlyIDs {
			c.Rooms = s.Rooms()
			if len(m.Node) != node.NameLength {
				c.Rooms = append([]string{s.id}, c.Rooms...)
				c.Handshake = s.handshake()
			}
		}
		list = append(list, c)
	})
	return list
}

// Count implements node.Host.
func (h clusterHost) Count(m *cluster.Message) (n int) {
	if r := h.srv.recovery; m.Namespace == "" && r != nil && r.journal != nil {
		return r.holds(m.Rooms)
	}
	if n, polled := h.srv.polled(m); polled {
		return n
	}
	if t, ok := h.target(m); ok {
		n = t.count()
	}
	return n
}

// Rooms implements node.Host.
func (h clusterHost) Rooms(namespace string) (names []string) {
	t, ok := h.target(&cluster.Message{Namespace: namespace})
	if !ok {
		return nil
	}
	rooms := make(map[string]int)
	for _, n := range t.ns.members() {
		n.rooms.count(rooms)
	}
	t.every(func(s *Socket) { rooms[s.id]++ })
	for name := range rooms {
		names = append(names, name)
	}
	return names
}

// handshake is the handshake of a socket as the servers for Node describe theirs, without
// headers, query and auth, which hold cookies and tokens.
func (s *Socket) handshake() []byte {
	r := s.client.req
	data, _ := s.ns.srv.marshal(map[string]any{
		"headers": struct{}{}, "query": struct{}{}, "auth": struct{}{}, "time": "", "issued": 0,
		"address": r.ClientIP, "xdomain": false, "secure": r.Secure(), "url": "",
	})
	return data
}
