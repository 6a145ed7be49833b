//go:build linux

package main

import (
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// TestChance: the numbers of a table of the binomial distribution.
func TestChance(t *testing.T) {
	for _, c := range []struct {
		k, n int
		want float64
	}{{0, 5, 1}, {5, 5, 1.0 / 32}, {4, 5, 6.0 / 32}, {12, 15, 576.0 / 32768}, {11, 15, 1941.0 / 32768}} {
		if got := chance(c.k, c.n); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%d of %d: %v, want %v", c.k, c.n, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	repeat := func(n int, r float64, more ...float64) []float64 {
		for range n {
			more = append(more, r)
		}
		return more
	}
	for name, c := range map[string]struct {
		ratios []float64
		worse  bool
		said   string
	}{
		"the same":               {repeat(8, 1.02, repeat(7, 0.98)...), false, ""},
		"better":                 {repeat(15, 0.5), false, ""},
		"at the bound":           {repeat(15, 1.05), false, ""},
		"worse":                  {repeat(13, 1.08, 0.9, 0.9), true, "worse"},
		"twice as much":          {repeat(15, 2), true, "worse"},
		"a few rounds far apart": {[]float64{1.3, 1.2, 0.8}, false, "not clear"},
		"one round":              {[]float64{2}, false, "not clear"},
		"as many below":          {repeat(8, 1.1, repeat(7, 0.7)...), false, "not clear"},
	} {
		v := judge(c.ratios, 1.05)
		if v.worse != c.worse || !strings.HasPrefix(v.said, c.said) || c.said == "" && v.said != "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestCompare is the command without the revisions: the test server of this tree, with itself.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	if err := compile(".", filepath.Join(dir, "loadgen"), "../loadgen"); err != nil {
		t.Fatal(err)
	}
	server := filepath.Join(dir, after)
	if err := compile("../../examples", server, "./testapp"); err != nil {
		t.Fatal(err)
	}
	same := []string{server, "-profile", "load", "-addr", "{addr}"}
	list := []scenario{
		{matrix.Scenario{Name: "echo", Args: strings.Fields("echo -n 3 -t 30ms -warm 10ms")}, "cpu_s_1m"},
		{matrix.Scenario{Name: "broadcast", Args: strings.Fields("broadcast -n 3 -t 30ms -warm 10ms")}, "cpu_s_1m"},
	}
	s := settings{rounds: 2, most: 1000}
	var out strings.Builder
	worse, err := s.twice(&out, dir, [2][]string{same, same}, list)
	if err != nil || worse != nil || strings.Count(out.String(), " of 2 | ") != 2 {
		t.Errorf("%v (%v)\n%s", worse, err, out.String())
	}
	// One round is never clear, however low the bound is.
	s = settings{rounds: 1, most: 0}
	out.Reset()
	if worse, err := s.compare(&out, dir, [2][]string{same, same}, list[:1]); err != nil || worse != nil || !strings.Contains(out.String(), "not clear") {
		t.Errorf("%v (%v)\n%s", worse, err, out.String())
	}
	// A server that does not do what is wanted is no comparison.
	broken := []string{server, "-profile", "load", "-addr", "{addr}", "-mount", "/elsewhere"}
	if _, err := s.compare(&out, dir, [2][]string{same, broken}, list); err == nil {
		t.Error("a server that answers nothing has passed")
	}
}

// TestScenarios: each is a command of the load generator, and is found by its name.
func TestScenarios(t *testing.T) {
	list, err := choose("")
	if err != nil || len(list) < 10 {
		t.Fatalf("%d scenarios (%v)", len(list), err)
	}
	if some, err := choose("memory,echo"); err != nil || len(some) != 2 || some[0].metric != "kib_per_conn" {
		t.Errorf("%v (%v)", some, err)
	}
	if _, err := choose("echo,nothing"); err == nil {
		t.Error("a scenario that does not exist was found")
	}
}

// TestBuildFails: a revision that is not there is an error, and leaves no work tree.
func TestBuildFails(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	if _, err := git(".", "rev-parse", "HEAD"); err != nil {
		t.Skip("this is no clone")
	}
	s := settings{base: "no-such-revision"}
	if err := s.build(t.TempDir()); err == nil || !strings.Contains(err.Error(), "worktree") {
		t.Errorf("%v", err)
	}
}
