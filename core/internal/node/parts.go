package node

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/siokit/siokit/core/cluster"
)

// An answer that is a list is published in parts of maxPart bytes, far below what any bus takes
// (NATS: 1 MiB unless it is configured otherwise), and of one node no more than maxParts are
// taken: nobody's answer is to use up the memory.
const (
	maxPart  = 256 << 10
	maxParts = 1024
)

// maxRefused is how many bytes a message has that the bus may have refused for its size.
const maxRefused = 4 << 10

// parts are those of an answer that have come.
type parts struct {
	n     int // messages
	items int
}

// part notes an answer of a node, or a part of one; r.mu is held. It reports false when the
// answer does not count.
func (r *request) part(m *cluster.Message) bool {
	items := len(m.Sockets)
	if m.Kind == cluster.Asked {
		items = len(m.Names)
	}
	p := r.parts[m.Node]
	p.n++
	p.items += items
	if items == 0 || p.items >= m.Number || len(m.Node) != NameLength {
		delete(r.parts, m.Node)
		return r.node(m.Node)
	}
	if _, again := r.heard[m.Node]; again || p.n > maxParts || p.n == 1 && len(r.parts) >= maxHeard {
		return false
	}
	if r.parts == nil {
		r.parts = make(map[string]parts)
	}
	r.parts[m.Node] = p
	return true
}

// cannot is for a node that says that it cannot answer; r.mu is held.
func (r *request) cannot(m *cluster.Message) {
	if _, waits := r.waiting[m.Node]; !waits {
		return
	}
	var said []struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	text := "no reason given"
	if json.Unmarshal(m.Data, &said) == nil && len(said) > 0 && said[0].Error.Message != "" {
		text = said[0].Error.Message
	}
	delete(r.waiting, m.Node)
	r.loses(m.Node)
	if r.why == nil {
		r.why = fmt.Errorf("cluster: the node %s cannot answer: %.200s", m.Node, text)
	}
	r.check()
}

// sayTheSockets publishes an answer with sockets.
func (n *Node) sayTheSockets(a cluster.Message, list []cluster.Socket) {
	size := func(i int) int {
		s := &list[i]
		size := 16 + len(s.ID) + len(s.Data) + len(s.Handshake)
		for _, r := range s.Rooms {
			size += 4 + len(r)
		}
		return size
	}
	n.inParts(&a, len(list), size, func(from, to int, all bool) {
		if a.Sockets = list[from:to]; !all {
			a.Number = len(list)
		}
	})
}

// sayTheAsked publishes an answer with the ids of those who were asked.
func (n *Node) sayTheAsked(a cluster.Message, ids []string) {
	n.inParts(&a, len(ids), func(i int) int { return 4 + len(ids[i]) }, func(from, to int, _ bool) { a.Names = ids[from:to] })
}

// inParts publishes an answer that is a list, of which set sets a part. Processes of Node do
// not know parts.
func (n *Node) inParts(a *cluster.Message, items int, size func(i int) int, set func(from, to int, all bool)) {
	var ends []int
	for i, bytes := 0, 0; i < items && len(a.To) == NameLength; i++ {
		if bytes += size(i); bytes > maxPart && i > 0 {
			ends = append(ends, i)
			bytes = size(i)
		}
	}
	if len(ends) >= maxParts {
		n.cannot(a.To, a, "the answer is too large")
		return
	}
	from := 0
	for _, to := range append(ends, items) {
		set(from, to, len(ends) == 0)
		n.Publish(a)
		from = to
	}
}

// cannot answers a request with an error, so that who asks need not wait. The text is public.
func (n *Node) cannot(asker string, m *cluster.Message, text string) {
	if m.ID == "" {
		return
	}
	n.Publish(&cluster.Message{
		Kind: cluster.Answer, To: asker, Namespace: m.Namespace, ID: m.ID,
		Data: fmt.Appendf(nil, `[{"error":{"code":"internal","message":%q}}]`, text),
	})
}

// unanswered is for messages that the bus has not taken, for what they are: who waits for one of
// them that was large hears so. After an error of another kind the bus would not take that either.
func (n *Node) unanswered(ms []*cluster.Message, err error) {
	var some cluster.Partial
	if !errors.As(err, &some) || errors.Is(err, cluster.ErrDown) || n.gaps.down.Load() {
		return
	}
	for _, m := range ms {
		siokit := len(m.To) == NameLength
		switch {
		case m.ID == "" || sizeOf(m) < maxRefused: // small as the answer in its place
		case m.Kind == cluster.Answer, siokit && m.Kind >= cluster.Sockets && m.Kind <= cluster.Asked:
			n.cannot(m.To, m, "the bus has not taken the answer, which may be too large")
		case siokit && m.Kind == cluster.Acked: // as if the client had left
			n.Publish(&cluster.Message{Kind: cluster.Acked, To: m.To, Namespace: m.Namespace, ID: m.ID, Names: m.Names, Single: m.Single})
		}
	}
}

// sizeOf is about how many bytes an answer has.
func sizeOf(m *cluster.Message) int {
	size := len(m.Data) + messageCost*len(m.Sockets)
	for _, a := range m.Attachments {
		size += len(a)
	}
	for _, s := range m.Names {
		size += len(s)
	}
	for _, s := range m.Sockets {
		for _, r := range s.Rooms {
			size += len(r)
		}
	}
	return size
}
