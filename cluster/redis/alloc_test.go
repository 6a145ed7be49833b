//go:build !race

package redisbus

import (
	"testing"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/internal/redistest"
)

// TestPublishAllocates next to nothing for an event for one room: what is published lies in
// memory that is used again. On the wire Streams the node reads the stream meanwhile. The race
// detector throws away what a sync.Pool keeps.
func TestPublishAllocates(t *testing.T) {
	for _, w := range []Wire{Classic, Sharded} {
		r := redistest.Start(t)
		up := &counting{ups: make(chan struct{}, 1), more: make(chan struct{}, 1)}
		n := New(rueidis.ClientOption{InitAddress: []string{r.Addr}, ForceSingleClient: true}, Options{Wire: w})
		if err := n.Start(t.Context(), "AAAAA", up); err != nil {
			t.Fatal(err)
		}
		defer n.Close(t.Context())
		<-up.ups
		ms := make([]*cluster.Message, 64)
		for i := range ms {
			m := emit(`["hello",{"a":1,"b":"some text","c":[1,2,3]}]`, "r")
			m.Node = "AAAAA"
			ms[i] = &m
		}
		got := testing.AllocsPerRun(50, func() {
			if err := n.Publish(t.Context(), ms); err != nil {
				t.Error(err)
			}
		}) / float64(len(ms))
		if got > 0.5 {
			t.Errorf("%v: %.2f allocations for a message", w, got)
		}
	}
}
