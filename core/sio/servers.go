package sio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/jsontext"
)

// serverHandler handles an event that another server has sent.
type serverHandler func(ctx context.Context, a Args) ([]any, error)

// HandleServers registers the function for an event that other servers of the cluster send
// with Namespace.EmitServers; it is what io.on is for serverSideEmit of the servers for
// Node. Events of one namespace are handled one after the other, by no client's
// connection, so fn must not ask the same namespace with CallServers: when two servers do so at
// once each waits for the other until the time is over. What takes long belongs into a goroutine
// of its own: when 1 024 events wait, further ones are dropped (FailureCluster), and a question
// is answered with an error. ctx ends with Server.Shutdown. Arguments are decoded as by Handle. It panics
// when the event has a function already.
func HandleServers[In any](n *Namespace, event string, fn func(ctx context.Context, in In) error) {
	if fn == nil {
		panic("sio: HandleServers with a nil function")
	}
	dec := decoderOf[In]()
	n.onServers(event, func(ctx context.Context, a Args) ([]any, error) {
		in, err := dec(a)
		if err != nil {
			return nil, err
		}
		return nil, settled(fn(ctx, in))
	})
}

// ReplyServers is HandleServers for an event that CallServers asks an answer to: what fn
// returns.
func ReplyServers[In, Out any](n *Namespace, event string, fn func(ctx context.Context, in In) (Out, error)) {
	if fn == nil {
		panic("sio: ReplyServers with a nil function")
	}
	dec := decoderOf[In]()
	n.onServers(event, func(ctx context.Context, a Args) ([]any, error) {
		in, err := dec(a)
		if err != nil {
			return nil, err
		}
		out, err := fn(ctx, in)
		if err := settled(err); err != nil {
			return nil, err
		}
		return []any{out}, nil
	})
}

func (n *Namespace) onServers(event string, h serverHandler) {
	n.change(fmt.Sprintf("server event %q", event), false, func(hs *hooks) {
		if hs.servers[event] != nil {
			panic(fmt.Sprintf("sio: server event %q of namespace %s has a function already", event, n.path))
		}
		next := make(map[string]serverHandler, len(hs.servers)+1)
		for name, h := range hs.servers {
			next[name] = h
		}
		next[event] = h
		hs.servers = next
	})
}

// EmitServers sends an event to the other servers of the cluster, and to none of their
// clients; those that have registered it with HandleServers in this namespace handle it.
// This server does not. Without a cluster it does nothing. The error says which argument
// cannot be encoded, or is cluster.ErrClosed after Emitter.Close.
func (n *Namespace) EmitServers(event string, args ...any) error {
	if n.srv.node == nil {
		return nil
	}
	e := newEncoder(n.srv.opts.JSON)
	defer e.free()
	if err := n.srv.encode(e, event, true, args); err != nil {
		return err
	}
	m := cluster.Message{Kind: cluster.ServerEvent, Namespace: n.busName(), Data: e.buf, Attachments: e.parts}
	return n.srv.emitted(n.srv.node.Publish(&m))
}

// CallServers sends an event to the other servers of the cluster and waits until all of
// them have answered, or ctx, or five seconds, are over. There is an Answer for each server
// that has answered; its ID is the name of the node, "" for a server for Node, which says
// none. The error is a *cluster.Missing that says who has not answered.
func CallServers[Out any](ctx context.Context, n *Namespace, event string, args ...any) ([]Answer[Out], error) {
	if n.srv.node == nil {
		return nil, nil
	}
	e := newEncoder(n.srv.opts.JSON)
	defer e.free()
	if err := n.srv.encode(e, event, true, args); err != nil {
		return nil, err
	}
	var got []*cluster.Message
	m := cluster.Message{Kind: cluster.ServerEvent, Namespace: n.busName(), Data: e.buf, Attachments: e.parts}
	err := n.srv.node.Request(ctx, &m, func(m *cluster.Message) { got = append(got, m.Clone()) })
	decode := decoderOf[Out]()
	answers := make([]Answer[Out], 0, len(got))
	for _, m := range got {
		a := Answer[Out]{ID: m.Node}
		if refused := errorIn(m.Data); refused != nil {
			a.Err = refused
		} else {
			a.Value, a.Err = decodedOf(n.srv, decode, m.Data, m.Attachments)
		}
		answers = append(answers, a)
	}
	return answers, err
}

// errorIn is the error that an answer is, or nil.
func errorIn(data []byte) *Error {
	raw, err := jsontext.Split(data, nil, 0)
	if err != nil || len(raw) != 1 {
		return nil
	}
	var a struct {
		Error *Error `json:"error"`
	}
	if json.Unmarshal(raw[0], &a) != nil || a.Error == nil || a.Error.Code == "" {
		return nil
	}
	return a.Error
}

// ServerEvent implements node.Host. An event without a function is answered with an error,
// because a server that says nothing keeps those who ask waiting.
func (h clusterHost) ServerEvent(m *cluster.Message, answer func(data []byte, attachments [][]byte)) {
	out, err := h.serverEvent(m)
	if m.ID == "" {
		return
	}
	if err != nil {
		out = []any{errorAck{h.srv.public(err)}}
	}
	e := newEncoder(h.srv.opts.JSON)
	defer e.free()
	if err := h.srv.encode(e, "", false, out); err != nil {
		answer([]byte(`[{"error":{"code":"internal","message":"internal error"}}]`), nil)
		return
	}
	answer(e.buf, e.parts)
}

func (h clusterHost) serverEvent(m *cluster.Message) (out []any, err error) {
	raw, err := jsontext.Split(m.Data, nil, h.srv.opts.Limits.Depth)
	if err != nil || len(raw) == 0 || raw[0][0] != '"' {
		h.malformed(m, fmt.Errorf("sio: a server event without a name: %v", err))
		return nil, Errorf(CodeBadArgument, "no event")
	}
	event := string(jsontext.Unquote(raw[0]))
	ns := h.srv.onBus(m.Namespace)
	if ns == nil || ns.handlers().servers[event] == nil {
		return nil, Errorf(CodeRefused, "no such server event: %s", event)
	}
	fn := ns.handlers().servers[event]
	err = h.srv.apart(inHandleServers, nil, nil, func() error {
		var err error
		out, err = fn(h.srv.life, Args{raw: raw[1:], attachments: m.Attachments, json: h.srv.opts.JSON})
		return err
	})
	if err != nil && err != errPanic && h.srv.asError(err) == nil {
		h.srv.opts.Logger.Error("siokit: handler of a server event failed", "in", event, "namespace", m.Namespace, "error", err)
		h.srv.report(Failure{Name: FailureHandler, Err: err, Where: event, Namespace: m.Namespace})
	}
	return out, err
}

// Joined, Silent and Left implement node.Host.
func (h clusterHost) Joined(name string) {
	if f := h.srv.forward; f != nil {
		f.Joined(name)
	}
	h.srv.nodes(name, true)
}

// A node that has fallen silent may be cut off from the bus alone: what is passed on to it goes
// on while it can be reached.
func (h clusterHost) Silent(name, info string) {
	f := h.srv.forward
	if f == nil {
		return
	}
	if address, takes := strings.CutPrefix(info, forwardInfo); takes {
		f.Silent(name, address)
	} else {
		f.Left(name)
	}
}

func (h clusterHost) Left(name string, bye bool) {
	if f := h.srv.forward; f != nil && bye {
		f.Left(name)
	}
	h.srv.nodes(name, false)
}

// OnServer adds a function that is told of the other servers of the cluster: of those that
// are there, before OnServer returns, and of each that joins or leaves later, by the name of
// its node. A server whose process has ended, or that cannot be reached, has left within
// seconds. Processes of Node are not told of. fn is called once at a time, and must neither
// call OnServer nor wait for Shutdown.
func (s *Server) OnServer(fn func(node string, joined bool)) {
	if fn == nil {
		panic("sio: nil function for OnServer")
	}
	s.tellNodes.Lock()
	defer s.tellNodes.Unlock()
	s.onServer = append(s.onServer, fn)
	for _, name := range s.knownNodes {
		s.tellNode(fn, name, true)
	}
}

// Node is the name of this server's node in the cluster, as OnServer of the other servers
// and Answer.ID have it; "" without a cluster.
func (s *Server) Node() string {
	if s.node == nil {
		return ""
	}
	return s.node.Name()
}

func (s *Server) nodes(name string, joined bool) {
	s.tellNodes.Lock()
	defer s.tellNodes.Unlock()
	if joined {
		s.knownNodes = append(s.knownNodes, name)
	} else {
		s.knownNodes = slices.DeleteFunc(s.knownNodes, func(known string) bool { return known == name })
	}
	for _, fn := range s.onServer {
		s.tellNode(fn, name, joined)
	}
}

func (s *Server) tellNode(fn func(node string, joined bool), name string, joined bool) {
	_ = s.apart(inOnServer, nil, nil, func() error { fn(name, joined); return nil })
}
