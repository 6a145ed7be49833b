package sio

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestNewRooms: a room is new for its time, and when all are old nobody looks for one any more,
// whichever rooms are asked for. While there are too many, they are not looked through at each call.
func TestNewRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nr newRooms
		is := func(room string, want bool) {
			t.Helper()
			if got := nr.has("/", room); got != want {
				t.Fatalf("%s is new: %v", room, got)
			}
		}
		is("a", false)
		nr.add("/", []string{"a"}, time.Now())
		is("a", true)
		is("b", false)
		time.Sleep(newRoomTime / 2)
		nr.add("/", []string{"b"}, time.Now())
		time.Sleep(newRoomTime / 2)
		is("a", false)
		is("b", true)
		time.Sleep(newRoomTime / 2)
		is("never", false)
		if nr.any.Load() || nr.until != nil {
			t.Error("old rooms are looked for")
		}
		is("b", false)

		for i := range maxNewRooms {
			nr.add("/", []string{fmt.Sprint(i)}, time.Now())
		}
		is("other", false)
		sweeps := 0
		for range 100 {
			before := nr.swept
			nr.add("/", []string{"one more"}, time.Now())
			if nr.swept != before {
				sweeps++
			}
			is("other", true)
			time.Sleep(newRoomSweep / 10)
		}
		if sweeps > 11 {
			t.Errorf("looked through %d times in ten seconds", sweeps)
		}
		time.Sleep(newRoomTime)
		is("0", false)
	})
}
