//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// twice measures the scenarios, and those that are worse once more. It returns the ones that are
// worse in both.
func (s *settings) twice(stdout io.Writer, dir string, pair [2][]string, list []scenario) ([]string, error) {
	worse, err := s.compare(stdout, dir, pair, list)
	if err != nil || len(worse) == 0 {
		return nil, err
	}
	fmt.Fprint(stdout, "Once more, what was worse:\n\n")
	if worse, err = s.compare(stdout, dir, pair, worse); err != nil {
		return nil, err
	}
	var names []string
	for _, sc := range worse {
		names = append(names, sc.Name)
	}
	return names, nil
}

// compare measures the scenarios, prints a table, and returns those that are worse. A run with an
// error is an error.
func (s *settings) compare(stdout io.Writer, dir string, pair [2][]string, list []scenario) (worse []scenario, err error) {
	plan := matrix.Plan{Rounds: s.rounds, Servers: []matrix.Server{
		{Name: before, Cmd: pair[0], Proto: "sio5"},
		{Name: after, Cmd: pair[1], Proto: "sio5"},
	}}
	for _, sc := range list {
		plan.Scenarios = append(plan.Scenarios, sc.Scenario)
	}
	config, results := filepath.Join(dir, "plan.json"), filepath.Join(dir, "results.jsonl")
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(dir, "loadgen"), "matrix", "-config", config, "-out", results)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the matrix: %w", err)
	}
	cells, err := matrix.ReadFile(results)
	if err != nil {
		return nil, err
	}
	for _, c := range cells {
		for _, metric := range []string{"errors", "reordered"} {
			if n, _, err := matrix.Field(c.Result, metric); err != nil || n > 0 {
				return nil, fmt.Errorf("%s, %s: %s", c.Server, c.Scenario, c.Result)
			}
		}
	}
	fmt.Fprint(stdout, "| scenario | before | after | ratio | above 1 | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, sc := range list {
		t, err := matrix.Tabulate(cells, "", []string{sc.metric})
		if err != nil {
			return nil, err
		}
		ratios := t.Ratios(after, sc.Name, before)
		if len(ratios) == 0 {
			return nil, fmt.Errorf("%s has no figures", sc.Name)
		}
		v := judge(ratios, s.most)
		if v.worse {
			worse = append(worse, sc)
		}
		fmt.Fprintf(stdout, "| %s | %s | %s | %.3f | %d of %d | %s |\n", sc.Name, spread(t.Spread(before, sc.Name)), spread(t.Spread(after, sc.Name)),
			v.median, v.above, len(ratios), v.said)
	}
	fmt.Fprintln(stdout)
	return worse, nil
}

func spread(s matrix.Spread) string {
	return fmt.Sprintf("%.3g (%.3g-%.3g)", s.Median, s.Least, s.Most)
}

// verdict is what the ratios of one scenario say.
type verdict struct {
	median float64
	above  int // ratios above 1
	worse  bool
	said   string
}

// judge says whether the ratios are beyond the bound, and whether that is chance.
func judge(ratios []float64, most float64) verdict {
	v := verdict{median: matrix.Median(ratios)}
	for _, r := range ratios {
		if r > 1 {
			v.above++
		}
	}
	switch {
	case v.median <= most:
	case chance(v.above, len(ratios)) > 0.05:
		v.said = "not clear: more rounds"
	default:
		v.worse, v.said = true, "worse"
	}
	return v
}

// chance is how likely at least k of n ratios are above 1 when both cost the same.
func chance(k, n int) float64 {
	p, sum := 1.0, 0.0
	for range n {
		p /= 2
	}
	for i := 0; i <= n; i++ { // p is n over i, divided by 2 to the n
		if i >= k {
			sum += p
		}
		p = p * float64(n-i) / float64(i+1)
	}
	return sum
}
