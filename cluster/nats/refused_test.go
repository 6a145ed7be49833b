package natsbus

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/siokit/siokit/core/cluster"
)

// TestManyReasons: what one of the messages, or of the rooms, was refused for is an error of all.
func TestManyReasons(t *testing.T) {
	reasons := []error{errUnfit, nats.ErrPermissionViolation, nats.ErrPermissionViolation, nats.ErrMaxPayload}
	messages, rooms := refused{of: 4, what: notPublished}, refused{of: 4, what: notSubscribed}
	for i, err := range reasons {
		messages.add(i, new(cluster.Message), err)
		rooms.addRoom(i, cluster.Interest{}, err)
	}
	for _, err := range []*refused{&messages, &rooms} {
		for _, why := range reasons {
			if !errors.Is(err, why) {
				t.Errorf("%v is not %v", err, why)
			}
		}
		if len(err.Unwrap()) != 3 || !strings.Contains(err.Error(), errUnfit.Error()) {
			t.Errorf("%v: %q", err, err.Unwrap())
		}
	}
}
