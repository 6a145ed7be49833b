//go:build linux

// Regress compares two revisions of siokit in one run, and fails when the newer one costs more
// than 5 % more in a scenario.
//
//	go run ./bench/regress [-base main] [-head REVISION] [-rounds 15] [-hosts nethttp,fiber]
//
// Without -head the newer one is the work tree as it is. A ratio of two runs moves by a tenth and
// more on a machine that does other work. So the two take turns, and a scenario fails only when
// the median of the ratios is beyond the bound, and it is not chance that most of them are above
// one, and a second measurement says the same. Linux only.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/siokit/siokit/bench/internal/matrix"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "regress:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	base, head, hosts, only string
	rounds                  int
	most                    float64
}

// The names of the two in the results.
const (
	before = "before"
	after  = "after"
)

func run(args []string, stdout io.Writer) (err error) {
	var s settings
	f := flag.NewFlagSet("regress", flag.ContinueOnError)
	f.StringVar(&s.base, "base", "main", "the older revision")
	f.StringVar(&s.head, "head", "", "the newer revision; the work tree, when empty")
	f.StringVar(&s.hosts, "hosts", "nethttp", "hosts of the test server, with commas between them")
	f.StringVar(&s.only, "scenarios", "", "some scenarios, with commas between them; all, when empty")
	f.IntVar(&s.rounds, "rounds", 15, "how often each scenario runs")
	f.Float64Var(&s.most, "most", 1.05, "the bound of the ratio")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || s.rounds < 1 {
		return errors.New("usage: regress [-base REVISION] [-head REVISION] [-rounds N] [-hosts NAMES] [-scenarios NAMES] [-most RATIO]")
	}
	list, err := choose(s.only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "regress")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := s.build(dir); err != nil {
		return err
	}
	if err := descriptors(); err != nil {
		return err
	}
	var failed []string
	for host := range strings.SplitSeq(s.hosts, ",") {
		pair := [2][]string{}
		for i, name := range []string{before, after} {
			pair[i] = []string{filepath.Join(dir, name), "-profile", "load", "-adapter", host, "-addr", "{addr}"}
		}
		fmt.Fprintf(stdout, "## %s\n\n", host)
		worse, err := s.twice(stdout, dir, pair, list)
		if err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
		for _, name := range worse {
			failed = append(failed, host+" "+name)
		}
	}
	if failed != nil {
		return fmt.Errorf("beyond %.2f, twice: %s", s.most, strings.Join(failed, ", "))
	}
	return nil
}

// build builds the load generator, and the test server of both revisions.
func (s *settings) build(dir string) error {
	top, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	if err := compile(top, filepath.Join(dir, "loadgen"), "./bench/loadgen"); err != nil {
		return err
	}
	for _, r := range []struct{ name, revision string }{{before, s.base}, {after, s.head}} {
		if r.revision == "" {
			if err := compile(top, filepath.Join(dir, r.name), "./examples/testapp"); err != nil {
				return err
			}
			continue
		}
		tree := filepath.Join(dir, r.name+"-tree")
		if _, err := git(top, "worktree", "add", "--detach", "--quiet", tree, r.revision); err != nil {
			return err
		}
		err := compile(tree, filepath.Join(dir, r.name), "./examples/testapp")
		_, gone := git(top, "worktree", "remove", "--force", tree)
		if err := errors.Join(err, gone); err != nil {
			return err
		}
	}
	return nil
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func compile(dir, out, pkg string) error {
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, text)
	}
	return nil
}

// descriptors raises how many files the servers may have open.
func descriptors() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max // explicitly: what the runtime has raised by itself is not for children
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// scenario is one that is compared, by one of its metrics.
type scenario struct {
	matrix.Scenario
	metric string
}

func scenarios() (list []scenario) {
	const cpuTime = "cpu_s_1m"
	for _, sc := range []struct{ name, args string }{
		{"echo", "echo -n 200"},
		{"ack", "echo -n 200 -ack"},
		{"pipeline", "echo -n 20 -d 16"},
		{"echo-1k", "echo -n 200 -size 1024"},
		{"echo-16k", "echo -n 200 -size 16384"},
		{"rate-3k", "echo -n 500 -rate 3000"},
		{"broadcast", "broadcast -n 500"},
		{"broadcast-8", "broadcast -n 500 -w 8"},
		{"broadcast-10", "broadcast -n 10"},
		{"connect", "connect -n 20 -mode ws"},
		{"upgrade", "connect -n 20 -mode upgrade"},
		{"poll", "poll -n 50"},
	} {
		args := append(strings.Fields(sc.args), "-t", "1200ms", "-warm", "400ms")
		list = append(list, scenario{matrix.Scenario{Name: sc.name, Args: args}, cpuTime})
	}
	return append(list, scenario{matrix.Scenario{Name: "memory", Args: strings.Fields("idle -n 2000 -hold 400ms -gc")}, "kib_per_conn"})
}

// choose finds the scenarios with some names.
func choose(names string) ([]scenario, error) {
	all := scenarios()
	if names == "" {
		return all, nil
	}
	var list []scenario
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(sc scenario) bool { return sc.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("-scenarios: there is no %q", name)
		}
		list = append(list, all[i])
	}
	return list, nil
}
