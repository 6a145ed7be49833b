package sio

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Receivers are what a ServerEvent can be emitted to: a *Socket, a *Namespace, a Target, or a
// RemoteSocket.
type Receivers interface {
	Emit(event string, args ...any) error
}

// ServerEvent is an event that the server emits, with the type of its arguments;
// DeclareEvent makes one.
type ServerEvent[In any] struct{ event string }

// DeclareEvent declares an event that the server emits in a namespace. The compiler
// then checks its arguments, and it is part of Server.Contract. In follows the rules of
// Handle: None, Args2 to Args4, or one argument. A second declaration of the same event
// panics. In a namespace of an Emitter it declares nothing, for the servers have the contract.
func DeclareEvent[In any](n *Namespace, event string) ServerEvent[In] {
	n.declare(EventContract{Name: event, Args: argTypes(reflect.TypeFor[In]())})
	return ServerEvent[In]{event}
}

// Emit sends the event to a socket, a namespace or a target. The error is that of their
// Emit.
func (sg ServerEvent[In]) Emit(to Receivers, in In) error { return to.Emit(sg.event, in) }

// ServerCall is an event that the server sends and clients acknowledge, with the types
// of its arguments and of the ack; DeclareCall makes one.
type ServerCall[In, Out any] struct{ event string }

// DeclareCall declares an event that the server asks clients to acknowledge with an
// Out. For the rest it is like DeclareEvent.
func DeclareCall[In, Out any](n *Namespace, event string) ServerCall[In, Out] {
	n.declare(EventContract{Name: event, Args: argTypes(reflect.TypeFor[In]()), Acks: true, Ack: argTypes(reflect.TypeFor[Out]())})
	return ServerCall[In, Out]{event}
}

// Call asks one client; see the function Call.
func (q ServerCall[In, Out]) Call(ctx context.Context, s *Socket, in In) (Out, error) {
	return Call[Out](ctx, s, q.event, in)
}

// CallAll asks many clients; see the function CallAll.
func (q ServerCall[In, Out]) CallAll(ctx context.Context, t Target, in In) ([]Answer[Out], error) {
	return CallAll[Out](ctx, t, q.event, in)
}

func (n *Namespace) declare(e EventContract) {
	if !n.srv.serves() {
		return // the contract is a server's
	}
	what := fmt.Sprintf("the declaration of event %q", e.Name)
	n.change(what, false, func(h *hooks) {
		if slices.ContainsFunc(h.declared, func(o EventContract) bool { return o.Name == e.Name }) {
			panic(fmt.Sprintf("sio: event %q of namespace %s is declared already", e.Name, n.path))
		}
		h.declared = append(h.declared, e)
	})
}

// Contract is the list of events between a server and its clients, as far as the types
// in the code tell. Package typescript writes it as TypeScript.
type Contract struct {
	Namespaces []NamespaceContract // by path
}

// NamespaceContract lists the events of one namespace, or of all that match a pattern,
// by name.
type NamespaceContract struct {
	Path     string
	Receives []EventContract // registered with On, OnMessage and OnJSON
	Emits    []EventContract // declared with DeclareEvent and DeclareCall
}

// EventContract is one event of a NamespaceContract.
type EventContract struct {
	Name string
	Args ArgTypes
	Acks bool     // the receiver answers with an ack
	Ack  ArgTypes // the arguments of the ack
}

// ArgTypes are the types of an argument list.
type ArgTypes struct {
	Types []reflect.Type
	Open  bool // any arguments are taken: the code does not name their types
}

// Contract returns the namespaces of the server and their events, with the types of
// arguments and acks. Handlers that take raw arguments have ArgTypes.Open. Namespaces
// without events are left out.
func (s *Server) Contract() Contract {
	var c Contract
	for _, n := range s.list() {
		n.mu.Lock()
		h := n.hooks
		nc := NamespaceContract{Path: n.path, Emits: slices.Clone(h.declared)}
		for name, r := range h.events {
			nc.Receives = append(nc.Receives, describe(name, r.h))
		}
		for _, r := range []registration{h.text, h.json} {
			if _, has := h.events["message"]; r.h != nil && !has {
				nc.Receives = append(nc.Receives, describe("message", r.h))
			}
		}
		n.mu.Unlock()
		byName := func(a, b EventContract) int { return strings.Compare(a.Name, b.Name) }
		slices.SortFunc(nc.Receives, byName)
		slices.SortFunc(nc.Emits, byName)
		if len(nc.Receives)+len(nc.Emits) > 0 {
			c.Namespaces = append(c.Namespaces, nc)
		}
	}
	slices.SortFunc(c.Namespaces, func(a, b NamespaceContract) int { return strings.Compare(a.Path, b.Path) })
	return c
}

func describe(name string, h Handler) EventContract {
	t, ok := h.(*typed)
	if !ok {
		return EventContract{Name: name, Args: ArgTypes{Open: true}}
	}
	e := EventContract{Name: name, Args: argTypes(t.in)}
	if t.out != nil {
		e.Acks, e.Ack = true, argTypes(t.out)
	}
	return e
}

// argTypes are the arguments that a type stands for.
func argTypes(t reflect.Type) ArgTypes {
	if _, lists := reflect.Zero(t).Interface().(argList); lists {
		a := ArgTypes{}
		for i := range t.NumField() {
			a.Types = append(a.Types, t.Field(i).Type)
		}
		return a
	}
	if p := reflect.PointerTo(t); p.Implements(reflect.TypeFor[ArgsUnmarshaler]()) || p.Implements(reflect.TypeFor[listUnmarshaler]()) {
		return ArgTypes{Open: true}
	}
	return ArgTypes{Types: []reflect.Type{t}}
}
