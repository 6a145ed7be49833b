package node

import (
	"time"

	"github.com/siokit/siokit/core/cluster"
)

// receiver is what the backend sees of a Node.
type receiver struct{ n *Node }

var _ cluster.Receiver = receiver{}

func (r receiver) Up() {
	n := r.n
	if n.closed.Load() {
		return
	}
	n.members.spare(time.Now())
	n.greeting.begin()
	n.interests.again()
	n.gaps.set(false, nil, time.Now())
	n.meet.Do(func() { close(n.met) })
	n.emitter.release()
	n.signal()
	if n.appends != nil {
		n.appends.Back()
	}
}

// Down ends the open requests: their answers are lost, or were never asked for.
func (r receiver) Down(err error) {
	n := r.n
	if n.closed.Load() {
		return
	}
	if err == nil {
		err = cluster.ErrDown
	}
	n.gaps.set(true, err, time.Now())
	n.meet.Do(func() { close(n.met) })
	n.interests.away()
	n.greeting.abort()
	n.emitter.release()
	n.signal()
	if n.appends != nil {
		n.appends.Away()
	}
	for _, q := range n.requests.all() {
		q.fail(cluster.ErrDown)
	}
}

func (r receiver) Lost(n int, err error) {
	if (n > 0 || err != nil) && !r.n.closed.Load() {
		if n == 0 { // it may be a subscription: Watch gets the refusal
			r.n.interests.doubts(err)
		}
		r.n.gaps.miss(n, err, time.Now())
		if r.n.appends != nil {
			r.n.appends.Missed()
		}
	}
}

func (r receiver) Receive(m *cluster.Message) {
	n := r.n
	if n.closed.Load() {
		return
	}
	if m.Node == n.name {
		if m.Position > 0 && n.appends != nil {
			n.host.Deliver(m)
		} else {
			n.twin(m)
		}
		return
	}
	n.members.seen(m.Node, time.Now())
	if m.To != "" && m.To != n.name {
		return
	}
	if n.emitter != nil && !heard(m.Kind) {
		return
	}
	switch m.Kind {
	case cluster.Hello:
		n.arrived(m)
		n.asked.Store(true)
		n.signal()
		return
	case cluster.Heartbeat:
		n.arrived(m)
		return
	case cluster.Gap:
		n.host.Deliver(m)
		return
	case cluster.Bye:
		if n.members.remove(m.Node, m.ID) {
			n.lost(m.Node, nil)
		}
		return
	case cluster.Sockets, cluster.Counted, cluster.Rooms, cluster.Answer, cluster.Asked, cluster.Acked:
		if q := n.requests.get(m.ID); q != nil {
			q.answered(m)
		}
	case cluster.ServerEvent:
		if m.To != "" {
			n.host.Question(m, n.answer(m))
		} else if !n.event(m) {
			n.gaps.lose(0, 1, errSlowHandler, time.Now())
			n.cannot(m.Node, m, "too many events for servers wait")
		}
	default:
		n.told(m)
	}
	n.received.Add(1)
}

// told does what another node says, and answers what it asks. The answer to somebody
// without a name goes to all: the backend knows what to do with it.
func (n *Node) told(m *cluster.Message) {
	reply := cluster.Message{To: m.Node, Namespace: m.Namespace, ID: m.ID}
	switch {
	case m.Kind == cluster.Emit && m.ID != "":
		n.ask(m, reply)
	case m.Kind == cluster.Fetch:
		reply.Kind, reply.OnlyIDs = cluster.Sockets, m.OnlyIDs
		n.sayTheSockets(reply, n.host.Sockets(m))
	case m.Kind == cluster.Count:
		reply.Kind, reply.Number = cluster.Counted, n.host.Count(m)
		n.Publish(&reply)
	case m.Kind == cluster.ListRooms:
		reply.Kind, reply.Names = cluster.Rooms, n.host.Rooms(m.Namespace)
		n.Publish(&reply)
	case m.Kind >= cluster.Emit && m.Kind <= cluster.CloseTransport || m.Kind == cluster.Gap:
		n.host.Deliver(m)
	}
}

// ask sends an event whose acks another node wants.
func (n *Node) ask(m *cluster.Message, reply cluster.Message) {
	reply.Single = m.Single
	n.host.Ask(m, func(ids []string) {
		a := reply
		a.Kind, a.Number = cluster.Asked, len(ids)
		n.sayTheAsked(a, ids)
	}, func(id string, data []byte, attachments [][]byte) {
		if len(data) == 0 && len(reply.To) != NameLength {
			return // nodes of other kinds cannot be told that a client has left
		}
		a := reply
		a.Kind, a.Names, a.Data, a.Attachments = cluster.Acked, []string{id}, data, attachments
		n.Publish(&a)
	})
}

// serverEvent runs the application's handlers of a server event.
func (n *Node) serverEvent(m *cluster.Message) { n.host.ServerEvent(m, n.answer(m)) }

// answer returns what publishes the answer to a server event.
func (n *Node) answer(m *cluster.Message) func(data []byte, attachments [][]byte) {
	reply := cluster.Message{Kind: cluster.Answer, To: m.Node, Namespace: m.Namespace, ID: m.ID}
	return func(data []byte, attachments [][]byte) {
		if reply.ID != "" {
			a := reply
			a.Data, a.Attachments = data, attachments
			n.Publish(&a)
		}
	}
}

// arrived takes up a node. Who serves nobody says Hello to learn who is there, and is none.
func (n *Node) arrived(m *cluster.Message) {
	if emits(m) {
		return
	}
	switch n.members.add(m.Node, m.ID, m.Info, time.Now()) {
	case arrived:
		n.signalNews()
	case replaced:
		n.given(m.Node, cluster.ErrGone)
	case refused:
		if _, ok := n.notices.Allow("refused", ""); ok {
			n.opts.Logger.Warn("siokit: a node of the cluster is ignored: its name is too long, or there are too many nodes", "nodes", maxMembers)
		}
	}
}

// lost is for a node that is not among the members any more. With an error it owes what it
// has not answered; without, it has left with its sockets, and owes nothing.
func (n *Node) lost(name string, err error) {
	n.given(name, err)
	n.signalNews()
}

// given gives up what open requests wait for from a node.
func (n *Node) given(name string, err error) {
	for _, q := range n.requests.all() {
		q.gone(name, err)
	}
}

// twin looks at a message under this node's own name: an echo, or another node that has
// the same.
func (n *Node) twin(m *cluster.Message) {
	if (m.Kind == cluster.Hello || m.Kind == cluster.Heartbeat) && m.ID != n.instance {
		if _, ok := n.notices.Allow("twin", ""); ok {
			n.opts.Logger.Error("siokit: two nodes of the cluster have one name: they do not hear each other, and sockets of one are taken for those of the other", "name", n.name)
		}
	}
}
