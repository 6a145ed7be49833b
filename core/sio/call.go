package sio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/siokit/siokit/core/internal/packet"
)

// Call emits an event to the client, waits for its ack, and decodes the arguments of
// the ack into an Out by the rules of Handle. It waits until the context's deadline, or
// for Options.AckTimeout when the context has none.
//
// The error is ErrAckTimeout when the client does not answer in time, ErrDisconnected
// when the socket ends first, the context's error when it is cancelled, an *Error when
// the answer does not fit Out, or one of Socket.Emit. An answer that comes later is
// ignored.
//
// Inside a handler, other events of the same client wait during the call; acks do not.
func Call[Out any](ctx context.Context, s *Socket, event string, args ...any) (Out, error) {
	return ask[Out](ctx, s, packet.Event, event, args)
}

// CallMessage is Call for a message without an event name. It sends data as Socket.Send
// does: to a client of Socket.IO 0.9 as a message or json packet that asks for an ack,
// to newer clients as the event "message".
func CallMessage[Out any](ctx context.Context, s *Socket, data any) (Out, error) {
	return ask[Out](ctx, s, messageType(data), "message", []any{data})
}

// CallJSON is CallMessage, except that clients of Socket.IO 0.9 get a json packet for
// strings too, as with Socket.SendJSON.
func CallJSON[Out any](ctx context.Context, s *Socket, data any) (Out, error) {
	return ask[Out](ctx, s, packet.JSON, "message", []any{data})
}

func ask[Out any](ctx context.Context, s *Socket, kind packet.Type, event string, args []any) (Out, error) {
	var zero Out
	a, err := s.call(ctx, kind, event, args)
	if err != nil {
		return zero, err
	}
	return decoded(s, decoderOf[Out](), a)
}

// Answer is the answer of one socket to CallAll.
type Answer[Out any] struct {
	ID    string // Socket.ID; "" for a socket of a process of Node, which does not say it
	Value Out
	// Err is nil when there is a Value. ErrAckTimeout: the client did not answer in
	// time. ErrDisconnected: it left before. An *Error: its answer does not fit Out.
	Err error
}

// CallAll emits an event to every socket of the target and waits until each has
// answered or left, or until the context's deadline, or for Options.AckTimeout when the
// context has none. There is one Answer for each socket that was asked, in no
// particular order; Answer.Err says which did not answer, and why. The error is not nil
// when an argument cannot be encoded, and, in a cluster, a *cluster.Missing when a node has
// not said whom it has asked; the answers of the others are there all the same. The event is
// encoded as by Target.Emit, and in a cluster once more for the other nodes.
//
// All answers are kept until the last one has come or the time is over: at most
// Options.MaxPayload bytes for each client, and its attachments.
func CallAll[Out any](ctx context.Context, t Target, event string, args ...any) ([]Answer[Out], error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	remote, err := t.askOthers(ctx, event, args) // at the same time
	if err != nil {
		return nil, err
	}
	replies, err := t.call(ctx, event, args)
	if err != nil {
		if remote != nil { // nothing of the call runs when it has returned
			cancel()
			<-remote.done
		}
		return nil, err
	}
	decode := decoderOf[Out]()
	answers := make([]Answer[Out], len(replies))
	for i, r := range replies {
		answers[i] = Answer[Out]{ID: r.s.id, Err: r.err}
		if r.err == nil {
			answers[i].Value, answers[i].Err = decoded(r.s, decode, r.args())
		}
	}
	return appendRemote(t.ns.srv, answers, remote, decode)
}

var errEarly = errors.New("sio: Call inside OnConnect, where the client cannot answer yet")

// waiter gets the answer to a question: a clone of the ack's packet, or an error. It
// must not block.
type waiter interface {
	answered(s *Socket, p *packet.Packet, err error)
}

// expect has w get the answer to question id. early admits a socket that is not
// connected yet.
func (s *Socket) expect(id uint64, w waiter, early bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state := s.state.Load(); {
	case state == stateDisconnected:
		return ErrDisconnected
	case state == stateConnecting && !early:
		return errEarly
	}
	if s.calls == nil {
		s.calls = make(map[uint64]waiter)
	}
	s.calls[id] = w
	return nil
}

func (s *Socket) forgetCall(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, id)
}

// acked hands the client's ack to the call that waits for it. Unknown, late and
// repeated ones are ignored.
func (s *Socket) acked(p *packet.Packet) {
	s.mu.Lock()
	w := s.calls[p.ID]
	delete(s.calls, p.ID)
	s.mu.Unlock()
	if w != nil {
		w.answered(s, p.Clone(), nil)
	}
}

// deadline returns a channel that fires after Options.AckTimeout, and a function that
// stops its timer. The channel is nil when ctx has a deadline of its own.
func (s *Server) deadline(ctx context.Context) (<-chan time.Time, func() bool) {
	if _, ok := ctx.Deadline(); ok {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(s.opts.AckTimeout)
	return t.C, t.Stop
}

// overdue is the error of a call whose context has ended.
func overdue(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("%w: %w", ErrAckTimeout, ctx.Err())
	}
	return ctx.Err()
}

type reply struct {
	s   *Socket
	p   *packet.Packet // nil with an error
	err error
}

// args are the arguments of an ack. Those of the reply stay as they are kept: of a long
// list only what is being decoded exists, not that of every client that was asked.
func (r reply) args() Args {
	p := *r.p
	p.Restore()
	return Args{raw: p.Args, attachments: p.Attachments, json: r.s.ns.srv.opts.JSON}
}

// singleWaiter waits for one client.
type singleWaiter chan reply

func (w singleWaiter) answered(s *Socket, p *packet.Packet, err error) { w <- reply{s, p, err} }

// call sends an event or message that asks for an ack and waits for it.
func (s *Socket) call(ctx context.Context, kind packet.Type, event string, args []any) (Args, error) {
	w := make(singleWaiter, 1) // it is answered once
	id := s.ns.nextID.Add(1) - 1
	if err := s.expect(id, w, false); err == errEarly {
		return Args{}, fmt.Errorf("%w: event %q", err, event)
	} else if err != nil {
		return Args{}, err
	}
	defer s.forgetCall(id)
	if err := s.emit(packet.Packet{Type: kind, ID: id, HasID: true}, event, args); err != nil {
		return Args{}, err
	}
	s.client.waiting(1)
	defer s.client.waiting(-1)
	timeout, stop := s.ns.srv.deadline(ctx)
	defer stop()
	select {
	case r := <-w:
		if r.err != nil {
			return Args{}, r.err
		}
		return r.args(), nil
	case <-timeout:
		return Args{}, ErrAckTimeout
	case <-ctx.Done():
		if s.state.Load() == stateDisconnected {
			return Args{}, ErrDisconnected
		}
		return Args{}, overdue(ctx)
	}
}

// manyWaiter waits for many clients.
type manyWaiter struct {
	mu      sync.Mutex
	pending map[*Socket]struct{}
	replies []reply
	asking  bool          // there may be more to ask
	late    bool          // nobody waits any more
	done    chan struct{} // closed when everybody has answered
}

func (w *manyWaiter) answered(s *Socket, p *packet.Packet, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.pending[s]; !ok || w.late {
		return
	}
	delete(w.pending, s)
	w.replies = append(w.replies, reply{s, p, err})
	w.check()
}

// check closes done when everybody has answered; w.mu is held.
func (w *manyWaiter) check() {
	if len(w.pending) == 0 && !w.asking {
		close(w.done)
	}
}

// call is CallAll before decoding.
func (t Target) call(ctx context.Context, event string, args []any) ([]reply, error) {
	if !t.ns.srv.serves() {
		return nil, nil
	}
	w := &manyWaiter{pending: make(map[*Socket]struct{}), asking: true, done: make(chan struct{})}
	asked := make(map[*Socket]uint64) // and by which id
	err := t.split(func(t Target) error {
		id := t.ns.nextID.Add(1) - 1
		list := t.sockets()
		w.mu.Lock()
		for _, s := range list {
			w.pending[s] = struct{}{}
		}
		w.mu.Unlock()
		return t.send(packet.Packet{Type: packet.Event, ID: id, HasID: true}, event, args, func(b *broadcast) {
			for _, s := range list {
				if err := s.expect(id, w, true); err != nil {
					w.answered(s, nil, err)
					continue
				}
				asked[s] = id
				s.client.waiting(1)
				b.send(s, t.volatile)
			}
		})
	})
	defer func() {
		for s, id := range asked {
			s.forgetCall(id)
			s.client.waiting(-1)
		}
	}()
	if err != nil {
		return nil, err
	}

	w.mu.Lock()
	w.asking = false
	w.check()
	w.mu.Unlock()
	timeout, stop := t.ns.srv.deadline(ctx)
	defer stop()
	var late error
	select {
	case <-w.done:
	case <-timeout:
		late = ErrAckTimeout
	case <-ctx.Done():
		late = overdue(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = true
	for s := range w.pending {
		w.replies = append(w.replies, reply{s, nil, late})
	}
	return w.replies, nil
}
