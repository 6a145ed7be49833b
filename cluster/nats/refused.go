package natsbus

import (
	"errors"
	"fmt"

	"github.com/siokit/siokit/core/cluster"
)

// errUnfit is why a message was not published that is not one.
var errUnfit = errors.New("it cannot be encoded")

// refused is the error of a Publish that has published all messages but some, because of
// what these are.
type refused struct {
	lost  []int // indexes of messages
	of    int
	first error
}

var _ cluster.Partial = (*refused)(nil)

func (r *refused) add(i int, m *cluster.Message, err error) {
	if r.lost = append(r.lost, i); len(r.lost) == 1 {
		r.first = fmt.Errorf("a message of kind %v for the rooms %q of %q: %w", m.Kind, shortened(m.Rooms), m.Namespace, err)
	}
}

// shortened are rooms for an error text.
func shortened(rooms []string) []string {
	var short []string
	for _, r := range rooms[:min(len(rooms), 3)] {
		short = append(short, r[:min(len(r), maxToken)])
	}
	return short
}

// Error names the first of the messages.
func (r *refused) Error() string {
	return fmt.Sprintf("natsbus: %d of %d messages not published; the first: %v", len(r.lost), r.of, r.first)
}

// Unwrap returns what was wrong with the first.
func (r *refused) Unwrap() error { return r.first }

// Unpublished are the indexes of the messages that were not published.
func (r *refused) Unpublished() []int { return r.lost }
