// Siodoctor examines a Socket.IO endpoint from outside and says what the
// middleware of its host breaks:
//
//	siodoctor [-namespace N] [-auth JSON] [-cookie C] [-origin O] [-hold D] http://127.0.0.1:3000/socket.io/
//
// Without a path in the address it looks at /socket.io/. It takes about two ping
// intervals, a minute by default. It exits with 0 when it finds nothing, 1 when it
// does, 2 when it cannot look.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"

	"github.com/siokit/siokit/doctor"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, log io.Writer) int {
	set := flag.NewFlagSet("siodoctor", flag.ContinueOnError)
	set.SetOutput(log)
	set.Usage = func() {
		_, _ = fmt.Fprintln(log, "usage: siodoctor [flags] http://127.0.0.1:3000/socket.io/")
		set.PrintDefaults()
	}
	var o doctor.Options
	set.StringVar(&o.Namespace, "namespace", "/", "the namespace to join")
	set.StringVar(&o.Auth, "auth", "", `what the namespace asks for, as JSON: {"token":"letmein"}`)
	cookie := set.String("cookie", "", "sent as the Cookie header, such as that of a visitor who is logged in")
	origin := set.String("origin", "", "sent as the Origin header: may a page from there connect?")
	set.DurationVar(&o.Hold, "hold", 0, "how long a poll and a websocket are held; by default, and at least, somewhat longer than the server's ping interval")
	if err := set.Parse(args); err != nil {
		return 2
	}
	if set.NArg() != 1 {
		set.Usage()
		return 2
	}
	o.Header = http.Header{}
	for k, v := range map[string]string{"Cookie": *cookie, "Origin": *origin} {
		if v != "" {
			o.Header.Set(k, v)
		}
	}
	o.Progress = func(check string) { _, _ = fmt.Fprintln(log, "looking at", check) }
	o.Note = func(text string) { _, _ = fmt.Fprintln(out, "note:", text) }
	findings, err := doctor.Examine(ctx, set.Arg(0), &o)
	if err != nil {
		_, _ = fmt.Fprintln(log, err)
		return 2
	}
	for _, f := range findings {
		_, _ = fmt.Fprintf(out, "%s: %s\n    %s\n", f.Check, f.Problem, f.Cure)
	}
	if len(findings) > 0 {
		return 1
	}
	_, _ = fmt.Fprintln(out, "no fault found")
	return 0
}
