package selftest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siokit/siokit/conformance"
	"github.com/siokit/siokit/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// patience is short: what must come is waited for in vain all the time. A machine
// that is too slow for it sees cases fail that would pass: the lists below are from
// a quiet one.
const patience = 200 * time.Millisecond

// under returns the cases that a name stands for.
func under(name string) (list []string) {
	for _, c := range conformance.Cases() {
		if c == name || strings.HasPrefix(c, name+"/") || name == "errors/H" && strings.HasPrefix(c, name) {
			list = append(list, c)
		}
	}
	return list
}

// TestSound: the host that all the breakers are made of passes, so that it is
// their faults that are caught.
func TestSound(t *testing.T) { conformance.Run(t, fault{}.factory) }

// TestBreakers: every breaker is caught by the cases that it names, and every case
// of the suite catches at least one.
func TestBreakers(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: most of the time something is waited for in vain")
	}
	caught := map[string]bool{}
	seen := map[string]bool{}
	ran := 0
	list := breakers()
	if len(list) < 40 {
		t.Errorf("%d breakers", len(list))
	}
	for _, b := range list {
		if seen[b.name] {
			t.Errorf("%q is there twice", b.name)
		}
		seen[b.name] = true
		t.Run(b.name, func(t *testing.T) {
			ran++
			if b.racy && race {
				t.Skip("the fault is a data race: the detector would see it before the suite")
			}
			var names []string
			for _, name := range b.catches {
				cases := under(name)
				if len(cases) == 0 {
					t.Errorf("there is no case %q", name)
				}
				names = append(names, cases...)
			}
			slices.Sort(names)
			results, err := conformance.Check(b.factory, append(b.opts, conformance.Only(slices.Compact(names)...), conformance.Patience(patience))...)
			if err != nil {
				t.Fatal(err)
			}
			for _, over := range leaks {
				close(over)
			}
			leaks = nil
			for _, r := range results {
				if r.Status == "failed" {
					caught[r.Name] = true
				} else {
					t.Errorf("%s: %s", r.Name, r.Status)
				}
			}
		})
	}
	for _, c := range conformance.Cases() {
		if ran == len(list) && !caught[c] { // not when -run has chosen some
			t.Errorf("no breaker is caught by %s: who knows whether it can fail", c)
		}
	}
}
