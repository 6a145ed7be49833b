// want: does not match func(ctx context.Context, s *sio.Socket, in In) error
package main

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	n := sio.NewServer(nil).Of("/")
	n.On("move", sio.Handle(func(ctx context.Context, s *sio.Socket, x, y int) error { return nil }))
}

var _ context.Context
