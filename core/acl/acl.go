// Package acl decides what a socket may do: method by method, as the seeds of
// this project did it, and by policies that compose.
//
// A namespace asks its policies (Namespace.Guard in package sio) before anything
// of a packet is decoded, and all of them must agree:
//
//	gate := acl.NewGate(acl.RecvConnect, "login")  // locked first
//	chat.Guard(gate, acl.RateLimit(20, time.Second))
//	...
//	gate.Lift(s)                                   // opened when s has logged in
//
// What a client sees of a refusal is what it sees of an event that does not
// exist; the server's error hook sees which policy refused, and why.
//
// Acks are not asked about: a client can only answer what the server has asked.
// Neither is leaving: it is always allowed.
package acl

import (
	"context"
	"encoding/json"
	"errors"
)

// Subject is who asks. *sio.Socket is one; policies that need more of it assert
// its type.
type Subject interface {
	// Get returns the value kept with the subject under key, or nil.
	Get(key any) any
	// GetOrSet returns that value, made by mk when there is none. mk is called
	// with the subject locked.
	GetOrSet(key any, mk func() any) any
}

// Connected is a Subject that shares a connection with others: the sockets that one
// client has in several namespaces, at the same time or one after the other.
// *sio.Socket is one. Policies keep with the connection what must outlive leaving
// and joining, as RateLimit does.
type Connected interface {
	Subject
	// Connection is the same for all subjects of one connection.
	Connection() Subject
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

// The names of those actions that have no event name. They are what the seeds
// called the methods. An event "message" is one of the last two.
//
// They stand for the kinds Connect, Message and JSON alone. A client's event may
// have such a name as well; where a namespace has policies such an event is refused
// before they are asked, so that a policy that goes by names cannot take it for
// the packet.
const (
	RecvConnect = "recv_connect"
	RecvMessage = "recv_message"
	RecvJSON    = "recv_json"
)

// Reserved reports whether name is one of RecvConnect, RecvMessage and RecvJSON.
func Reserved(name string) bool {
	return name == RecvConnect || name == RecvMessage || name == RecvJSON
}

// Action is what a subject asks for.
type Action struct {
	Kind Kind
	Name string            // the event's name, one of the Recv names, or for Join the room
	Args []json.RawMessage // of a packet, not decoded; valid during Check only
}

// Policy is a rule. Implementations are safe for concurrent use.
type Policy interface {
	// Check returns nil when s may do a, ErrAbstain when the policy is not about
	// such actions, and any other error when s may not.
	Check(ctx context.Context, s Subject, a Action) error
}

// PolicyFunc is a Policy in the form of a function.
type PolicyFunc func(ctx context.Context, s Subject, a Action) error

var _ Policy = PolicyFunc(nil)

func (f PolicyFunc) Check(ctx context.Context, s Subject, a Action) error { return f(ctx, s, a) }

var (
	// ErrDenied is the refusal of the policies of this package.
	ErrDenied = errors.New("acl: not allowed")
	// ErrLimited is the refusal of RateLimit.
	ErrLimited = errors.New("acl: too many events")
	// ErrAbstain says that a policy has nothing to say about an action. Where
	// nobody else has either, the action is allowed.
	ErrAbstain = errors.New("acl: no opinion")
)

// All is the policy that agrees when none of ps refuses.
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

// Any is the policy that agrees when one of ps does. Policies are asked in
// order, up to the first that agrees. Without policies it refuses.
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

// Not is the policy that refuses what p allows and allows what p refuses.
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
