package conformance

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

// reservedCases are about names that clients keep for themselves.
var reservedCases = []testCase{
	{
		name: "wire/reserved-names",
		rule: "no client is sent an event whose name clients keep for themselves, though another " +
			"client has chosen it: official ones would end the connection, or take it for their own",
		spec:  "docs/protocol.md 5.4",
		local: true,
		run:   reservedNames,
	},
}

// reservedNames has a client choose the names of the events that others are sent.
func reservedNames(c *env) {
	n := c.of("/")
	n.On("send others",
		sio.Handle(func(_ context.Context, s *sio.Socket, name string) error { return s.Broadcast().Emit(name, "x") }))
	n.On("send back", sio.Handle(func(_ context.Context, s *sio.Socket, name string) error { return s.Emit(name, "x") }))
	n.On("call back", sio.Handle(func(_ context.Context, s *sio.Socket, name string) error {
		_, err := sio.Call[sio.None](s.Context(), s, name)
		return err
	}))
	victim := c.Join("")
	w := c.Join("")
	c.settle()
	for _, name := range []string{
		"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
		`disconn\u0065ct`,
	} {
		for _, how := range []string{"send others", "send back", "call back"} {
			w.Send(`421["` + how + `","` + name + `"]`)
			c.Want(how+" "+name, w.Next(), "431"+internalAck)
		}
	}
	w.Send(`421["send others","alive"]`)
	c.Want("what the other client is sent", victim.Next(), `42["alive","x"]`)
}
