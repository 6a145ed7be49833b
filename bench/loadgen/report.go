//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// table is the values of one metric: server, scenario, round.
type table struct {
	servers, scenarios []string
	values             map[[2]string]map[int]float64
}

// report prints a Markdown table of medians, with the spread, and the median of the
// ratios to a base, round by round.
func report(args []string) error {
	f := flag.NewFlagSet("report", flag.ContinueOnError)
	metric := f.String("metric", "cpu_s_1m", "a field of the results; lat.p99_us for one inside of another")
	base := f.String("base", "", "the server that the others are compared with")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("usage: loadgen report [-metric FIELD] [-base SERVER] RESULTS")
	}
	r, err := os.Open(f.Arg(0))
	if err != nil {
		return err
	}
	t, err := read(r, *metric)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	fmt.Print(t.markdown(*base))
	return nil
}

func read(r io.Reader, metric string) (*table, error) {
	t := &table{values: map[[2]string]map[int]float64{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c cell
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, err
		}
		v, ok, err := field(c.Result, metric)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(t.servers, c.Server) {
			t.servers = append(t.servers, c.Server)
		}
		if !slices.Contains(t.scenarios, c.Scenario) {
			t.scenarios = append(t.scenarios, c.Scenario)
		}
		if key := [2]string{c.Server, c.Scenario}; ok {
			if t.values[key] == nil {
				t.values[key] = map[int]float64{}
			}
			t.values[key][c.Round] = v
		}
	}
	return t, lines.Err()
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
	fmt.Fprintf(&b, "| server | %s |\n|%s\n", strings.Join(t.scenarios, " | "), strings.Repeat(" --- |", len(t.scenarios)+1))
	for _, server := range t.servers {
		fmt.Fprintf(&b, "| %s |", server)
		for _, scenario := range t.scenarios {
			fmt.Fprintf(&b, " %s |", t.cell(server, scenario, base))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// cell is "median (least-most, runs) **ratio**".
func (t *table) cell(server, scenario, base string) string {
	var values, ratios []float64
	for round, v := range t.values[[2]string{server, scenario}] {
		values = append(values, v)
		if b := t.values[[2]string{base, scenario}][round]; b > 0 {
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
