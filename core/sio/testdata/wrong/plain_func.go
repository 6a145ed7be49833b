// want: does not implement sio.Handler
package main

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	n := sio.NewServer(nil).Of("/")
	n.On("say", func(ctx context.Context, s *sio.Socket, text string) error { return nil })
}

var _ context.Context
