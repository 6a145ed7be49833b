package sio

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/packet"
)

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
			h.srv.recoveryGap(0, m.Names...)
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
				h.srv.recoveryGap(m.Position, m.Namespace)
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
			b.unplaced = true
		}
		t.hand(b, nil, nil, nil)
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
