package sio

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/packet"
)

// Ask implements node.Host: it asks clients of this node for another one.
func (h clusterHost) Ask(m *cluster.Message, asked func(ids []string), acked func(id string, data []byte, attachments [][]byte)) {
	t, ok := h.target(m)
	if !ok {
		asked(nil)
		return
	}
	if err := h.checkEvent(m); err != nil {
		h.malformed(m, err)
		asked(nil)
		return
	}
	type part struct {
		to   Target
		list []*Socket
		id   uint64
	}
	var parts []part
	var ids []string
	_ = t.split(func(t Target) error {
		p := part{to: t, list: t.sockets(), id: t.ns.nextID.Add(1) - 1}
		for _, s := range p.list {
			ids = append(ids, s.id)
		}
		parts = append(parts, p)
		return nil
	})
	asked(ids)
	if len(ids) == 0 {
		return
	}
	patience := m.Timeout
	if patience <= 0 {
		patience = h.srv.opts.AckTimeout
	}
	w := &relayed{pending: make(map[*Socket]uint64, len(ids)), acked: acked}
	attachments := cloned(m.Attachments)
	for _, p := range parts {
		b := h.srv.newBroadcast(packet.Packet{Type: packet.Event, Namespace: p.to.ns.path, ID: p.id, HasID: true, Data: m.Data, Attachments: attachments})
		for _, s := range p.list {
			if w.ask(s, p.id) {
				b.send(s, p.to.volatile)
			}
		}
		b.done()
	}
	w.wait(min(patience, maxRelayed))
}

// maxRelayed is how long clients may take at most to answer another node.
const maxRelayed = 10 * time.Minute

// relayed waits for the answers of clients to another node's question. Each entry of pending
// counts as one question of its client that is open (client.waiting): whoever takes an entry
// out counts it off, and answers for the client.
type relayed struct {
	acked func(id string, data []byte, attachments [][]byte)

	mu      sync.Mutex
	pending map[*Socket]uint64
	timer   *time.Timer
}

// ask has the answer of a client awaited. It reports false when the client has gone.
func (w *relayed) ask(s *Socket, id uint64) bool {
	w.mu.Lock()
	w.pending[s] = id
	w.mu.Unlock()
	s.client.waiting(1) // before an answer can come
	if err := s.expect(id, w, true); err != nil {
		w.answered(s, nil, err)
		return false
	}
	return true
}

// wait ends the waiting in time. All clients have been asked.
func (w *relayed) wait(patience time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) > 0 {
		w.timer = time.AfterFunc(patience, w.expired)
	}
}

func (w *relayed) answered(s *Socket, p *packet.Packet, err error) {
	w.mu.Lock()
	_, ok := w.pending[s]
	delete(w.pending, s)
	if len(w.pending) == 0 && w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	if !ok {
		return
	}
	s.client.waiting(-1)
	if err != nil { // the client has gone: nobody need wait for it
		w.acked(s.id, nil, nil)
		return
	}
	p.Restore()
	w.acked(s.id, jsontext.AppendArray(nil, p.Args), p.Attachments)
}

// expired gives up the clients that have not answered.
func (w *relayed) expired() {
	w.mu.Lock()
	pending := w.pending
	w.pending = nil
	w.mu.Unlock()
	for s, id := range pending {
		s.forgetCall(id)
		s.client.waiting(-1)
	}
}

// remoteAnswers are what clients of other nodes have answered.
type remoteAnswers struct {
	done chan struct{} // closed when the rest is complete
	err  error

	// take writes these, one call at a time.
	asked   []string            // ids of sockets, as far as their nodes say them
	named   map[string]int      // how many of them each node has said
	said    map[string]struct{} // the nodes that have said of all whom, or how many, they have asked
	gone    map[string]struct{} // ids of those that have left
	unnamed int                 // sockets that have not answered, of nodes that do not say their ids
	answers []remoteAnswer
}

type remoteAnswer struct {
	id          string
	data        []byte
	attachments [][]byte
}

// askOthers asks the clients of other nodes, and does not wait. It returns nil when there
// are no other nodes to ask.
func (t Target) askOthers(ctx context.Context, event string, args []any) (*remoteAnswers, error) {
	n := t.node()
	if n == nil && t.ns.srv.serves() {
		return nil, nil
	}
	if ReservedEvent(event) {
		return nil, errReserved(event)
	}
	e := newEncoder(t.ns.srv.opts.JSON)
	defer e.free()
	if err := t.ns.srv.encode(e, event, true, args); err != nil || n == nil {
		return nil, err
	}
	m := t.message(cluster.Emit)
	m.Data, m.Attachments, m.Timeout = append([]byte(nil), e.buf...), e.parts, t.ns.srv.opts.AckTimeout
	if at, ok := ctx.Deadline(); ok {
		m.Timeout = max(time.Until(at), time.Millisecond)
	}
	w := &remoteAnswers{done: make(chan struct{}), named: make(map[string]int), said: make(map[string]struct{}), gone: make(map[string]struct{})}
	go func() {
		defer close(w.done)
		w.err = n.Request(ctx, &m, w.take)
	}()
	return w, nil
}

func (w *remoteAnswers) take(m *cluster.Message) {
	switch {
	case m.Kind == cluster.Asked:
		w.asked = append(w.asked, m.Names...)
		w.named[m.Node] += len(m.Names)
		if len(m.Names) == 0 {
			w.unnamed += max(0, m.Number)
		}
		if len(m.Names) == 0 || w.named[m.Node] >= m.Number {
			w.said[m.Node] = struct{}{}
		}
	case m.Kind == cluster.Acked && len(m.Data) == 0:
		for _, id := range m.Names {
			w.gone[id] = struct{}{}
		}
	case m.Kind == cluster.Acked:
		c := m.Clone()
		a := remoteAnswer{data: c.Data, attachments: c.Attachments}
		if len(c.Names) > 0 {
			a.id = c.Names[0]
		} else {
			w.unnamed--
		}
		w.answers = append(w.answers, a)
	}
}

// appendRemote appends the answers of clients of other nodes. Those that did not answer
// are named when their node has said who they are, and counted when it has not.
func appendRemote[Out any](srv *Server, answers []Answer[Out], w *remoteAnswers, decode func(Args) (Out, error)) ([]Answer[Out], error) {
	if w == nil {
		return answers, nil
	}
	<-w.done
	heard := make(map[string]bool)
	for _, a := range w.answers {
		heard[a.id] = true
		out := Answer[Out]{ID: a.id}
		out.Value, out.Err = decodedOf(srv, decode, a.data, a.attachments)
		answers = append(answers, out)
	}
	for _, id := range w.asked {
		if heard[id] {
			continue
		}
		a := Answer[Out]{ID: id, Err: ErrAckTimeout}
		if _, gone := w.gone[id]; gone {
			a.Err = ErrDisconnected
		}
		answers = append(answers, a)
	}
	for range w.unnamed {
		answers = append(answers, Answer[Out]{Err: ErrAckTimeout})
	}
	return answers, w.missing()
}

// missing is the error about nodes that have not answered. One that has said whom it has
// asked, or how many, is not among them when its clients have not answered in time: they
// have an Answer. When no node has, it may not be known who there is.
func (w *remoteAnswers) missing() error {
	var m *cluster.Missing
	if !errors.As(w.err, &m) || errors.Is(w.err, cluster.ErrGone) || errors.Is(w.err, cluster.ErrDown) || errors.Is(w.err, cluster.ErrClosed) {
		return w.err
	}
	nodes := slices.DeleteFunc(slices.Clone(m.Nodes), func(name string) bool {
		_, said := w.said[name]
		return said
	})
	if len(nodes)+m.Others == 0 && len(w.said) > 0 {
		return nil
	}
	return &cluster.Missing{Nodes: nodes, Others: m.Others, Err: m.Err}
}

// decodedOf decodes arguments that another node has sent.
func decodedOf[Out any](srv *Server, decode func(Args) (Out, error), data []byte, attachments [][]byte) (out Out, err error) {
	raw, err := jsontext.Split(data, nil, srv.opts.Limits.Depth)
	if err != nil {
		return out, &Error{Code: CodeBadArgument, Message: "the answer is no list of arguments", cause: err}
	}
	err = errExit
	defer srv.caught(inDecode, "", nil, nil, &err)
	out, err = decode(Args{raw: raw, attachments: attachments, json: srv.opts.JSON})
	return out, settled(err)
}

// count is how many sockets the target has here.
func (t Target) count() (n int) {
	_ = t.split(func(t Target) error {
		t.each(func(*Socket) { n++ })
		return nil
	})
	return n
}

// Count returns how many sockets the target has, those on other nodes of a cluster
// included. When a node does not answer, the number is that of the others, and the error is
// a *cluster.Missing that says which.
func (t Target) Count(ctx context.Context) (int, error) {
	total := t.count()
	n := t.node()
	if n == nil {
		return total, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, clusterRequestTimeout, cluster.ErrRequestTimeout)
	defer cancel()
	m := t.message(cluster.Count)
	if n.Mixed(ctx, m.Namespace) { // processes of Node do not count; they say who is there
		m.Kind, m.OnlyIDs = cluster.Fetch, true
	}
	err := n.Request(ctx, &m, func(m *cluster.Message) {
		if m.Kind == cluster.Counted {
			total += max(0, m.Number)
		}
		total += len(m.Sockets)
	})
	return total, err
}

// others yields the sockets of other nodes as they are told of.
func (t Target) others(ctx context.Context, n *node.Node, yield func(RemoteSocket, error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := t.message(cluster.Fetch)
	var mu sync.Mutex
	var list []RemoteSocket
	come := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- n.Request(ctx, &m, func(m *cluster.Message) {
			mu.Lock()
			for _, s := range m.Clone().Sockets {
				// For Node the id is a room like others; here it is none.
				rooms := slices.DeleteFunc(s.Rooms, func(room string) bool { return room == s.ID })
				list = append(list, remoteSocket{t.ns, s.ID, rooms})
			}
			mu.Unlock()
			select {
			case come <- struct{}{}:
			default:
			}
		})
	}()
	more := func() bool {
		mu.Lock()
		batch := list
		list = nil
		mu.Unlock()
		for _, s := range batch {
			if !yield(s, nil) {
				return false
			}
		}
		return true
	}
	for {
		select {
		case <-come:
			if !more() {
				return
			}
		case err := <-done:
			if more() && err != nil {
				yield(nil, err)
			}
			return
		}
	}
}

// remoteSocket is a socket on another node.
type remoteSocket struct {
	ns    *Namespace
	id    string
	rooms []string
}

var _ RemoteSocket = remoteSocket{}

func (s remoteSocket) target() Target                       { return s.ns.To(s.id) }
func (s remoteSocket) ID() string                           { return s.id }
func (s remoteSocket) Rooms() []string                      { return append([]string(nil), s.rooms...) }
func (s remoteSocket) Emit(event string, args ...any) error { return s.target().Emit(event, args...) }
func (s remoteSocket) Join(rooms ...string)                 { s.target().Join(rooms...) }
func (s remoteSocket) Leave(rooms ...string)                { s.target().Leave(rooms...) }
func (s remoteSocket) Disconnect()                          { s.target().Disconnect() }
