// want: does not match inferred type func(ctx context.Context, s *sio.Socket, in string) error
package main

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	n := sio.NewServer(nil).Of("/")
	n.On("say", sio.Handle(func(ctx context.Context, s *sio.Socket, text string) {}))
}

var _ context.Context
