package sio

import "context"

// State gives each socket a value of its own, which a function makes when it is first
// needed. It is for the class style of gevent-socketio, where the handlers of a
// namespace are the methods of an object; see Method. The value ends with the socket.
type State[T any] struct {
	key *Key[T]
	mk  func(s *Socket) T
}

// Stateful returns a State whose values mk makes. It panics when mk is nil.
func Stateful[T any](mk func(s *Socket) T) *State[T] {
	if mk == nil {
		panic("sio: Stateful with a nil function")
	}
	return &State[T]{NewKey[T]("state"), mk}
}

// Of returns the socket's value, and makes it at the first call. Two goroutines that
// call Of at the same time may both run mk; both get the same value.
func (st *State[T]) Of(s *Socket) T {
	if v, ok := st.key.Get(s); ok {
		return v
	}
	v := st.mk(s) // not with the socket locked: it is application code
	return st.key.GetOrSet(s, func() T { return v })
}

// Method is Handle for a method of the socket's value in st. fn is a method expression:
// Method(players, (*Player).Say).
func Method[T, In any](st *State[T], fn func(v T, ctx context.Context, in In) error) Handler {
	if fn == nil {
		panic("sio: Method with a nil function")
	}
	return Handle(func(ctx context.Context, s *Socket, in In) error { return fn(st.Of(s), ctx, in) })
}

// MethodReply is Reply for a method of the socket's value in st.
func MethodReply[T, In, Out any](st *State[T], fn func(v T, ctx context.Context, in In) (Out, error)) Handler {
	if fn == nil {
		panic("sio: MethodReply with a nil function")
	}
	return Reply(func(ctx context.Context, s *Socket, in In) (Out, error) { return fn(st.Of(s), ctx, in) })
}
