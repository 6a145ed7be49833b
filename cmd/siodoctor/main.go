// Siodoctor examines a Socket.IO endpoint from outside and says what the
// middleware of its host breaks:
//
//	siodoctor [-cookie C] [-hold D] http://127.0.0.1:3000/socket.io/
//
// It exits with 0 when it finds nothing, 1 when it does, 2 when it cannot look.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"

	"github.com/siokit/siokit/doctor"
)

func main() { os.Exit(run()) }

func run() int {
	cookie := flag.String("cookie", "", "sent as the Cookie header, such as that of a visitor who is logged in")
	hold := flag.Duration("hold", 0, "how long a poll and a websocket are held; the server's ping interval and 5 s")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: siodoctor [-cookie C] [-hold D] http://127.0.0.1:3000/socket.io/")
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	o := &doctor.Options{Hold: *hold, Header: http.Header{}, Progress: func(check string) { fmt.Fprintln(os.Stderr, "looking at", check) }}
	if *cookie != "" {
		o.Header.Set("Cookie", *cookie)
	}
	findings, err := doctor.Examine(ctx, flag.Arg(0), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	for _, f := range findings {
		fmt.Println(f)
	}
	if len(findings) > 0 {
		return 1
	}
	fmt.Println("nothing found: clients can poll, post, and use websockets")
	return 0
}
