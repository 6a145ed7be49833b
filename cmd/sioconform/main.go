// Command sioconform runs the conformance suite against a server that is running,
// in whatever language it is written.
//
//	go run ./cmd/sioconform -url http://127.0.0.1:3000
//	go run ./cmd/sioconform -url http://127.0.0.1:3000 -caps eio4,websocket -json
//	go run ./cmd/sioconform -list
//
// The server has to serve the application that -app describes. The report names
// every case that failed with its rule, where the rule is said, what came and what
// was wanted, and the whole exchange. The exit status is 0 when nothing failed that
// -known does not list, 1 when something did, and 2 when the command was wrong.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/siokit/siokit/conformance"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("sioconform", flag.ContinueOnError)
	f.SetOutput(stderr)
	url := f.String("url", "", "scheme, host and port of the server; it is mounted at /socket.io")
	caps := f.String("caps", "", "what the server can do, separated by commas; everything by default: "+strings.Join(conformance.Capabilities(), ","))
	only := f.String("only", "", "run these cases, or those below these names, separated by commas")
	known := f.String("known", "", "a file of cases that must fail, one a line: its name and the reason")
	patience := f.Duration("patience", 5*time.Second, "how long to wait for what must come; a shorter one makes a run with many failures quicker. A case may take twelve times as long, and 20s always")
	skip := f.String("skip", "", "a file of cases to leave out, one a line: its name and the reason")
	asJSON := f.Bool("json", false, "print the results as JSON")
	list := f.Bool("list", false, "print the names of the cases, one a line")
	app := f.Bool("app", false, "print what the server has to serve")
	if err := f.Parse(args); err != nil {
		return 2
	}
	switch {
	case *list:
		for _, name := range conformance.Cases() {
			_, _ = fmt.Fprintln(stdout, name)
		}
		return 0
	case *app:
		_, _ = fmt.Fprint(stdout, conformance.Application)
		return 0
	case *url == "" || f.NArg() > 0:
		_, _ = fmt.Fprintln(stderr, "sioconform: -url is missing, or there is something behind the flags")
		f.Usage()
		return 2
	}
	opts, err := options(*caps, *only)
	if err == nil {
		opts, err = listed(opts, *known, conformance.KnownFailing)
	}
	if err == nil {
		opts, err = listed(opts, *skip, conformance.Skip)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "sioconform:", err)
		return 2
	}
	bad := 0
	results, err := conformance.Check(nil, append(opts, conformance.Remote(*url),
		conformance.Patience(*patience),
		conformance.Each(func(r conformance.Result) {
			if r.Bad() {
				bad++
			}
			if !*asJSON {
				report(stdout, r)
			}
		}))...)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		_ = e.Encode(results)
	} else {
		_, _ = fmt.Fprintln(stdout, conformance.Summary(results))
	}
	if bad > 0 {
		return 1
	}
	return 0
}

// report prints a line for a case, and everything for one that has failed.
func report(w io.Writer, r conformance.Result) {
	_, _ = fmt.Fprintf(w, "%-8s %6.2fs  %s\n", strings.SplitN(r.Status, ",", 2)[0], r.Took.Seconds(), r.Name)
	if r.Bad() {
		_, _ = fmt.Fprintln(w, "    "+strings.ReplaceAll(strings.TrimRight(r.Report(), "\n"), "\n", "\n    "))
	}
}

func options(caps, only string) (opts []conformance.Option, err error) {
	if caps != "" {
		has := map[string]bool{}
		for _, name := range strings.Split(caps, ",") {
			has[strings.TrimSpace(name)] = true
		}
		for _, c := range conformance.Capabilities() {
			if !has[c] {
				opts = append(opts, conformance.Lacks(c, "not among -caps"))
			}
			delete(has, c)
		}
		for c := range has {
			return nil, fmt.Errorf("there is no capability %q; those that exist are %s", c, strings.Join(conformance.Capabilities(), ", "))
		}
	}
	if only != "" {
		opts = append(opts, conformance.Only(strings.Split(only, ",")...))
	}
	return opts, nil
}

// listed adds an option for each line of a file.
func listed(opts []conformance.Option, name string, option func(name, reason string) conformance.Option) ([]conformance.Option, error) {
	if name == "" {
		return opts, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); ; {
		if !lines.Scan() {
			return opts, lines.Err()
		}
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			name, reason, _ := strings.Cut(line, " ")
			opts = append(opts, option(name, strings.TrimSpace(reason)))
		}
	}
}
