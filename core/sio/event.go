package sio

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// Event is one event from a client. It is valid until its handler returns; Ack may be
// called later.
type Event struct {
	Name   string
	Args   Args
	Socket *Socket

	id    uint64
	hasID bool
	mu    sync.Mutex
	acked bool
	slots *held             // that the event has already
	told  func(answer Args) // see OnAck

	packed int // so many arguments are one text in Args, while the event waits; see keep
}

// held is a list of slots of Concurrent.
type held struct {
	slots any // the middleware's key
	next  *held
}

func (h *held) has(slots any) bool {
	for ; h != nil; h = h.next {
		if h.slots == slots {
			return true
		}
	}
	return false
}

// WantsAck reports whether the client asked for an ack and has not had it yet.
func (ev *Event) WantsAck() bool {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	return ev.hasID && !ev.acked
}

// Ack answers the event with args. It does nothing when the client asked for no ack.
// The second call returns ErrAlreadyAcked, and a call after the socket has ended
// ErrDisconnected. When an argument cannot be encoded, the error says which, and the
// client gets the code CodeInternal instead, so that it does not wait for ever.
func (ev *Event) Ack(args ...any) error {
	if !ev.hasID {
		return nil
	}
	if !ev.answer() {
		return ErrAlreadyAcked
	}
	returned := false
	defer func() {
		if !returned { // encoding has ended the goroutine
			ev.ackError(internalError)
		}
	}()
	err := ev.Socket.reply(ev.id, args, ev.toTell())
	returned = true
	if err != nil && err != ErrDisconnected {
		ev.ackError(internalError)
	}
	return err
}

// OnAck has fn called with the answer to the event, for middleware that keeps answers. The
// answer is what Ack is called with, what the handler returns, or the error in the form of
// Options.ErrorAck. It is a copy that stays valid, and stands for the same arguments when
// it is passed to Ack of another event. fn is called once, before the answer leaves, also when
// the socket has ended meanwhile, and must not wait. It is not called for an event that
// asks for no ack or has been answered. Functions of several calls of OnAck are called in order.
// OnAck is for the time before the wrapped handler is called. It panics when fn is nil.
func (ev *Event) OnAck(fn func(answer Args)) {
	if fn == nil {
		panic("sio: nil function for OnAck")
	}
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if first := ev.told; first != nil {
		second := fn
		fn = func(answer Args) { first(answer); second(answer) }
	}
	ev.told = fn
}

func (ev *Event) toTell() func(answer Args) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	return ev.told
}

// reply is ack for an event whose answer somebody wants to hear.
func (s *Socket) reply(id uint64, args []any, told func(answer Args)) error {
	if told != nil {
		answer, err := s.ns.encoded("ack", args)
		if err != nil {
			return err
		}
		s.tell(told, answer)
		args = []any{answer}
	}
	return s.ack(id, args)
}

func (s *Socket) tell(told func(answer Args), answer Args) {
	_ = s.ns.srv.apart(inOnAck, s.client, s, func() error { told(answer); return nil })
}

// answer reports true for the one who is to answer the event.
func (ev *Event) answer() bool {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	first := !ev.acked
	ev.acked = true
	return first
}

// ackError answers the event with an error.
func (ev *Event) ackError(e *Error) { ev.Socket.ackError(ev.id, e, ev.toTell()) }

// ackError acknowledges event id with an error. What Options.ErrorAck makes of it may
// not be encodable, or ErrorAck may panic: then the client is told "internal", at
// last in a form that asks no application code. told is as for reply.
func (s *Socket) ackError(id uint64, e *Error, told func(answer Args)) {
	done := false
	defer func() {
		if !done { // nothing was encodable, or encoding has ended the goroutine
			if told != nil {
				s.tell(told, Args{raw: []json.RawMessage{json.RawMessage(internalAck[1 : len(internalAck)-1])}, json: s.ns.srv.opts.JSON})
			}
			_ = s.sendPacket(&packet.Packet{Type: packet.Ack, ID: id, HasID: true, Data: json.RawMessage(internalAck)})
		}
	}()
	for _, e := range []*Error{e, internalError} {
		v, err := s.ns.srv.errorAck(e)
		if err == nil {
			err = s.reply(id, []any{v}, told)
		}
		if done = err == nil || err == ErrDisconnected; done {
			return
		}
		s.client.failed(err, string(inErrorAck), s)
	}
}

// ackOnce is Ack for those who do not mind that the handler has done it.
func (ev *Event) ackOnce(args ...any) error {
	if !ev.WantsAck() {
		return nil
	}
	return ev.Ack(args...)
}

// Handler handles an event; Handle and Reply make one of a function. The error goes to
// the client: as {"error":{"code","message","data"}} in the ack if the client asked for
// one (Options.ErrorAck changes the form), otherwise as the event "error". Error says
// which errors a client may see.
type Handler interface {
	ServeEvent(ctx context.Context, ev *Event) error
}

// HandlerFunc is a Handler that takes the raw arguments and acknowledges with
// Event.Ack. The server sends no ack for it unless it returns an error.
type HandlerFunc func(ctx context.Context, ev *Event) error

// ServeEvent calls f.
func (f HandlerFunc) ServeEvent(ctx context.Context, ev *Event) error { return f(ctx, ev) }

// Middleware wraps a Handler. Code before the call of the wrapped handler runs before
// the arguments are decoded. Namespace.Use and Server.Use say which handlers are
// wrapped.
type Middleware func(Handler) Handler

// Concurrent returns middleware that lets up to n events of one socket be handled at
// the same time, each in its own goroutine. Without it the events of a socket are
// handled one at a time. The order of the events is lost. Errors are answered as those
// of any handler. Concurrent panics when n is less than 1.
//
// Each call of Concurrent makes a bound of its own, shared by all events that the
// returned middleware wraps: with Use, by all events of the namespace. An event that
// passes the same middleware twice counts once. The handler's context ends with the
// socket, whatever middleware outside of Concurrent has derived from it.
//
// Each event that is being handled keeps a copy of its arguments, with 24 bytes for
// each of them.
func Concurrent(n int) Middleware {
	if n < 1 {
		panic("sio: Concurrent needs at least 1")
	}
	key := NewKey[chan struct{}]("slots of Concurrent")
	return func(next Handler) Handler {
		return HandlerFunc(func(ctx context.Context, ev *Event) error {
			if ev.slots.has(key) { // it would wait for itself
				return next.ServeEvent(ctx, ev)
			}
			s := ev.Socket
			slots := key.GetOrSet(s, func() chan struct{} { return make(chan struct{}, n) })
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				if !s.stillHeard() {
					return ErrDisconnected
				}
				slots <- struct{}{} // it came before its client said goodbye
			}
			own := ev.detach()
			own.slots = &held{key, ev.slots}
			base := s.Context()
			if s.state.Load() == stateDisconnected {
				base = ctx
				if ev.slots == nil { // else this is not the goroutine that handles packets
					if late := s.client.eventContext(s); late != nil {
						base = late
					}
				}
			}
			s.concurrently(func() {
				defer func() { <-slots }()
				s.client.serve(base, next, own)
			})
			return nil
		})
	}
}

// concurrently runs what OnDisconnect and Shutdown wait for.
func (s *Socket) concurrently(fn func()) {
	tasks := s.overlap.Load()
	if tasks == nil {
		s.overlap.CompareAndSwap(nil, new(sync.WaitGroup))
		tasks = s.overlap.Load()
	}
	tasks.Add(1)
	s.ns.srv.running.Add()
	go func() {
		defer s.ns.srv.running.Done()
		defer tasks.Done()
		fn()
	}()
}

// detach returns a copy that stays valid and answers in the event's place.
func (ev *Event) detach() *Event { return ev.detached(ev.Args.Clone(), 0) }

// keep is detach for an event that has to wait. Of many arguments the copy has the text
// alone until restore: a list of small ones costs many times as much.
func (ev *Event) keep() *Event {
	n := ev.Args.Len()
	if n <= packet.MaxKept {
		return ev.detach()
	}
	a := ev.Args.shared()
	a.raw = []json.RawMessage{jsontext.Pack(a.raw)}
	return ev.detached(a, n)
}

// restore gives an event of keep its arguments.
func (ev *Event) restore() {
	if ev.packed > 0 {
		ev.Args.raw = jsontext.Unpack(ev.Args.raw[0], ev.packed)
		ev.packed = 0
	}
}

func (ev *Event) detached(a Args, packed int) *Event {
	own := &Event{Name: ev.Name, Args: a, Socket: ev.Socket, id: ev.id, hasID: ev.hasID, packed: packed}
	ev.mu.Lock()
	defer ev.mu.Unlock()
	own.acked, ev.acked = ev.acked, true
	own.told = ev.told
	return own
}

var events = sync.Pool{New: func() any { return new(Event) }}

// fill takes over the packet's arguments: the decoder gets the slice of the
// event that used this memory before.
func (ev *Event) fill(s *Socket, p *packet.Packet, j JSON) {
	old := ev.Args.raw[:0]
	ev.Args = Args{raw: p.Args, attachments: p.Attachments, json: j}
	p.Args = old
	ev.Socket, ev.id, ev.hasID, ev.acked, ev.told = s, p.ID, p.HasID, false, nil
}

func (ev *Event) release() {
	raw := ev.Args.raw
	if cap(raw) > packet.MaxKept {
		raw = nil
	}
	clear(raw)
	ev.Args = Args{raw: raw[:0]}
	ev.Socket, ev.Name = nil, ""
	events.Put(ev)
}
