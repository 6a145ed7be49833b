//go:build linux

// Report measures siokit's test server on every host beside other servers, and writes the section
// of docs/performance.md with the tables and the plots.
//
//	go run ./bench/report [-rounds 5] [-servers net/http,gws] [-quick] [-from results.jsonl]
//
// With at least five rounds of everything the page is written; otherwise the section and the plots
// are in the folder of -out alone. With -from nothing is measured: what was measured before is
// written again. bench/README.md says what is measured. Linux only.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// enough is how many rounds the page wants.
const enough = 5

// settings are the flags.
type settings struct {
	root, out, from string
	servers         []string // empty: all
	rounds          int
	quick           bool
}

// info is what the page says beside the figures. It lies beside the results, for -from.
type info struct {
	Machine string
	Rounds  int
	Entries []entry
	Left    []string // what is left out, a sentence each
	Points  numbers
	Whole   bool // everything was measured that could be, often enough
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	var s settings
	f := flag.NewFlagSet("report", flag.ContinueOnError)
	servers := f.String("servers", "", "the names of some servers, with commas between them; all, when empty")
	f.IntVar(&s.rounds, "rounds", enough, "how often each scenario runs")
	f.BoolVar(&s.quick, "quick", false, "few connections and short runs: shows that everything works, and no more")
	f.StringVar(&s.out, "out", "", "where the results go; bench/out, when empty")
	f.StringVar(&s.from, "from", "", "a folder with results: write the section and the plots again")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || s.rounds < 1 {
		return errors.New("usage: report [-rounds N] [-servers NAMES] [-quick] [-out FOLDER] [-from FOLDER]")
	}
	if *servers != "" {
		s.servers = strings.Split(*servers, ",")
	}
	var err error
	if s.root, err = root(); err != nil {
		return err
	}
	if s.out == "" {
		s.out = filepath.Join(s.root, "bench", "out")
	}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	if s.from == "" {
		s.from = s.out
		if err := s.measure(); err != nil {
			return err
		}
	}
	return s.write(stdout)
}

// root is the folder of the workspace.
func root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.work")); missing == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("this is no clone: there is no go.work")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// measure builds everything, runs the matrix, and leaves info.json and results.jsonl.
func (s *settings) measure() error {
	limit, err := descriptors()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "report")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := s.build(dir)
	if err != nil {
		return err
	}
	in := info{Rounds: s.rounds, Entries: b.entries, Left: b.left, Points: full}
	if s.quick {
		in.Points = small
	}
	in.Left = append(in.Left, in.Points.within(limit)...)
	in.Whole = s.rounds >= enough && !s.quick && s.servers == nil
	if in.Machine, err = machine(s.root); err != nil {
		return err
	}
	plan := matrix.Plan{Rounds: s.rounds}
	list := in.Points.scenarios()
	for _, sc := range list {
		plan.Scenarios = append(plan.Scenarios, matrix.Scenario{Name: sc.name, Args: sc.args})
	}
	for _, e := range b.entries {
		plan.Servers = append(plan.Servers, e.servers(list)...)
	}
	config := filepath.Join(dir, "plan.json")
	if err := errors.Join(save(config, plan), save(filepath.Join(s.out, "info.json"), in)); err != nil {
		return err
	}
	cmd := exec.Command(b.gen, "matrix", "-config", config, "-out", filepath.Join(s.out, "results.jsonl"))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		// What failed is in the results; write says what that means.
		fmt.Fprintln(os.Stderr, "report: the matrix:", err)
	}
	return nil
}

func save(name string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

// descriptors raises how many files this process and its children may have open, and returns the
// number.
func descriptors() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	l.Cur = l.Max // explicitly: what the runtime has raised by itself is not for children
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	return int(min(l.Max, 1<<30)), nil
}

// write makes the section and the plots of the results, and puts them into the page when they are
// whole. It fails when a host of siokit has failed.
func (s *settings) write(stdout io.Writer) error {
	var in info
	text, err := os.ReadFile(filepath.Join(s.from, "info.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	cells, err := matrix.ReadFile(filepath.Join(s.from, "results.jsonl"))
	if err != nil {
		return err
	}
	good, failures, ours, err := sift(cells, in.Entries)
	if err != nil {
		return err
	}
	section, err := in.section(good, failures)
	if err != nil {
		return err
	}
	plots, err := in.plots(good)
	if err != nil {
		return err
	}
	out := []string{filepath.Join(s.out, "section.md")}
	if err := os.WriteFile(out[0], []byte(section), 0o644); err != nil {
		return err
	}
	folders := []string{filepath.Join(s.out, "performance")}
	if in.Whole {
		page := filepath.Join(s.root, "docs", "performance.md")
		old, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		text, err := insert(string(old), section)
		if err != nil {
			return err
		}
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			return err
		}
		out, folders = append(out, page), append(folders, filepath.Join(s.root, "docs", "performance"))
	}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		for name, svg := range plots {
			if err := os.WriteFile(filepath.Join(folder, name), svg, 0o644); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(stdout, "written:", strings.Join(append(out, folders...), ", "))
	if !in.Whole {
		fmt.Fprintf(stdout, "docs/performance.md stays as it is: that takes %d rounds of everything\n", enough)
	}
	if ours > 0 {
		return fmt.Errorf("%d runs of siokit failed; results.jsonl says why", ours)
	}
	return nil
}
