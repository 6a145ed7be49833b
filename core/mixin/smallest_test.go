package mixin_test

import (
	"context"
	"testing"

	"github.com/siokit/siokit/core/sio"
)

// greeter is the smallest mixin: it greets who joins, and answers the event "who".
type greeter struct{ name string }

func (g greeter) Mix(n *sio.Namespace) {
	n.OnConnect(func(_ context.Context, s *sio.Socket) error { return s.Emit("hello", g.name) })
	n.On("who", sio.Reply(func(context.Context, *sio.Socket, sio.None) (string, error) { return g.name, nil }))
}

func TestSmallestMixin(t *testing.T) {
	_, c := serve(t, greeter{"ann"})
	w, _ := join(t, c)
	w.Send(`421["who"]`)
	want(t, w, `42["hello","ann"]`, `431["ann"]`)
}
