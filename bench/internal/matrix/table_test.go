package matrix

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestReport: medians, the spread, and the ratios of the rounds.
func TestReport(t *testing.T) {
	var lines strings.Builder
	enc := json.NewEncoder(&lines)
	for round, v := range []string{"2", "4", "3"} {
		_ = enc.Encode(Cell{round, "base", "echo", json.RawMessage(`{"lat":{"p99_us":` + v + `}}`)})
		_ = enc.Encode(Cell{round, "ours", "echo", json.RawMessage(`{"lat":{"p99_us":6}}`)})
	}
	cells, err := Read(strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Tabulate(cells, "", []string{"lat.p99_us"})
	if err != nil {
		t.Fatal(err)
	}
	const want = "| server | echo |\n| --- | --- |\n| base | 3 (2-4, 3) **1.00** |\n| ours | 6 (6-6, 3) **2.00** |\n"
	if text := got.Markdown("base"); text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

// TestReportScenario: the metrics of one scenario are columns.
func TestReportScenario(t *testing.T) {
	got, err := Tabulate([]Cell{
		{0, "base", "idle", json.RawMessage(`{"a":2,"b":1}`)},
		{0, "ours", "idle", json.RawMessage(`{"a":3}`)},
		{0, "ours", "connect", json.RawMessage(`{"a":9}`)},
	}, "idle", []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	const want = "| server | a | b |\n| --- | --- | --- |\n| base | 2 (2-2, 1) **1.00** | 1 (1-1, 1) **1.00** |\n| ours | 3 (3-3, 1) **1.50** |  |\n"
	if text := got.Markdown("base"); text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

// TestSpread: what is not there is no number, and a round without a base has no ratio.
func TestSpread(t *testing.T) {
	got, err := Tabulate([]Cell{
		{0, "base", "echo", json.RawMessage(`{"cpu":2}`)},
		{1, "base", "echo", json.RawMessage(`{"errors":1}`)},
		{0, "ours", "echo", json.RawMessage(`{"cpu":3}`)},
		{1, "ours", "echo", json.RawMessage(`{"cpu":1}`)},
	}, "", []string{"cpu"})
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Spread("ours", "echo"); s != (Spread{2, 1, 3, 2}) {
		t.Errorf("ours: %+v", s)
	}
	if s := got.Spread("ours", "poll"); s != (Spread{}) {
		t.Errorf("what was not run: %+v", s)
	}
	if r := got.Ratios("ours", "echo", "base"); len(r) != 1 || r[0] != 1.5 {
		t.Errorf("ratios %v", r)
	}
}
