package acl_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/siokit/siokit/core/acl"
)

// subject stands for a socket: in an application *sio.Socket is the Subject.
type subject struct {
	mu sync.Mutex
	m  map[any]any
}

func (s *subject) Get(key any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[key]
}

func (s *subject) GetOrSet(key any, mk func() any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.m[key]; !ok {
		s.m = map[any]any{key: mk()}
	}
	return s.m[key]
}

// A gate starts closed. The application opens it for one subject.
func ExampleGate() {
	gate := acl.NewGate(acl.RecvConnect, "login")
	s := &subject{}
	fmt.Println(gate.Allowed(s, "login"), gate.Allowed(s, "say"))
	gate.Allow(s, "say")
	fmt.Println(gate.Allowed(s, "say"), gate.Allowed(s, "delete"))
	gate.Lift(s)
	fmt.Println(gate.Allowed(s, "delete"))
	gate.Reset(s)
	fmt.Println(gate.Allowed(s, "delete"))
	// Output:
	// true false
	// true false
	// true
	// false
}

// A policy of one's own is a function. This one refuses long lists of arguments, and
// has no opinion about joining.
func ExamplePolicyFunc() {
	few := acl.PolicyFunc(func(_ context.Context, _ acl.Subject, a acl.Action) error {
		switch {
		case a.Kind != acl.Event:
			return acl.ErrAbstain
		case len(a.Args) > 3:
			return acl.ErrDenied
		}
		return nil
	})
	// Several policies make one: the client must pass both.
	p := acl.All(few, acl.RateLimit(20, time.Second))

	say := acl.Action{Kind: acl.Event, Name: "say"}
	fmt.Println(p.Check(context.Background(), &subject{}, say))
	fmt.Println(few.Check(context.Background(), &subject{}, acl.Action{Kind: acl.Connect}))
	// Output:
	// <nil>
	// acl: no opinion
}

// Not turns an answer around. An abstention stays one.
func ExampleNot() {
	p := acl.Not(acl.RoomPrefix("staff:"))
	for _, a := range []acl.Action{{Kind: acl.Join, Name: "staff:1"}, {Kind: acl.Join, Name: "lobby"}, {Kind: acl.Event, Name: "say"}} {
		fmt.Println(p.Check(context.Background(), &subject{}, a))
	}
	// Output:
	// acl: not allowed
	// <nil>
	// acl: no opinion
}
