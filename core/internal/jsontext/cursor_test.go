package jsontext

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzCursor holds the cursor against the scanner: it finds the same elements in
// valid JSON, and ends on any text.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{`[]`, `["a",1, {"b":[1,2,{"c":null}],"d":"\"}"}, -1e3 ]`, `[{"a"}]`, `["\`, `{]`, `[[[[`, "\x00", `["\\",{"k\u0065y":[{}]}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got []string
		c := Cursor{Data: data}
		c.Array(func(int) { got = append(got, string(c.Skip())) })
		if c.At > len(data)+1 {
			t.Fatalf("%q: beyond the end", data)
		}
		want, err := Split(data, nil, 0)
		if err != nil || !utf8.Valid(data) {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %q instead of %q", data, got, want)
		}
		for i := range want {
			if got[i] != strings.TrimSpace(string(want[i])) {
				t.Fatalf("%q: %q instead of %q", data, got[i], want[i])
			}
			if want[i][0] != '{' {
				continue
			}
			keys := map[string]json.RawMessage{}
			in := Cursor{Data: want[i]}
			in.Object(func(key []byte) { keys[string(Unquote(key))] = in.Skip() })
			var std map[string]json.RawMessage
			if err := json.Unmarshal(want[i], &std); err != nil {
				t.Fatal(err)
			}
			if len(std) != len(keys) {
				t.Fatalf("%s: keys %q", want[i], keys)
			}
			for k := range std {
				if string(keys[k]) != string(std[k]) {
					t.Fatalf("%s: key %q is %s", want[i], k, keys[k])
				}
			}
		}
	})
}

// least is how long f takes at best: others use the processor, too. What takes less than a second is
// done once.
func least(f func()) time.Duration {
	best := time.Hour
	for range 5 {
		from := time.Now()
		f()
		if best = min(best, time.Since(from)); best < time.Second {
			break
		}
	}
	return best
}

// TestCost: no array takes the splitter more than one pass, or makes it allocate
// more than twenty times its size, however small its elements are.
func TestCost(t *testing.T) {
	for name, in := range map[string]string{
		"numbers": "[" + strings.Repeat("0,", 500_000) + "0]",
		"strings": "[" + strings.Repeat(`"",`, 300_000) + "0]",
		"arrays":  "[" + strings.Repeat(`[],`, 300_000) + "0]",
		"objects": `[{"a":0` + strings.Repeat(`,"a":0`, 160_000) + "}]",
		"escapes": `["` + strings.Repeat(`\u0000`, 160_000) + `"]`,
		"spaces":  "[" + strings.Repeat(" ", 1_000_000) + "1]",
	} {
		data := []byte(in)
		var before, after runtime.MemStats
		took := least(func() {
			runtime.ReadMemStats(&before)
			args, err := Split(data, nil, 64)
			if err != nil {
				t.Fatal(err)
			}
			if args[0][0] == '"' {
				Unquote(args[0])
			}
			runtime.ReadMemStats(&after)
		})
		if n := after.TotalAlloc - before.TotalAlloc; n > 20*uint64(len(in)) {
			t.Errorf("%s: %d bytes for %d", name, n, len(in))
		}
		if took > 2*time.Second { // milliseconds, on a processor that is shared
			t.Errorf("%s: %v", name, took)
		}
	}
}
