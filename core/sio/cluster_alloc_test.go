//go:build !race

package sio

import "testing"

// TestClusterEmitAllocates nothing more than an event without a cluster, when no other node has
// the room. The race detector throws away what a sync.Pool keeps.
func TestClusterEmitAllocates(t *testing.T) {
	for _, row := range emits {
		if row.name == "all" {
			continue // the other node has the namespace
		}
		var got []float64
		for _, mode := range modes(t) {
			c, once := emitter(t, mode.opts(), row.clients, row.emit)
			const many = 256
			run := func() {
				for range many {
					once()
					c.pace(many / 2)
				}
			}
			run()
			got = append(got, testing.AllocsPerRun(10, run)/many)
		}
		if got[1] > got[0]+0.5 {
			t.Errorf("%s: %.2f allocations, and %.2f without a cluster", row.name, got[1], got[0])
		}
	}
}
