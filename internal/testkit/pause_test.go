package testkit

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPause(t *testing.T) {
	for most, want := range map[time.Duration]time.Duration{time.Second: 50 * time.Millisecond, 15 * time.Millisecond: 20 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			from := time.Now()
			if Pause(most); time.Since(from) != want {
				t.Errorf("%v, want %v", time.Since(from), want)
			}
		})
	}
}
