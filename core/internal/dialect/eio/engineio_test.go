package eio

import (
	"net/url"
	"regexp"
	"testing"
)

// model is the rule of the reference for the field "d" (protocol 2.6): a
// backslash and n not behind a backslash is a line end, then two backslashes
// and n are one and n.
func model(d string) string {
	d = regexp.MustCompile(`\\?\\n`).ReplaceAllStringFunc(d, func(m string) string {
		if m == `\n` {
			return "\n"
		}
		return m
	})
	return regexp.MustCompile(`\\\\n`).ReplaceAllLiteralString(d, `\n`)
}

// TestUnwrap holds the rows J07 and J08 of reliability a3.
func TestUnwrap(t *testing.T) {
	for in, want := range map[string]string{
		"d=" + url.QueryEscape("2:4€"):                 "2:4€",
		"d=" + url.QueryEscape(`4["a\nb"]`):            "4[\"a\nb\"]",
		"d=" + url.QueryEscape(`4["a\\nb"]`):           `4["a\nb"]`,
		"d=" + url.QueryEscape(`4["a\\\nb"]`):          `4["a\\nb"]`,
		"d=" + url.QueryEscape(`a\`):                   `a\`,
		"x=1&d=" + url.QueryEscape("1+1 %") + "&y=%zz": "1+1 %",
		"d=": "",
		"d":  "",
		"":   "malformed", "e=4": "malformed", "d[]=4": "malformed", "d=1&d=2": "malformed", "d=%ZZ": "malformed",
	} {
		got, err := Unwrap([]byte(in))
		if err != nil {
			got = []byte("malformed")
		}
		if string(got) != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// FuzzUnwrap compares with the model.
func FuzzUnwrap(f *testing.F) {
	for _, s := range []string{`\n`, `\\n`, `\\\n`, `\\\\n`, `a\`, "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, d string) {
		got, err := Unwrap([]byte("d=" + url.QueryEscape(d)))
		if err != nil || string(got) != model(d) {
			t.Fatalf("%q: %q, want %q, %v", d, got, model(d), err)
		}
	})
}
