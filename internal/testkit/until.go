package testkit

import (
	"testing"
	"time"
)

// Until waits until f reports true, for what has no sign of its own. It asks every few
// milliseconds, and ends the test after most, saying what has not come about.
func Until(t testing.TB, most time.Duration, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(most); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", most, what)
		}
	}
}
