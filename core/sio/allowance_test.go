package sio

import (
	"math"
	"testing"
	"time"
)

// TestAllowance: so many at once, then as many as come back; also where a float32 no
// longer counts by one, and where the time wraps.
func TestAllowance(t *testing.T) {
	var a allowance
	took := func(now time.Duration, burst int, perSecond float64) (n int) {
		for a.take(now, burst, perSecond) {
			n++
		}
		return n
	}
	if n := took(time.Hour, 5, 2); n != 5 {
		t.Errorf("%d at once, of 5", n)
	}
	if n := took(time.Hour+1500*time.Millisecond, 5, 2); n != 3 {
		t.Errorf("%d have come back in 1.5 s, of 3", n)
	}
	wraps := time.Duration(math.MaxUint32+1) * time.Millisecond
	a = allowance{}
	_ = took(wraps-time.Second, 5, 2)
	if n := took(wraps+time.Second, 5, 2); n != 4 {
		t.Errorf("%d have come back in 2 s around the wrap, of 4", n)
	}
	a = allowance{used: maxBurst}
	if a.take(0, math.MaxInt, 0) {
		t.Error("a burst beyond what is counted has no end")
	}
}
