// Command mutation measures the conformance suite: it plants faults in the core,
// the hosts, the adapters and the session bridge, one at a time, in a copy of the
// tree, and looks whether the suite notices.
//
//	go run ./internal/mutation                 all mutants, the report on standard output
//	go run ./internal/mutation -only fiber     those whose name or file contains a word
//	go run ./internal/mutation -report docs/mutation-report.md
//	go run ./internal/mutation -new -report docs/mutation-report.md
//	                          those that the report does not have yet; its other rows stay
//
// mutants.txt lists the faults: a line "=== NAME | FILE | SUITE [| REASON]", lines
// to find, each behind a minus sign, and lines to put there, each behind a plus
// sign. What is to be found must be there exactly once, so that a list that has
// grown old is noticed. A mutant that does not compile is an error. REASON says why
// a mutant may survive. The exit status is 1 when fewer than nine in ten are killed,
// when a mutant without a reason survives, or when the list is wrong.
package main

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

//go:embed mutants.txt
var list string

// suites are the parts of the suite that a mutant is shown to: a module, and the
// arguments of go test (-run, a pattern, a package). Each ends at the first failure.
var suites = map[string][]string{
	"nethttp":  {".", "-run", "^TestConformance$", "./core/sio"},
	"tls":      {".", "-run", "^TestConformanceTLS$", "./core/sio"},
	"gin":      {"adapters/gin", "-run", "^TestConformance$|^TestGroup$", "."},
	"echo":     {"adapters/echo", "-run", "^TestConformance$|^TestGroup$", "."},
	"echov5":   {"adapters/echov5", "-run", "^TestConformance$|^TestGroup$", "."},
	"chi":      {"adapters/chi", "-run", "^TestConformance$|^TestGroup$", "."},
	"fiber":    {"adapters/fiber", "-run", "^TestConformance$|^TestGroup$", "."},
	"fiberv3":  {"adapters/fiberv3", "-run", "^TestConformance$|^TestGroup$", "."},
	"fibertls": {"adapters/fiber", "-run", "^TestConformanceTLS$", "."},
	"memory":   {".", "-run", "^TestBackend$", "./sessionbridge/memory"},
	"gorilla":  {"sessionbridge/gorilla", "-run", "^TestBackend$", "."},
	"scs":      {"sessionbridge/scs", "-run", "^TestBackend$", "."},
	"fiberses": {"sessionbridge/fiber", "-run", "^TestBackend$", "."},
	"fiberv3s": {"sessionbridge/fiberv3", "-run", "^TestBackend$", "."},
	"handover": {".", "-run", "^TestHandover|^TestRecoveryBound$", "./core/sio"},
	"redis":    {"cluster/redis", "-run", "^TestRunCluster$/^classic$", "."},
	"faults":   {"cluster/redis", "-run", "^TestServers(Killed|Stalled|Poison|Refused)$|^TestStreamBehind$", "."},
	"journal":  {".", "-run", "^TestJournal", "./core/sio"},
	"sessions": {"examples", "-run", "^(TestSessions|TestCookieSessions)$/^(nethttp|gin)$", "./internal/hosts"},

	// Tests of one package, for moments that no client can hit and for rules that no case has.
	"mixin":     {".", "-run", "^TestOnceFails$", "./core/mixin"},
	"sio":       {".", "-run", "^TestOpenedBehindTheEnd$|^TestShutdownUpgrading$|^TestLoopCutOff$|^TestArgumentsAreTakenBack$", "./core/sio"},
	"socket":    {".", "-run", "^TestShutdownBehindGreeting$|^TestParked|^TestNotParked|^TestCork$|^TestInlineOf09$", "./core/internal/virtsocket"},
	"polling":   {".", "-run", "^TestGoodbyeBehindTheLast$", "./core/internal/transport/polling"},
	"websocket": {".", "-run", "^TestCloseFrameBehindTheLast$|^TestBufferSize$", "./core/internal/transport/websocket"},
	"packet":    {".", "-run", "^TestBuffers$", "./core/internal/packet"},
	"node":      {".", "-run", "^TestDoubt", "./core/internal/node"},
	"recovery":  {".", "-run", "^TestRecovery|^TestExpir", "./core/sio"},
	"siotest":   {".", "-run", ".", "./core/siotest"},
}

type mutant struct {
	name, file, suite, reason string
	from, to                  string
	known                     bool // killed and by are those of an earlier report
	ran                       bool
	killed                    bool
	by                        string // the first case that failed
	took                      time.Duration
	err                       error
}

func main() {
	only := flag.String("only", "", "run mutants whose name or file contains this")
	report := flag.String("report", "", "write the report to this file too")
	fresh := flag.Bool("new", false, "run the mutants that the report does not have, and keep its other rows")
	jobs := flag.Int("jobs", 2, "how many mutants are tried at a time")
	timeout := flag.Duration("timeout", 4*time.Minute, "how long the suite may take; running out of it counts as killed")
	flag.Parse()
	mutants, err := parse(list)
	if err == nil && *fresh {
		var text []byte
		text, err = os.ReadFile(*report)
		carry(mutants, string(text))
	}
	if err == nil {
		err = run(mutants, *only, *jobs, *timeout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
	if *fresh {
		*only = "" // the report has all of them
	}
	text, ok := summary(mutants, *only)
	fmt.Print(text)
	if *report != "" {
		if err := os.WriteFile(*report, []byte(text), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "mutation:", err)
			os.Exit(1)
		}
	}
	if !ok {
		os.Exit(1)
	}
}

func parse(text string) (mutants []*mutant, err error) {
	var m *mutant
	for n, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "=== "):
			f := strings.Split(line[4:], " | ")
			if len(f) < 3 || suites[f[2]] == nil {
				return nil, fmt.Errorf("mutants.txt:%d: want NAME | FILE | SUITE", n+1)
			}
			m = &mutant{name: f[0], file: f[1], suite: f[2]}
			if len(f) > 3 {
				m.reason = f[3]
			}
			mutants = append(mutants, m)
		case strings.HasPrefix(line, "-") && m != nil:
			m.from += line[1:] + "\n"
		case strings.HasPrefix(line, "+") && m != nil:
			m.to += line[1:] + "\n"
		case line != "" && !strings.HasPrefix(line, "#"):
			return nil, fmt.Errorf("mutants.txt:%d: %q", n+1, line)
		}
	}
	return mutants, nil
}

// untried is the result of a mutant that no run has come to.
const untried = "not tried yet"

// carry takes over the results of an earlier report.
func carry(mutants []*mutant, report string) {
	for _, line := range strings.Split(report, "\n") {
		cells := strings.SplitN(line, " | ", 4)
		if len(cells) < 4 || strings.HasPrefix(cells[3], untried) {
			continue
		}
		for _, m := range mutants {
			if cells[0] != "| "+m.name {
				continue
			}
			by, killed := strings.CutPrefix(cells[3], "killed by `")
			by, _, _ = strings.Cut(by, "`")
			if m.known, m.killed = true, killed; killed {
				m.by = by
			}
		}
	}
}

// run tries the mutants, each job in a copy of the tree of its own.
func run(mutants []*mutant, only string, jobs int, timeout time.Duration) error {
	var todo []*mutant
	for _, m := range mutants {
		if strings.Contains(m.name+" "+m.file, only) && !m.known {
			todo = append(todo, m)
		}
	}
	next := make(chan *mutant)
	var wg sync.WaitGroup
	for range jobs {
		dir, err := copied()
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		wg.Go(func() {
			for m := range next {
				m.ran = true
				m.try(dir, timeout)
				switch {
				case m.err != nil:
					fmt.Fprintf(os.Stderr, "ERROR    %s: %v\n", m.name, m.err)
				case m.killed:
					fmt.Fprintf(os.Stderr, "killed   %5.1fs %s: %s\n", m.took.Seconds(), m.name, m.by)
				default:
					fmt.Fprintf(os.Stderr, "SURVIVED %5.1fs %s\n", m.took.Seconds(), m.name)
				}
			}
		})
	}
	for _, m := range todo {
		next <- m
	}
	close(next)
	wg.Wait()
	var errs []error
	for _, m := range todo {
		if m.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, m.err))
		}
	}
	return errors.Join(errs...)
}

// copied makes a copy of what git knows.
func copied() (string, error) {
	dir, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return "", err
	}
	return dir, exec.Command("git", "checkout-index", "-a", "--prefix="+dir+"/").Run()
}

// try plants the mutant, runs its suite, and takes it out again.
func (m *mutant) try(dir string, timeout time.Duration) {
	name := filepath.Join(dir, m.file)
	sound, err := os.ReadFile(name)
	if err != nil {
		m.err = err
		return
	}
	if n := strings.Count(string(sound), m.from); n != 1 || m.from == m.to {
		m.err = fmt.Errorf("%s: what is to be changed is there %d times", m.file, n)
		return
	}
	defer func() { m.err = errors.Join(m.err, os.WriteFile(name, sound, 0o600)) }()
	if m.err = os.WriteFile(name, []byte(strings.Replace(string(sound), m.from, m.to, 1)), 0o600); m.err != nil {
		return
	}
	suite := suites[m.suite]
	pkg := filepath.Join(dir, suite[0], suite[len(suite)-1])
	binary := filepath.Join(dir, "mutant.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Dir = pkg
	if out, err := build.CombinedOutput(); err != nil {
		m.err = fmt.Errorf("does not compile: %w\n%s", err, out)
		return
	}
	from := time.Now()
	test := exec.Command(binary, "-test.run", suite[2], "-test.failfast", "-test.timeout", timeout.String())
	test.Dir = pkg
	out, err := test.CombinedOutput()
	m.took = time.Since(from)
	if m.killed = err != nil; !m.killed {
		return
	}
	m.by = "the process has ended"
	for _, line := range strings.Split(string(out), "\n") {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); ok {
			m.by, _, _ = strings.Cut(name, " ") // the last line names the case, the first its test
		}
	}
}

func summary(mutants []*mutant, only string) (text string, ok bool) {
	var b strings.Builder
	killed, tried, unexplained := 0, 0, 0
	for _, m := range mutants {
		if m.ran || m.known {
			tried++
			if m.killed {
				killed++
			} else if m.reason == "" {
				unexplained++
			}
		}
	}
	b.WriteString("# Mutation report\n\nWhat the conformance suite notices. Each fault of `internal/mutation/mutants.txt` was planted\nalone, and the part of the suite named in the table was run: for some, in a moment that no client\ncan hit, that is a test of one package.\n")
	b.WriteString("Made by `go run ./internal/mutation -report docs/mutation-report.md`. With `-new` the rows that\nare there already stay as they are.\n\n")
	fmt.Fprintf(&b, "killed %d of %d\n\n", killed, tried)
	b.WriteString("| fault | file | suite | |\n| --- | --- | --- | --- |\n")
	for _, m := range mutants {
		if !strings.Contains(m.name+" "+m.file, only) && !m.known {
			continue
		}
		result := untried
		switch {
		case m.killed:
			result = "killed by `" + m.by + "`"
		case m.ran || m.known:
			result = "**survived**: " + m.reason
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", m.name, m.file, m.suite, result)
	}
	return b.String(), unexplained == 0 && 10*killed >= 9*tried
}
