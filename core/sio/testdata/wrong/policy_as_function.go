// want: does not implement acl.Policy
package main

import (
	"context"

	"github.com/siokit/siokit/core/sio"
)

func main() {
	n := sio.NewServer(nil).Of("/")
	n.Guard(func() error { return nil })
}

var _ context.Context
