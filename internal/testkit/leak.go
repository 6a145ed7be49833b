// Package testkit holds what the tests of many packages share.
package testkit

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package and fails when they leave goroutines behind.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := Leaked(5 * time.Second); left != "" {
			fmt.Fprintf(os.Stderr, "leaked goroutines:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// ours tells the goroutines of the project from those of the runtime and of
// frameworks' pools.
const ours = "github.com/siokit/siokit"

// Leaked waits until no goroutine of the project but the caller's is left, and
// returns the stacks of those that are. Those that run one of the functions in
// except do not count.
func Leaked(patience time.Duration, except ...string) string {
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; ; wait *= 2 {
		left := stacks(except)
		if left == "" || time.Now().After(deadline) {
			return left
		}
		time.Sleep(min(wait, 50*time.Millisecond))
	}
}

func stacks(except []string) string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for i, g := range strings.Split(string(buf), "\n\n") {
		if i == 0 || !strings.Contains(g, ours) || strings.Contains(g, "testing.tRunner") || strings.Contains(g, "testing.(*M)") || strings.Contains(g, "testing.(*F)") {
			continue // the caller, and goroutines that run tests
		}
		if slices.ContainsFunc(except, func(f string) bool { return strings.Contains(g, f) }) {
			continue
		}
		left = append(left, g)
	}
	return strings.Join(left, "\n\n")
}
