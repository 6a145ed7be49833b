// want: does not match inferred type func(ctx context.Context, s *sio.Socket, in string) (Out, error)
package main

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	n := sio.NewServer(nil).Of("/")
	n.On("say", sio.Reply(func(ctx context.Context, s *sio.Socket, text string) error { return nil }))
}

var _ context.Context
