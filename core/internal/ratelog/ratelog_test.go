package ratelog

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAllow: one notice in a period, and the next one tells how many were not logged.
func TestAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(time.Minute, 4)
		for i := range 10 {
			if n, ok := l.Allow("origin", "https://a.example"); ok != (i == 0) || n != 0 {
				t.Fatalf("call %d: %d, %v", i, n, ok)
			}
		}
		if _, ok := l.Allow("origin", "https://b.example"); !ok {
			t.Error("another detail was suppressed")
		}
		if _, ok := l.Allow("session", "https://a.example"); !ok {
			t.Error("another kind was suppressed")
		}
		time.Sleep(time.Minute - 1)
		if _, ok := l.Allow("origin", "https://a.example"); ok {
			t.Error("logged before the period was over")
		}
		time.Sleep(time.Nanosecond)
		if n, ok := l.Allow("origin", "https://a.example"); !ok || n != 10 {
			t.Errorf("after the period: %d suppressed, %v; want 10, true", n, ok)
		}
	})
}

// TestBound: any number of details needs the memory of a few and logs a few
// lines, of this kind alone.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(time.Minute, 8)
		logged := 0
		for i := range 1000 {
			if _, ok := l.Allow("origin", strconv.Itoa(i)); ok {
				logged++
			}
		}
		if logged != 9 {
			t.Errorf("%d lines for 1000 details; want 8 and one for all others", logged)
		}
		if n := len(l.kinds["origin"].recent); n != 8 {
			t.Errorf("%d details are kept", n)
		}
		if _, ok := l.Allow("session", "x"); !ok {
			t.Error("a flood of one kind suppressed another")
		}
		time.Sleep(time.Minute)
		if _, ok := l.Allow("origin", "fresh"); !ok {
			t.Error("the details of the last period still take the room")
		}
		if n := len(l.kinds["origin"].recent); n != 1 {
			t.Errorf("%d details are kept after their period", n)
		}
	})
}

// TestLongDetail: a detail is kept in part.
func TestLongDetail(t *testing.T) {
	l := New(time.Minute, 8)
	long := strings.Repeat("x", 1<<20)
	l.Allow("k", long)
	if _, ok := l.Allow("k", long+"y"); ok {
		t.Error("the end of a long detail counts")
	}
	for d := range l.kinds["k"].recent {
		if len(d) != maxDetail {
			t.Errorf("%d bytes are kept", len(d))
		}
	}
}
