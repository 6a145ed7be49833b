//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/siokit/siokit/bench/internal/matrix"
)

// bound is what a metric may be at most.
type bound struct {
	metric string
	most   float64
}

type bounds []bound

func (b *bounds) String() string { return fmt.Sprint([]bound(*b)) }

func (b *bounds) Set(text string) error {
	metric, number, _ := strings.Cut(text, "=")
	most, err := strconv.ParseFloat(number, 64)
	if err != nil || metric == "" {
		return fmt.Errorf("%q is not METRIC=NUMBER", text)
	}
	*b = append(*b, bound{metric, most})
	return nil
}

// report prints a Markdown table of medians, with the spread, and the median of the
// ratios to a base, round by round. With bounds it fails when one is exceeded.
func report(args []string) error {
	f := flag.NewFlagSet("report", flag.ContinueOnError)
	metric := f.String("metric", "cpu_s_1m", "a field of the results; lat.p99_us for one inside of another; with -scenario some, with commas between them")
	scenario := f.String("scenario", "", "one scenario: its metrics are the columns, instead of the scenarios")
	base := f.String("base", "", "the server that the others are compared with")
	var most bounds
	f.Var(&most, "max", "METRIC=NUMBER, with -scenario: what no server but the base may exceed in any round; may be repeated")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 || *scenario == "" && (len(most) > 0 || strings.Contains(*metric, ",")) {
		return errors.New("usage: loadgen report [-metric FIELD] [-scenario NAME] [-max FIELD=NUMBER] [-base SERVER] RESULTS")
	}
	cells, err := matrix.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	t, err := matrix.Tabulate(cells, *scenario, strings.Split(*metric, ","))
	if err != nil {
		return err
	}
	fmt.Print(t.Markdown(*base))
	if len(most) == 0 {
		return nil
	}
	text, err := most.check(cells, *scenario, *base)
	fmt.Print(text)
	return err
}

// check says for each server but the base whether it stays within the bounds in every round. A
// metric that is missing in a round is beyond them.
func (b *bounds) check(cells []matrix.Cell, scenario, base string) (text string, err error) {
	var metrics []string
	for _, k := range *b {
		metrics = append(metrics, k.metric)
	}
	t, err := matrix.Tabulate(cells, scenario, metrics)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	bad, rounds := 0, map[string]int{}
	for _, c := range cells {
		if c.Scenario == scenario {
			rounds[c.Server]++
		}
	}
	for _, server := range t.Servers {
		if server == base {
			continue
		}
		for _, k := range *b {
			values := slices.Collect(maps.Values(t.Values(server, k.metric)))
			got, verdict := "nothing", "FAILED"
			if len(values) == rounds[server] {
				worst := slices.Max(values)
				got = fmt.Sprintf("%.3g", worst)
				if worst <= k.most {
					verdict = "ok"
				}
			}
			if verdict != "ok" {
				bad++
			}
			fmt.Fprintf(&out, "%-40s %8s, at most %.3g: %s\n", server+" "+k.metric, got, k.most, verdict)
		}
	}
	if bad > 0 {
		err = fmt.Errorf("%d bounds are exceeded", bad)
	}
	return out.String(), err
}
