package sio_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/internal/wire"
)

// talk is the other side of the examples: a client of Socket.IO 4.x, by hand. It
// joins the default namespace, sends packets, and prints the first n that
// come back, but not the answers to CONNECT.
func talk(io *sio.Server, n int, packets ...string) {
	defer func() { _ = io.Shutdown(context.Background()) }()
	hs := httptest.NewServer(io)
	defer hs.Close()
	c := wire.New(exampleTB{}, hs.URL, "/socket.io/")
	defer c.Close()
	w := c.Join("")
	w.Send(packets...)
	for n > 0 {
		if m := w.Next(); !strings.HasPrefix(m, "40") {
			fmt.Println(m)
			n--
		}
	}
}

// exampleTB is a testing.TB where there is none.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                      {}
func (exampleTB) Cleanup(func())               {}
func (exampleTB) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (exampleTB) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
