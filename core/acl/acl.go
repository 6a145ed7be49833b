// Package acl has policies: rules that decide what a socket may do.
//
// sio.Namespace.Guard adds policies to a namespace. They are asked when a
// client joins the namespace and for each of its packets, before the arguments are
// decoded. All policies of a namespace must agree:
//
//	gate := acl.NewGate(acl.RecvConnect, "login") // closed but for these two
//	chat.Guard(gate, acl.RateLimit(20, time.Second))
//	...
//	gate.Lift(s) // s has logged in: open
//
// A refused event looks to the client like an event that does not exist. sio.Options.OnError
// gets the policy's error.
//
// Two things need no permission: an ack, because a client can only answer what the
// server has asked, and leaving a namespace or a room.
package acl

import (
	"context"
	"encoding/json"
	"errors"
)

// Subject is the socket that asks for something. *sio.Socket implements Subject; a
// policy that needs more of the socket asserts that type.
type Subject interface {
	// Get returns the value kept with the subject under key, or nil.
	Get(key any) any
	// GetOrSet returns the value kept under key. When there is none, mk makes it. mk
	// is called with the subject locked, so it must not call the subject.
	GetOrSet(key any, mk func() any) any
}

// Kind is a kind of action.
type Kind uint8

// The kinds of actions.
const (
	Connect Kind = iota // joining the namespace
	Message             // a message: a text without an event name
	JSON                // a json message: any other value without an event name
	Event               // an event, with or without an ack, with or without binary
	Join                // entering a room, asked for by the client (see package mixin)
)

// The names of the actions that have no event name. gevent-socketio calls its methods
// so. The event "message" has the name RecvMessage when its argument is a string, else
// RecvJSON.
//
// The names stand for the kinds Connect, Message and JSON only. A client may send an
// event with such a name. In a namespace with policies that event is refused before the
// policies are asked, so a policy that compares names cannot take it for the packet.
const (
	RecvConnect = "recv_connect"
	RecvMessage = "recv_message"
	RecvJSON    = "recv_json"
)

// Action is what a subject asks for: to join a namespace, to send a message or an
// event, or to enter a room.
type Action struct {
	Kind Kind
	Name string // the event's name, one of the Recv names, or for Join the room
	// Args are the arguments of a packet, not decoded. They are valid during Check
	// only. A policy should decode them into the type of the handler: a key in another
	// case names the same field of a struct, but another key of a map.
	Args []json.RawMessage
}

// Policy is a rule that allows or refuses actions. Implementations must be safe for
// concurrent use. A panic in Check refuses the action.
type Policy interface {
	// Check returns nil when s may do a, ErrAbstain when the policy has no opinion on
	// such actions, and any other error when s may not do a.
	Check(ctx context.Context, s Subject, a Action) error
}

// PolicyFunc is a Policy made of a function.
type PolicyFunc func(ctx context.Context, s Subject, a Action) error

var _ Policy = PolicyFunc(nil)

func (f PolicyFunc) Check(ctx context.Context, s Subject, a Action) error { return f(ctx, s, a) }

var (
	// ErrDenied is the refusal of the policies of this package.
	ErrDenied = errors.New("acl: not allowed")
	// ErrLimited is the refusal of RateLimit.
	ErrLimited = errors.New("acl: too many events")
	// ErrAbstain says that a policy has no opinion on an action. An action on which no
	// policy has an opinion is allowed.
	ErrAbstain = errors.New("acl: no opinion")
)

// All returns a policy that allows an action when none of ps refuses it. The first
// refusal is its error. When all of ps abstain, it abstains.
func All(ps ...Policy) Policy {
	return PolicyFunc(func(ctx context.Context, s Subject, a Action) error {
		result := ErrAbstain
		for _, p := range ps {
			switch err := p.Check(ctx, s, a); {
			case err == nil:
				result = nil
			case !errors.Is(err, ErrAbstain):
				return err
			}
		}
		return result
	})
}

// Any returns a policy that allows an action when at least one of ps allows it. The
// policies are asked in order, up to the first that allows. When all of ps abstain, it
// abstains. Without policies it refuses everything.
func Any(ps ...Policy) Policy {
	return PolicyFunc(func(ctx context.Context, s Subject, a Action) error {
		result := ErrAbstain
		if len(ps) == 0 {
			result = ErrDenied
		}
		for _, p := range ps {
			err := p.Check(ctx, s, a)
			if err == nil {
				return nil
			}
			if !errors.Is(err, ErrAbstain) && result == ErrAbstain {
				result = err
			}
		}
		return result
	})
}

// Not returns a policy that refuses what p allows and allows what p refuses. When p
// abstains, it abstains.
func Not(p Policy) Policy {
	return PolicyFunc(func(ctx context.Context, s Subject, a Action) error {
		switch err := p.Check(ctx, s, a); {
		case err == nil:
			return ErrDenied
		case errors.Is(err, ErrAbstain):
			return err
		}
		return nil
	})
}
