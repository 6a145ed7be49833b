package mixin_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/core/sio"
)

// TestRoomsCost: a join costs the same in however many rooms the client is. Those that
// the application has put it into count for Max, as they always have.
func TestRoomsCost(t *testing.T) {
	const rooms, joins = 10_000, 200
	n, c := serve(t, &mixin.Rooms{Max: rooms + joins})
	n.OnConnect(func(_ context.Context, s *sio.Socket) error {
		for i := range rooms {
			s.Join(fmt.Sprint("the application's ", i))
		}
		return nil
	})
	w, _ := join(t, c)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range joins {
		w.Send(fmt.Sprintf(`42%d["join","room %d"]`, i, i))
		want(t, w, fmt.Sprintf(`43%d["room %d"]`, i, i))
	}
	runtime.ReadMemStats(&after)
	// The names alone would be 16 bytes for each room.
	if each := (after.TotalAlloc - before.TotalAlloc) / joins; each > rooms {
		t.Errorf("a join allocates %d bytes in %d rooms", each, rooms)
	}
	w.Send(`42999["join","one more"]`)
	want(t, w, fmt.Sprintf(`43999[{"error":{"code":"refused","message":"you are in %d rooms already"}}]`, rooms+joins))
	w.Send(`421000["join","room 7"]`, `421001["leave","room 7"]`, `421002["join","one more"]`, `421003["join","room 7"]`)
	want(t, w, `431000["room 7"]`, `431001["room 7"]`, `431002["one more"]`,
		fmt.Sprintf(`431003[{"error":{"code":"refused","message":"you are in %d rooms already"}}]`, rooms+joins))
}
