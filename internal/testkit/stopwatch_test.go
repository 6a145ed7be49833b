package testkit

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStopwatch: what is measured is the time, but for a while in which nothing ran.
func TestStopwatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewStopwatch()
		time.Sleep(3*time.Second + time.Millisecond)
		if d := w.Stop(); d != 3*time.Second+time.Millisecond {
			t.Error(d)
		}
	})
	if d := counted(2 * time.Second); d > 200*time.Millisecond {
		t.Errorf("two seconds in which nothing ran count as %v", d)
	}
}
