package node

import (
	"slices"
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// receiver is what the backend sees of a Node.
type receiver struct{ n *Node }

var _ cluster.Receiver = receiver{}

func (r receiver) Up() {
	r.n.members.spare(time.Now())
	r.n.gaps.set(false, nil, time.Now())
	r.n.greet.Store(true)
	r.n.out.signal()
}

// Down ends the open requests: their answers are lost, or were never asked for.
func (r receiver) Down(err error) {
	if err == nil {
		err = cluster.ErrDown
	}
	r.n.gaps.set(true, err, time.Now())
	for _, q := range r.n.requests.all() {
		q.fail(cluster.ErrDown)
	}
}

func (r receiver) Lost(n int, err error) { r.n.gaps.lose(0, n, err, time.Now()) }

func (r receiver) Receive(m *cluster.Message) {
	n := r.n
	if m.Node == n.name {
		n.twin(m)
		return
	}
	if m.To != "" && m.To != n.name {
		return
	}
	n.received.Add(1)
	n.members.seen(m.Node, time.Now())
	switch m.Kind {
	case cluster.Hello:
		n.arrived(m)
		n.say(cluster.Heartbeat)
	case cluster.Heartbeat:
		n.arrived(m)
	case cluster.Bye:
		n.left(m.Node)
	case cluster.Sockets, cluster.Counted, cluster.Rooms, cluster.Answer, cluster.Asked, cluster.Acked:
		if q := n.requests.get(m.ID); q != nil && m.To == n.name {
			q.answered(m)
		}
	case cluster.ServerEvent:
		if !n.events.add(clone(m)) {
			n.gaps.lose(0, 1, errSlowHandler, time.Now())
		}
	default:
		n.ask(m)
	}
}

// ask does what another node says, and answers what it asks.
func (n *Node) ask(m *cluster.Message) {
	reply := cluster.Message{To: m.Node, Namespace: m.Namespace, ID: m.ID}
	switch {
	case m.Kind == cluster.Emit && m.ID != "":
		single := m.Single
		asked := reply
		asked.Kind = cluster.Asked
		acked := reply
		acked.Kind = cluster.Acked
		n.host.Ask(m, func(ids []string) {
			a := asked
			a.Number, a.Names, a.Single = len(ids), ids, single
			n.Publish(&a)
		}, func(id string, data []byte, attachments [][]byte) {
			a := acked
			a.Names, a.Data, a.Attachments = []string{id}, data, attachments
			n.Publish(&a)
		})
	case m.Kind == cluster.Fetch:
		reply.Kind, reply.Sockets, reply.OnlyIDs = cluster.Sockets, n.host.Sockets(m), m.OnlyIDs
		n.Publish(&reply)
	case m.Kind == cluster.Count:
		reply.Kind, reply.Number = cluster.Counted, n.host.Count(m)
		n.Publish(&reply)
	case m.Kind == cluster.ListRooms:
		reply.Kind, reply.Names = cluster.Rooms, n.host.Rooms(m.Namespace)
		n.Publish(&reply)
	case m.Kind >= cluster.Emit && m.Kind <= cluster.CloseTransport:
		n.host.Deliver(m)
	}
}

// serverEvent runs the application's handlers of a server event.
func (n *Node) serverEvent(m *cluster.Message) {
	n.host.ServerEvent(m, func(data []byte, attachments [][]byte) {
		if m.ID != "" {
			n.Publish(&cluster.Message{Kind: cluster.Answer, To: m.Node, Namespace: m.Namespace, ID: m.ID, Data: data, Attachments: attachments})
		}
	})
}

// arrived takes up a node.
func (n *Node) arrived(m *cluster.Message) {
	if m.Node != "" && n.members.add(m.Node, m.Info, time.Now()) {
		n.host.Joined(m.Node)
	}
}

// left gives up a node, and what requests wait for from it.
func (n *Node) left(name string) {
	if !n.members.remove(name) {
		return
	}
	for _, q := range n.requests.all() {
		q.gone(name)
	}
	if n.counter != nil {
		n.recount()
	}
	n.host.Left(name)
}

// twin looks at a message under this node's own name: an echo, or another node that has
// the same.
func (n *Node) twin(m *cluster.Message) {
	if (m.Kind == cluster.Hello || m.Kind == cluster.Heartbeat) && m.ID != n.instance {
		n.opts.Logger.Error("siokit: two nodes of the cluster have one name: sockets of one are taken for those of the other", "name", n.name)
	}
}

// clone is a message that is kept.
func clone(m *cluster.Message) *cluster.Message {
	c := *m
	c.Rooms, c.Except, c.Names, c.Sockets = slices.Clone(m.Rooms), slices.Clone(m.Except), slices.Clone(m.Names), slices.Clone(m.Sockets)
	c.Data = slices.Clone(m.Data)
	c.Attachments = slices.Clone(m.Attachments)
	for i, a := range c.Attachments {
		c.Attachments[i] = slices.Clone(a)
	}
	return &c
}
