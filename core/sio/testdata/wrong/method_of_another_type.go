// want: does not match inferred type
package main

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	n := sio.NewServer(nil).Of("/")
	type game struct{}
	games := sio.Stateful(func(*sio.Socket) *game { return nil })
	n.On("move", sio.Method(games, (*other).Move))
}

var _ context.Context

type other struct{}

func (*other) Move(context.Context, int) error { return nil }
