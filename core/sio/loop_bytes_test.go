package sio

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
)

// TestRecvBytes: what waits for Recv is bounded by its size as well, and one event
// that is larger than the bound has its turn.
func TestRecvBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(&Options{MaxInboxBytes: 10_000})
		s := &Socket{ns: srv.Of("/")}
		q := s.received()
		event := func(size int) *Event {
			text := json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
			return &Event{Name: "x", Socket: s, Args: Args{raw: []json.RawMessage{text}}}
		}
		ctx, leave := context.WithCancel(context.Background())
		handled := 0
		go func() {
			for _, size := range []int{4_000, 4_000, 4_000, 20_000, 1, 4_000, 9_000} {
				_ = receive(ctx, event(size))
				handled++
			}
		}()
		for i, want := range []int{2, 3, 3, 4, 6, 6} { // how many are handed over, after i were received
			synctest.Wait()
			if handled != want || q.bytes > 10_000 && len(q.events) > 1 {
				t.Errorf("%d received: %d handed over, %d wait with %d bytes", i, handled, len(q.events), q.bytes)
			}
			if q.next() == nil {
				t.Errorf("nothing after %d", i)
			}
		}
		leave()
		synctest.Wait()
		for q.next() != nil {
		}
		if handled != 7 || q.bytes != 0 {
			t.Errorf("at the end: %d handed over, %d bytes", handled, q.bytes)
		}
	})
}
