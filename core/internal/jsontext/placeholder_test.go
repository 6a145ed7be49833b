package jsontext_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/siokit/siokit/core/internal/codec/socketio"
	"github.com/siokit/siokit/core/internal/jsontext"
	"github.com/siokit/siokit/core/internal/packet"
)

// illegal is what clients do with the JSON of a packet with attachments: those of
// 4.x take a _placeholder that is true, older ones any that counts as true, and all
// look at any depth, outside of other placeholders. The numbers found are appended.
func illegal(v any, loose bool, found *[]float64) bool {
	switch v := v.(type) {
	case map[string]any:
		mark := number(v["_placeholder"])
		if mark == true || loose && mark != nil && mark != false && mark != 0.0 && mark != "" {
			n, ok := number(v["num"]).(float64)
			*found = append(*found, n)
			return !ok
		}
		for _, e := range v {
			if illegal(e, loose, found) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if illegal(e, loose, found) {
				return true
			}
		}
	}
	return false
}

// number is a number as JavaScript has it: one that is too large is infinite, where
// encoding/json fails.
func number(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	f, _ := n.Float64()
	return f
}

// agrees holds a text with count attachments against the clients' rules.
func agrees(t *testing.T, data []byte, count int) {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	for _, loose := range []bool{false, true} {
		var found []float64
		if illegal(v, loose, &found) || len(found) != count {
			t.Fatalf("%s: clients find %v, there are %d attachments", data, found, count)
		}
		seen := map[float64]bool{}
		for _, n := range found {
			if n < 0 || n >= float64(count) || n != float64(int(n)) || seen[n] {
				t.Fatalf("%s: clients find %v", data, found)
			}
			seen[n] = true
		}
	}
}

var bombs = []string{
	`{"_placeholder":true,"num":7,"x":{}}`,
	`{"_placeholder":true,"num":[0]}`,
	`{"_placeholder":false,"_placeholder":true,"num":7}`,
	`{"_placeholder":true,"_placeholder":false,"num":7}`,
	`{"_placeholder":true,"num":0,"num":7}`,
	`{"_pl\u0061ceholder":true,"num":7}`,
	`{"a":[{"x":{},"\u005fplaceholder":true,"n\u0075m":7}]}`,
	`{"_placeholder":true}`,
	`{"_placeholder":1,"num":7}`,
	`{"_placeholder":"true","num":7}`,
	`{"_placeholder":{},"num":7}`,
	`{"_placeholder":true,"num":-1}`,
	`{"_placeholder":true,"num":1e0}`,
	`{"_placeholder":true,"num":"0"}`,
	`{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":1}}`,
	`{"__proto__":{"_placeholder":true,"num":7}}`,
	`{"_placeholder":true,"num":0}`,
}

// TestBombs: beside one attachment, nothing that clients could take for a second
// placeholder comes in or goes out; without any, everything does.
func TestBombs(t *testing.T) {
	for _, bomb := range bombs {
		text := `["draw",{"_placeholder":true,"num":0},` + bomb + `]`
		d := socketio.NewRev5Decoder(&packet.DefaultLimits)
		if _, err := d.Text([]byte("51-" + text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
		if jsontext.Placed([]byte(text), 1) {
			t.Errorf("%s is sent", text)
		}
		if _, err := d.Text([]byte("2" + text)); err != nil || !jsontext.Placed([]byte(text), 0) {
			t.Errorf("%s as a plain event: %v", text, err)
		}
	}
	for _, good := range []string{`{"_placeholder":false,"num":7}`, `{"_placeholder":null}`, `"_placeholder"`, `"{\"_placeholder\":true}"`, `{"x_placeholder":true}`, `{"\u0061":1}`} {
		text := `["draw",{"_placeholder":true,"num":0},` + good + `]`
		if _, err := socketio.NewRev5Decoder(&packet.DefaultLimits).Text([]byte("51-" + text)); err != nil || !jsontext.Placed([]byte(text), 1) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzPlaceholders: what is accepted with attachments, and what is passed on beside
// others, looks to every client as it does here.
func FuzzPlaceholders(f *testing.F) {
	for _, bomb := range bombs {
		f.Add([]byte(`[{"_placeholder":true,"num":0},`+bomb+`]`), 1)
		f.Add([]byte(`[[`+bomb+`],{"_placeholder":true,"num":0}]`), 2)
	}
	f.Fuzz(func(t *testing.T, data []byte, count int) {
		if !utf8.Valid(data) || !jsontext.Valid(data, 64) || count < 0 || count > 8 {
			return
		}
		parts := make([][]byte, count)
		if jsontext.EachPlaced(data, count) {
			agrees(t, data, count)
			out, used := jsontext.AppendRenumbered([]byte(`[{"_placeholder":true,"num":0},`), data, parts, [][]byte{nil})
			out = append(out, ']')
			if len(used) != count+1 || !jsontext.Placed(out, len(used)) {
				t.Fatalf("%s is passed on as %s", data, out)
			}
			agrees(t, out, len(used))
		}
		beside := append(append([]byte(`[{"_placeholder":true,"num":0},`), data...), ']')
		if jsontext.Placed(beside, 1) {
			agrees(t, beside, 1)
		}
	})
}
