//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// series are the values of one thing, one for each round.
type series map[string][]float64

func (s series) add(name string, v float64) { s[name] = append(s[name], v) }

// ratio is the median of the ratios of two things, round by round, with the least and the
// most.
func (s series) ratio(name, base string) string {
	var r []float64
	for i, v := range s[name] {
		if i < len(s[base]) && s[base][i] > 0 {
			r = append(r, v/s[base][i])
		}
	}
	if len(r) == 0 || median(s[base]) == 0 {
		return "-"
	}
	return fmt.Sprintf("**%.2f** (%.2f-%.2f)", median(r), slices.Min(r), slices.Max(r))
}

// cell is the median of the values and the ratio.
func (s series) cell(name, base string) string {
	if len(s[name]) == 0 {
		return "-"
	}
	text := fmt.Sprintf("%.3g", median(s[name]))
	if name != base {
		text += " " + s.ratio(name, base)
	}
	return text
}

// row prints a row of a Markdown table; the head of one has a line below it.
func row(cells ...string) { fmt.Printf("| %s |\n", strings.Join(cells, " | ")) }

func head(cells ...string) {
	row(cells...)
	fmt.Printf("|%s\n", strings.Repeat(" --- |", len(cells)))
}
