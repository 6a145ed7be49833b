//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// table is numbers of results. A column is a scenario, or a metric of one scenario.
type table struct {
	servers, columns []string
	values           map[[2]string]map[int]float64 // by server and column, and round
}

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
	r, err := os.Open(f.Arg(0))
	if err != nil {
		return err
	}
	cells, err := read(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	t, err := tabulate(cells, *scenario, strings.Split(*metric, ","))
	if err != nil {
		return err
	}
	fmt.Print(t.markdown(*base))
	if len(most) == 0 {
		return nil
	}
	text, err := most.check(cells, *scenario, *base)
	fmt.Print(text)
	return err
}

// check says for each server but the base whether it stays within the bounds in every round. A
// metric that is missing in a round is beyond them.
func (b *bounds) check(cells []cell, scenario, base string) (text string, err error) {
	var metrics []string
	for _, k := range *b {
		metrics = append(metrics, k.metric)
	}
	t, err := tabulate(cells, scenario, metrics)
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
	for _, server := range t.servers {
		if server == base {
			continue
		}
		for _, k := range *b {
			values := slices.Collect(maps.Values(t.values[[2]string{server, k.metric}]))
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

func read(r io.Reader) (cells []cell, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c cell
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, err
		}
		cells = append(cells, c)
	}
	return cells, lines.Err()
}

// tabulate finds the metric of each scenario, or the metrics of the one that is named.
func tabulate(cells []cell, scenario string, metrics []string) (*table, error) {
	t := &table{values: map[[2]string]map[int]float64{}}
	for _, c := range cells {
		if scenario != "" && c.Scenario != scenario {
			continue
		}
		if !slices.Contains(t.servers, c.Server) {
			t.servers = append(t.servers, c.Server)
		}
		for _, metric := range metrics {
			column := metric
			if scenario == "" {
				column = c.Scenario
			}
			v, ok, err := field(c.Result, metric)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(t.columns, column) {
				t.columns = append(t.columns, column)
			}
			if key := [2]string{c.Server, column}; ok {
				if t.values[key] == nil {
					t.values[key] = map[int]float64{}
				}
				t.values[key][c.Round] = v
			}
		}
	}
	return t, nil
}

// field finds a number in a JSON object; dots lead into inner ones.
func field(obj json.RawMessage, path string) (v float64, ok bool, err error) {
	name, rest, inner := strings.Cut(path, ".")
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(obj, &fields); err != nil {
		return 0, false, err
	}
	raw, ok := fields[name]
	if !ok {
		return 0, false, nil
	}
	if inner {
		return field(raw, rest)
	}
	return v, true, json.Unmarshal(raw, &v)
}

func (t *table) markdown(base string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| server | %s |\n|%s\n", strings.Join(t.columns, " | "), strings.Repeat(" --- |", len(t.columns)+1))
	for _, server := range t.servers {
		fmt.Fprintf(&b, "| %s |", server)
		for _, column := range t.columns {
			fmt.Fprintf(&b, " %s |", t.cell(server, column, base))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// cell is "median (least-most, runs) **ratio**".
func (t *table) cell(server, column, base string) string {
	var values, ratios []float64
	for round, v := range t.values[[2]string{server, column}] {
		values = append(values, v)
		if b := t.values[[2]string{base, column}][round]; b > 0 {
			ratios = append(ratios, v/b)
		}
	}
	if len(values) == 0 {
		return ""
	}
	text := fmt.Sprintf("%.3g (%.3g-%.3g, %d)", median(values), slices.Min(values), slices.Max(values), len(values))
	if len(ratios) > 0 {
		text += fmt.Sprintf(" **%.2f**", median(ratios))
	}
	return text
}
