package sio

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/siokit/siokit/core/internal/packet"
)

// TestArgumentsAreTakenBack: the list of a raw handler's arguments is the next event's, and holds
// nothing of this one.
func TestArgumentsAreTakenBack(t *testing.T) {
	s := offline()
	var kept *Event
	s.ns.On("raw", HandlerFunc(func(_ context.Context, ev *Event) error { kept = ev; return nil }))
	args := make([]json.RawMessage, 1, 4)
	args[0] = json.RawMessage(`1`)
	p := &packet.Packet{Type: packet.Event, Namespace: "/", Name: []byte("raw"), Args: args}
	s.client.event(s.Context(), s, p)
	if kept == nil || len(p.Args) != 1 || &p.Args[0] != &args[0] {
		t.Fatalf("the list is %v", p.Args)
	}
	p.Forget()
	if args[0] != nil || cap(p.Args) != cap(args) {
		t.Errorf("the list holds %s", args[0])
	}
}
