// want: cannot use 1 (untyped int constant) as string value
package main

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	n := sio.NewServer(nil).Of("/")
	said := sio.DeclareEvent[string](n, "said")
	_ = said.Emit(n, 1)
}

var _ context.Context
