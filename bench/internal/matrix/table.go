package matrix

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Table is numbers of results. A column is a scenario, or a metric of one scenario.
type Table struct {
	Servers, Columns []string
	values           map[[2]string]map[int]float64 // by server and column, and round
}

// Read reads results, a line for each cell.
func Read(r io.Reader) (cells []Cell, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c Cell
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, err
		}
		cells = append(cells, c)
	}
	return cells, lines.Err()
}

// ReadFile is Read of a file.
func ReadFile(name string) ([]Cell, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	cells, err := Read(r)
	return cells, errors.Join(err, r.Close())
}

// Tabulate finds the metric of each scenario, or the metrics of the one that is named.
func Tabulate(cells []Cell, scenario string, metrics []string) (*Table, error) {
	t := &Table{values: map[[2]string]map[int]float64{}}
	for _, c := range cells {
		if scenario != "" && c.Scenario != scenario {
			continue
		}
		if !slices.Contains(t.Servers, c.Server) {
			t.Servers = append(t.Servers, c.Server)
		}
		for _, metric := range metrics {
			column := metric
			if scenario == "" {
				column = c.Scenario
			}
			v, ok, err := Field(c.Result, metric)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(t.Columns, column) {
				t.Columns = append(t.Columns, column)
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

// Field finds a number in a JSON object; dots lead into inner ones.
func Field(obj json.RawMessage, path string) (v float64, ok bool, err error) {
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
		return Field(raw, rest)
	}
	return v, true, json.Unmarshal(raw, &v)
}

// Values are the numbers of a server in a column, by round; nil when there are none.
func (t *Table) Values(server, column string) map[int]float64 {
	return t.values[[2]string{server, column}]
}

// Ratios are those of a server to the base, in the rounds that have both.
func (t *Table) Ratios(server, column, base string) (ratios []float64) {
	for round, v := range t.Values(server, column) {
		if b := t.Values(base, column)[round]; b > 0 {
			ratios = append(ratios, v/b)
		}
	}
	return ratios
}

// Spread is what many values are said with.
type Spread struct {
	Median, Least, Most float64
	N                   int // values; with 0 the others are 0 too
}

// Spread is that of a server in a column.
func (t *Table) Spread(server, column string) Spread {
	var values []float64
	for _, v := range t.Values(server, column) {
		values = append(values, v)
	}
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{Median(values), slices.Min(values), slices.Max(values), len(values)}
}

// Markdown is the whole table; a cell is "median (least-most, runs) **ratio to the base**".
func (t *Table) Markdown(base string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| server | %s |\n|%s\n", strings.Join(t.Columns, " | "), strings.Repeat(" --- |", len(t.Columns)+1))
	for _, server := range t.Servers {
		fmt.Fprintf(&b, "| %s |", server)
		for _, column := range t.Columns {
			fmt.Fprintf(&b, " %s |", t.cell(server, column, base))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (t *Table) cell(server, column, base string) string {
	s := t.Spread(server, column)
	if s.N == 0 {
		return ""
	}
	text := fmt.Sprintf("%.3g (%.3g-%.3g, %d)", s.Median, s.Least, s.Most, s.N)
	if ratios := t.Ratios(server, column, base); len(ratios) > 0 {
		text += fmt.Sprintf(" **%.2f**", Median(ratios))
	}
	return text
}

// Median is the middle of the values, of which there is at least one.
func Median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
