package sio

import (
	"fmt"
	"runtime/debug"

	"github.com/siokit/siokit/core/host"
	"github.com/siokit/siokit/core/virtsocket"
)

// address is who a handshake comes from, for the bounds per address. When
// Options.Address panics, the peer counts: a bound must not end with a fault of
// the application.
func (s *Server) address(x host.Exchange) (name string) {
	if s.opts.Address == nil {
		return virtsocket.PeerAddress(x)
	}
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack()
			s.opts.Logger.Error("siokit: panic", "in", "Address", "panic", fmt.Sprint(p), "stack", string(stack))
			s.report(Incident{Name: IncidentPanic, Err: fmt.Errorf("panic: %v", p), Where: "Address", Stack: stack})
			name = virtsocket.PeerAddress(x)
		}
	}()
	return s.opts.Address(x)
}
