package sio

import (
	"context"
	"iter"
	"slices"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/node"
	"github.com/siokit/siokit/core/internal/packet"
)

// Target is a choice of sockets in one namespace, or in all that match a pattern. It is
// a value that may be kept and shared: each method of a chain returns a new Target. The
// choice is made at each call of Emit, Join and so on, among the sockets that are
// connected then.
type Target struct {
	ns       *Namespace
	rooms    []string
	except   []string
	skip     *Socket
	only     *Socket // of Socket.Volatile
	some     bool    // only the rooms; false: all sockets of the namespace
	volatile bool
	local    bool // the sockets of this process
	position uint64
	stamp    stamp // of the event that is being emitted
}

// To adds rooms: the target is the sockets in any of the rooms, each socket once. To
// without rooms adds none, so a target whose only To had no rooms is empty: it never
// means everyone.
func (t Target) To(rooms ...string) Target {
	t.rooms = append(t.rooms[:len(t.rooms):len(t.rooms)], rooms...)
	t.some = true
	if t.only != nil {
		t.skip, t.only = t.only, nil
	}
	return t
}

// Except leaves out the sockets in the rooms. A socket's id is the name of a room too.
func (t Target) Except(rooms ...string) Target {
	t.except = append(t.except[:len(t.except):len(t.except)], rooms...)
	return t
}

// Volatile makes Emit drop the event for each client that earlier messages wait for.
// Stats.DroppedVolatile counts them.
func (t Target) Volatile() Target {
	t.volatile = true
	return t
}

// Local restricts the target to the sockets of this process. Without a cluster it changes
// nothing. It panics for an Emitter, whose process has no sockets.
func (t Target) Local() Target {
	if t.ns != nil && !t.ns.srv.serves() {
		panic("sio: Target.Local of an Emitter, which has no sockets of its own")
	}
	t.local = true
	return t
}

// each calls f once for every socket of the target. f must not join or leave.
func (t Target) each(f func(*Socket)) {
	if t.skip != nil {
		next := f
		f = func(s *Socket) {
			if s != t.skip {
				next(s)
			}
		}
	}
	if out := t.excepted(); out != nil {
		next := f
		f = func(s *Socket) {
			if _, skip := out[s]; !skip {
				next(s)
			}
		}
	}
	switch {
	case t.only != nil:
		f(t.only)
	case !t.some:
		t.ns.rooms.eachAll(f)
	case len(t.rooms) == 1:
		t.ns.rooms.each(t.rooms[0], f)
	default:
		seen := make(map[*Socket]struct{})
		for _, name := range t.rooms {
			t.ns.rooms.each(name, func(s *Socket) {
				if _, dup := seen[s]; !dup {
					seen[s] = struct{}{}
					f(s)
				}
			})
		}
	}
}

// excepted are the sockets that Except leaves out.
func (t Target) excepted() map[*Socket]struct{} {
	if len(t.except) == 0 {
		return nil
	}
	out := make(map[*Socket]struct{})
	for _, name := range t.except {
		t.ns.rooms.each(name, func(s *Socket) { out[s] = struct{}{} })
	}
	return out
}

// sockets lists the target, for what must not run under the rooms' locks.
func (t Target) sockets() (list []*Socket) {
	t.each(func(s *Socket) { list = append(list, s) })
	return list
}

// split calls f for each namespace that the target is of.
func (t Target) split(f func(Target) error) error {
	if !t.ns.several() {
		return f(t)
	}
	for _, n := range t.ns.members() {
		t.ns = n
		if err := f(t); err != nil {
			return err
		}
	}
	return nil
}

// every calls f for every socket of the target, in all namespaces, with no lock held.
func (t Target) every(f func(*Socket)) {
	_ = t.split(func(t Target) error {
		for _, s := range t.sockets() {
			f(s)
		}
		return nil
	})
}

// RemoteSocket is a socket as Target.Sockets yields it: a *Socket of this process, or a
// socket on another node of a cluster, of which it has what that node has said.
type RemoteSocket interface {
	ID() string
	Rooms() []string // without the server's own rooms, see ServerRoom
	Emit(event string, args ...any) error
	Join(rooms ...string)
	Leave(rooms ...string)
	Disconnect()
}

// Sockets returns an iterator over the sockets of the target: first those of this process,
// each a *Socket, then those on other nodes of a cluster, as the nodes answer. When a node
// does not answer within five seconds, or ctx ends, the iterator yields an error last: a
// *cluster.Missing that says which, or ctx's error. What came before is right all the same.
func (t Target) Sockets(ctx context.Context) iter.Seq2[RemoteSocket, error] {
	return func(yield func(RemoteSocket, error) bool) {
		var list []*Socket
		t.every(func(s *Socket) { list = append(list, s) })
		for _, s := range list {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
		if n := t.node(); n != nil {
			t.others(ctx, n, yield)
		}
	}
}

// Emit sends an event to every socket of the target, in a cluster to those of all nodes.
// The event is encoded once for each client generation among them. Emit waits neither for
// clients nor for other nodes. The error says which argument cannot be encoded, or that the
// name is reserved; a socket that has ended, or a node that cannot be reached, is no error.
// After Emitter.Close the error is cluster.ErrClosed.
//
// An event for up to 16 sockets leaves with the answers of a handler that returns next, and
// within five milliseconds while handlers take longer, wherever it is emitted. When no handler
// runs, or the sockets are more, it leaves at once.
func (t Target) Emit(event string, args ...any) error {
	return t.emit(packet.Packet{Type: packet.Event}, event, args)
}

// Send sends a message without an event name, as Socket.Send does. The error is that of
// Emit.
func (t Target) Send(data any) error {
	return t.emit(packet.Packet{Type: messageType(data)}, "message", []any{data})
}

// SendJSON is Send, but clients of Socket.IO 0.9 get a json packet for strings too.
func (t Target) SendJSON(data any) error {
	return t.emit(packet.Packet{Type: packet.JSON}, "message", []any{data})
}

func (t Target) emit(p packet.Packet, event string, args []any) error {
	if !t.ns.srv.serves() {
		return t.emitAway(event, args)
	}
	if t.ns.several() && t.node() != nil {
		if t.ns.log() != nil {
			return t.emitSeveral(p, event, args)
		}
		t.ns = t.ns.orLive()
	}
	if n := t.node(); n != nil && t.ns.several() && !(p.Type == packet.Event && ReservedEvent(event)) {
		return t.spread(n, p, event, args)
	}
	return t.split(func(t Target) error {
		return t.send(p, event, args, nil)
	})
}

// send encodes a packet for the target's namespace and has it sent by to; nil: to the target.
func (t Target) send(p packet.Packet, event string, args []any, to func(b *broadcast)) error {
	if p.Type == packet.Event && ReservedEvent(event) {
		return errReserved(event)
	}
	if fns := t.ns.handlers().outgoing; len(fns) > 0 {
		t.ns.srv.show(fns, Outgoing{Event: event, Args: slices.Clone(args), Rooms: t.rooms})
	}
	e := newEncoder(t.ns.srv.opts.JSON)
	defer e.free()
	if err := t.ns.srv.encode(e, event, true, args); err != nil {
		return err
	}
	p.Namespace, p.Data, p.Attachments = t.ns.path, e.buf, e.parts
	if l := t.ns.log(); l.journaled() {
		if q := p; l.queue(t, &q) {
			return nil
		}
	}
	b := t.ns.srv.newBroadcast(p)
	if n := t.bus(); n != nil && !p.HasID {
		t.hand(b, to, n, e)
	} else {
		t.hand(b, to, nil, nil)
	}
	b.done()
	return nil
}

// hand has a broadcast sent by to, or to the target when that is nil, with an offset where clients
// can be recovered, and by n to the clients of other nodes; n is nil for none.
func (t Target) hand(b *broadcast, to func(b *broadcast), n *node.Node, e *encoder) {
	l := t.ns.log()
	if r := t.ns.srv.recovery; l == nil && n != nil && r != nil {
		r.beside.RLock()
		defer r.beside.RUnlock()
		l = t.ns.log()
	}
	if l != nil {
		l.send(t, b, to, n, e)
		return
	}
	beyond := n != nil && !t.here()
	b.by(to, t)
	if beyond {
		t.publish(n, e)
	}
}

// show hands an event to the functions of OnAnyOutgoing. Its Args are a copy, or
// every argument list would live on the heap, watched or not.
func (s *Server) show(fns []func(out Outgoing), out Outgoing) {
	for _, fn := range fns {
		func() {
			ended := errExit
			defer s.caught(inOnAnyOutgoing, "", nil, out.Socket, &ended)
			fn(out)
			ended = nil
		}()
	}
}

// Join puts the target's sockets into rooms. When Join returns, those of this process have
// joined; in a cluster the others join soon after, in order with what this process emits.
// Leave, LeaveAll, Disconnect and CloseConns do likewise.
func (t Target) Join(rooms ...string) {
	t.every(func(s *Socket) { s.Join(rooms...) })
	t.tell(cluster.Join, rooms...)
}

// Leave takes the target's sockets out of rooms.
func (t Target) Leave(rooms ...string) {
	t.every(func(s *Socket) { s.Leave(rooms...) })
	t.tell(cluster.Leave, rooms...)
}

// LeaveAll takes the target's sockets out of all rooms, as Socket.LeaveAll does.
func (t Target) LeaveAll() {
	t.every((*Socket).LeaveAll)
	t.tell(cluster.LeaveAll)
}

// Disconnect takes the target's clients out of the namespace, as Socket.Disconnect does.
func (t Target) Disconnect() {
	t.every((*Socket).Disconnect)
	t.tell(cluster.Disconnect)
}

// CloseConns ends the connections of the target's sockets, as Conn.Close does.
func (t Target) CloseConns() {
	t.every(func(s *Socket) { s.Conn().Close() })
	t.tell(cluster.Close)
}

// CloseTransport closes the transports of the target's sockets, as Socket.CloseTransport
// does. It does not wait for what was emitted before, which may not reach their clients.
func (t Target) CloseTransport() {
	t.every((*Socket).CloseTransport)
	t.tell(cluster.CloseTransport)
}
