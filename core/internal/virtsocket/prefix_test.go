package virtsocket

import (
	"strings"
	"testing"
)

// TestPrefix: ids with a prefix are as long as without, and find their sessions evenly.
func TestPrefix(t *testing.T) {
	for _, prefix := range []string{"", "node_"} {
		h := &Hub{opts: Options{Prefix: prefix}}
		found := map[*shard]int{}
		for range 3200 {
			id := h.newID()
			if len(id) != IDLength || !strings.HasPrefix(id, prefix) {
				t.Fatal(id)
			}
			found[h.shard(id)]++
		}
		for s, n := range found {
			if len(found) != len(h.shards) || n > 200 {
				t.Errorf("%q: %d of 3200 in shard %p of %d", prefix, n, s, len(found))
			}
		}
	}
}
