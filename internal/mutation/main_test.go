package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestList: every mutant can still be planted, and the report is that of this list.
func TestList(t *testing.T) {
	mutants, err := parse(list)
	if err != nil {
		t.Fatal(err)
	}
	if len(mutants) < 60 {
		t.Errorf("%d mutants", len(mutants))
	}
	report, err := os.ReadFile("../../docs/mutation-report.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.name] {
			t.Errorf("%q is there twice", m.name)
		}
		seen[m.name] = true
		source, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Error(err)
		} else if n := strings.Count(string(source), m.from); n != 1 || m.from == m.to {
			t.Errorf("%s: what is to be changed is in %s %d times", m.name, m.file, n)
		}
		if !strings.Contains(string(report), "| "+m.name+" | ") {
			t.Errorf("the report says nothing of %q: make it again", m.name)
		}
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"=== name | file", "=== name | file | no such suite", "text before the first"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
	ms, err := parse("# comment\n\n=== a b | x.go | nethttp | because\n-\tone\n-\ttwo\n+\tthree\n")
	if err != nil || len(ms) != 1 || ms[0].name != "a b" || ms[0].file != "x.go" || ms[0].reason != "because" || ms[0].from != "\tone\n\ttwo\n" || ms[0].to != "\tthree\n" {
		t.Errorf("%+v %v", ms, err)
	}
	text, ok := summary([]*mutant{{name: "one", ran: true, killed: true, by: "case"}, {name: "two", ran: true, reason: "why"}, {name: "three"}}, "")
	if ok || !strings.Contains(text, "killed 1 of 2\n") || !strings.Contains(text, "**survived**: why") || !strings.Contains(text, "not tried yet") {
		t.Errorf("%t %s", ok, text)
	}
	again := []*mutant{{name: "one"}, {name: "two", reason: "why"}, {name: "three"}}
	carry(again, text)
	if one, two := again[0], again[1]; !one.known || !one.killed || one.by != "case" || !two.known || two.killed || again[2].known {
		t.Errorf("carried over: %+v %+v %+v", one, two, again[2])
	}
}
