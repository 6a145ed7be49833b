package sio

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"

	"github.com/siokit/siokit/core/internal/jsontext"
)

// Handle returns the handler of an event whose arguments are an In. None, Args2 to
// Args4, Args, and an In with an ArgsUnmarshaler of its own take the whole list of
// arguments; any other In takes the first argument. Arguments that do not fit are
// answered with CodeBadArgument, and fn is not called. A client that asked for an ack
// gets an empty one when fn returns nil. Handle panics when fn is nil.
func Handle[In any](fn func(ctx context.Context, s *Socket, in In) error) Handler {
	if fn == nil {
		panic("sio: Handle with a nil function")
	}
	dec := decoderOf[In]()
	return &typed{in: reflect.TypeFor[In](), fn: func(ctx context.Context, ev *Event) error {
		in, err := dec(ev.Args)
		if err != nil {
			return err
		}
		if err := settled(fn(ctx, ev.Socket, in)); err != nil {
			return err
		}
		return ev.ackOnce()
	}}
}

// Reply is Handle for an event with an answer: what fn returns is the ack. An Out of
// type None is an ack without arguments; Args2 to Args4 and Args are several arguments.
func Reply[In, Out any](fn func(ctx context.Context, s *Socket, in In) (Out, error)) Handler {
	if fn == nil {
		panic("sio: Reply with a nil function")
	}
	dec := decoderOf[In]()
	return &typed{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), fn: func(ctx context.Context, ev *Event) error {
		in, err := dec(ev.Args)
		if err != nil {
			return err
		}
		out, err := fn(ctx, ev.Socket, in)
		if err := settled(err); err != nil {
			return err
		}
		if !ev.hasID {
			return nil
		}
		return ev.ackOnce(out)
	}}
}

// typed is a handler that keeps nothing of its event.
type typed struct {
	fn      func(ctx context.Context, ev *Event) error
	in, out reflect.Type // out is nil for Handle
}

// ServeEvent implements Handler.
func (h *typed) ServeEvent(ctx context.Context, ev *Event) error { return h.fn(ctx, ev) }

// decoderOf returns the decoder of a handler's arguments. The usual types have
// decoders by hand, without reflection or a copy in between.
func decoderOf[T any]() func(Args) (T, error) {
	var zero T
	var by any
	switch any(zero).(type) {
	case None:
		return func(Args) (T, error) { return *new(T), nil }
	case Args:
		by = func(a Args) (Args, error) { return a.shared(), nil }
	case string:
		by = first(decodeString)
	case bool:
		by = first(decodeBool)
	case int:
		by = first(decodeInt)
	default:
		if _, whole := any(&zero).(ArgsUnmarshaler); whole {
			return func(a Args) (T, error) {
				var t T
				err := any(&t).(ArgsUnmarshaler).UnmarshalArgs(a.shared()) // it may keep them
				return t, asArgument(err)
			}
		}
		if _, whole := any(&zero).(listUnmarshaler); whole {
			// A type of the application's that has its list from an Args2 inside may have
			// an element that keeps what it is given.
			ours := reflect.TypeFor[T]().PkgPath() == argsType.PkgPath()
			return func(a Args) (T, error) {
				var t T
				if !ours {
					a = a.shared()
				}
				err := any(&t).(listUnmarshaler).unmarshalArgs(a)
				return t, asArgument(err)
			}
		}
		return func(a Args) (T, error) {
			var t T
			err := a.Bind(&t)
			return t, err
		}
	}
	return by.(func(Args) (T, error))
}

func first[T any](dec func(json.RawMessage) (T, error)) func(Args) (T, error) {
	return func(a Args) (T, error) {
		if len(a.raw) == 0 {
			return *new(T), tooFew(0, 1)
		}
		t, err := dec(a.raw[0])
		if err != nil {
			return t, badArgument(0, err)
		}
		return t, nil
	}
}

// asArgument makes an error of a user's UnmarshalArgs one that the client may see.
func asArgument(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Code: CodeBadArgument, Message: "the arguments do not fit", cause: err}
}

var errType = errors.New("wrong JSON type")

func decodeString(raw json.RawMessage) (string, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", errType
	}
	return string(jsontext.Unquote(raw)), nil
}

func decodeBool(raw json.RawMessage) (bool, error) {
	switch string(raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errType
}

func decodeInt(raw json.RawMessage) (int, error) {
	n, err := strconv.ParseInt(string(raw), 10, strconv.IntSize)
	if err != nil {
		return 0, errType
	}
	return int(n), nil
}
