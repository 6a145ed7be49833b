package node

import (
	"errors"
	"fmt"
	"testing"

	"github.com/siokit/siokit/core/cluster"
)

// part is an error of which only some messages are lost.
type part []int

func (part) Error() string        { return "some are lost" }
func (p part) Unpublished() []int { return p }

// TestUnpublished: what an error names is lost, and everything when it names nothing, or
// what cannot be.
func TestUnpublished(t *testing.T) {
	ms := []*cluster.Message{{ID: "0"}, {ID: "1"}, {ID: "2"}}
	for _, row := range []struct {
		err  error
		want string
	}{
		{errors.New("all"), "012"},
		{part{1}, "1"},
		{fmt.Errorf("wrapped: %w", part{0, 2}), "02"},
		{part{}, "012"},
		{part{3}, "012"},
		{part{-1}, "012"},
		{part{1, 1}, "012"},
		{part{2, 0}, "012"},
	} {
		got := ""
		for _, m := range unpublished(ms, row.err) {
			got += m.ID
		}
		if got != row.want {
			t.Errorf("%v %v: %s instead of %s", row.err, row.err, got, row.want)
		}
	}
}
